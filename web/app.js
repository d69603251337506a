/** @import { FeedState, HelloMessage, Preview, ShadowMessage, StatsMessage, StreamReport } from './lib/client/index.js' */

import {
  confirmCancel,
  confirmRemoval,
  confirmRollout,
  errorMessage,
  setUpAddDialog,
  showDeadLetters,
  showToast,
} from './dialogs.js';
import { byId, setData, setText } from './element.js';
import { EventsLog } from './events-log.js';
import { FleetPanel } from './fleet-panel.js';
import { FocusView } from './focus-view.js';
import { PAGE_URL } from './gateway.js';
import { StreamGrid } from './grid.js';
import { HostPanel } from './host-panel.js';
import { KeepingNotice } from './keeping-notice.js';
import { SightlineClient } from './lib/client/index.js';
import { RolloutPanel } from './rollout-panel.js';
import { SourceTester } from './source-test.js';
import { Summary } from './summary.js';

const FOCUS_HASH = /^#stream=(.+)$/;
const filterField = byId('filter', HTMLInputElement);
const attentionButton = byId('attention');
/** Debounce: scrolling through thirty cards should send one message, not thirty. */
const WATCH_DELAY_MS = 120;

// A cookie has replaced the token. Removes it from the address, so that it is not visible and not copied with the URL.
const address = new URL(location.href);
if (address.searchParams.has('token')) {
  address.searchParams.delete('token');
  history.replaceState(null, '', address);
}

/** @type {string[]} */
let visible = [];
let watchTimer = 0;
let retryTimer = 0;
let droppedMessages = 0;
/**
 * The stream that is shown large; undefined before the page is ready.
 *
 * @type {string | null | undefined}
 */
let focused;
/** Whether the newest report had the stream that is shown large. */
let wasThere = false;

const log = new EventsLog({ onError: showError });
const host = new HostPanel();
const summary = new Summary(byId('summary'));
const notice = new KeepingNotice();
byId('panel').append(host.node, log.node);

const grid = new StreamGrid({
  node: byId('grid'),
  empty: byId('empty'),
  onVisible: (ids) => {
    visible = ids;
    watchSoon();
  },
  actions: {
    pause: (id) => attempt(() => client.streams.pause(id)),
    resume: (id) => attempt(() => client.streams.resume(id)),
    remove: async (id) => {
      if (await confirmRemoval(id)) await attempt(() => client.streams.remove(id));
    },
    focus: (id) => {
      location.hash = FOCUS_HASH.test(location.hash) ? '' : `#stream=${encodeURIComponent(id)}`;
    },
  },
});

const focusView = new FocusView(byId('focus'), (id) => grid.pictureOf(id), showError);

const fleet = new FleetPanel(byId('fleet'), {
  drain: (id, isDraining) => attempt(() => (isDraining ? client.hosts.drain(id) : client.hosts.undrain(id))),
  show: (id) => setFilter(filterField.value === id ? '' : id),
  cancel: async (id) => {
    if (await confirmCancel(id)) await attempt(() => client.jobs.cancel(id));
  },
  retry: (id) => attempt(() => client.jobs.retry(id)),
  showFailures: (id) => attempt(async () => showDeadLetters(id, (await client.jobs.get(id)).deadLetters)),
});

const rollout = new RolloutPanel(byId('rollout'), {
  act: async (verb, question, seen) => {
    if (question !== null && !(await confirmRollout(...question))) return;
    await attempt(() => (verb === 'promote' ? client.rollouts.promote(seen) : client.rollouts[verb]()));
  },
  onWatch: watchSoon,
});

const client = new SightlineClient({ url: PAGE_URL, onState: showConnection });
/** Of the visible cards and of the roll-out. */
const pictures = client.comparisons({ streams: [] });
follow(client.stats(), showStats);
follow(client.events(), (event) => {
  log.add(event);
  focusView.addEvent(event);
  notice.addEvent(event);
});
follow(pictures, showPicture);

/**
 * @template Message
 * @param {AsyncIterable<Message>} messages
 * @param {(message: Message) => void} show
 */
async function follow(messages, show) {
  try {
    for await (const message of messages) {
      try {
        show(message);
      } catch (error) {
        // One message that cannot be shown must not end the feed.
        reportError(error);
      }
    }
  } catch {
    // `showConnection` shows why the feed has ended.
  }
}

/** @param {StatsMessage} message */
function showStats(message) {
  grid.update(message.timeMs, message.streams);
  host.update(message.host);
  fleet.update(message.fleet, message.timeMs);
  rollout.update(message.rollout, message.streams, message.timeMs);
  summary.update(message.streams);
  focusView.update(message.streams);
  leaveRemoved(message.streams);
  droppedMessages = message.droppedMessages;
  showState('open');
}

/**
 * Shows all streams if the one that was shown large is gone.
 *
 * @param {readonly StreamReport[]} streams
 */
function leaveRemoved(streams) {
  const isThere = streams.some(({ id }) => id === focused);
  if (wasThere && !isThere && focused !== null) location.hash = '';
  wasThere = isThere;
}

/** @param {Preview | ShadowMessage} message */
function showPicture(message) {
  if (message.type === 'shadow') rollout.showShadow(message);
  else {
    grid.showPreview(message);
    rollout.showPreview(message);
  }
}

/**
 * Shows who is signed in. The style sheet hides what the role may not do; the gateway refuses it anyway.
 *
 * @param {HelloMessage['access']} access
 */
function showAccess({ name, role, expiresMs }) {
  setData(document.body, 'role', role);
  byId('signed-in').hidden = name === null;
  setText(byId('who'), `${name}, ${role}`);
  byId('who').title = expiresMs === null ? '' : `Until ${new Date(expiresMs).toLocaleString()}`;
}

/** @param {unknown} error */
function showError(error) {
  showToast(errorMessage(error));
}

/** @param {() => Promise<unknown>} action */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    showError(error);
  }
}

function watchSoon() {
  clearTimeout(watchTimer);
  watchTimer = setTimeout(watchVisible, WATCH_DELAY_MS);
}

/** Subscribes to the pictures of visible cards and of the roll-out; to none while the page is in the background. */
function watchVisible() {
  pictures.update({ streams: document.hidden ? [] : [...new Set([...visible, ...rollout.watched])] });
}

/** @param {FeedState} state */
function showConnection(state) {
  clearInterval(retryTimer);
  if (state.name === 'closed') {
    const { error } = state;
    if (error === null) return;
    if (error.code === 'ORIGIN_REFUSED') showRefusal(error.message);
    // Shows the sign-in page, or loads the page of a gateway of another version.
    else if (error.code !== 'PROTOCOL_INVALID' || error.details.protocol !== undefined) location.reload();
    else showToast(error.message);
    return;
  }
  showState(state.name);
  if (state.name === 'open') {
    showAccess(state.hello.access);
    log.load();
    focusView.reload();
    notice.load();
    grid.reloadHistories();
  }
  if (state.name !== 'waiting') return;
  const { retryAtMs } = state;
  const countDown = () => {
    const seconds = Math.max(0, Math.ceil((retryAtMs - Date.now()) / 1000));
    setText(byId('connection'), `Connection lost, next try in ${seconds} s`);
  };
  countDown();
  retryTimer = setInterval(countDown, 1000);
}

/** @param {string} why the gateway sends nothing to this page, and what to set */
function showRefusal(why) {
  setData(byId('connection'), 'state', 'waiting');
  setText(byId('connection'), 'Refused');
  grid.refuse(`The gateway refuses this page: ${why}`);
}

/** @param {'connecting' | 'open' | 'waiting'} name */
function showState(name) {
  setData(byId('connection'), 'state', name);
  setData(document.body, 'connection', name);
  if (name === 'connecting') setText(byId('connection'), 'Connecting');
  if (name === 'open')
    setText(byId('connection'), droppedMessages === 0 ? 'Live' : `Live, ${droppedMessages} messages missed`);
}

function showFocus() {
  const id = FOCUS_HASH.exec(location.hash)?.[1];
  const stream = id === undefined ? null : decodeURIComponent(id);
  const before = focused;
  focused = stream;
  grid.focus(stream);
  focusView.show(stream);
  byId('back').hidden = id === undefined;
  scrollTo(0, 0);
  // The button that had the focus no longer exists.
  if (before === undefined || before === stream) return;
  if (stream === null) grid.focusCard(before, 'focusDetails');
  else byId('back').querySelector('button')?.focus();
}

/**
 * Shows the streams whose name, source or host contains this text.
 *
 * @param {string} text
 */
function setFilter(text) {
  filterField.value = text;
  applyFilter();
}

/** Applies the filter and keeps it in the address, so that it survives a reload and can be shared. */
function applyFilter() {
  const text = filterField.value.trim();
  const onlyAttention = attentionButton.getAttribute('aria-pressed') === 'true';
  grid.filter({ text, onlyAttention });
  const url = new URL(location.href);
  url.searchParams.delete('find');
  url.searchParams.delete('attention');
  if (text !== '') url.searchParams.set('find', text);
  if (onlyAttention) url.searchParams.set('attention', '1');
  if (url.href !== location.href) history.replaceState(null, '', url);
}

filterField.value = address.searchParams.get('find') ?? '';
attentionButton.setAttribute('aria-pressed', String(address.searchParams.has('attention')));
applyFilter();
filterField.addEventListener('input', applyFilter);
attentionButton.addEventListener('click', () => {
  const isPressed = attentionButton.getAttribute('aria-pressed') === 'true';
  attentionButton.setAttribute('aria-pressed', String(!isPressed));
  applyFilter();
});
byId('sign-out').addEventListener('click', () =>
  attempt(async () => {
    await client.signOut();
    location.reload();
  }),
);
byId('back')
  .querySelector('button')
  ?.addEventListener('click', () => {
    location.hash = '';
  });
addEventListener('keydown', ({ key }) => {
  if (key === 'Escape' && document.querySelector('dialog[open]') === null) location.hash = '';
});
addEventListener('hashchange', showFocus);
// A phone shows one of them at a time; a wide page shows all.
byId('tabs').addEventListener('click', ({ target }) => {
  if (!(target instanceof HTMLButtonElement)) return;
  setData(document.body, 'tab', target.dataset.tab ?? null);
  for (const tab of byId('tabs').children) {
    if (tab === target) tab.setAttribute('aria-current', 'true');
    else tab.removeAttribute('aria-current');
  }
  scrollTo(0, 0);
});
document.addEventListener('visibilitychange', () => {
  watchVisible();
  if (!document.hidden) client.reconnect();
});
addEventListener('online', () => client.reconnect());
setUpAddDialog((stream) => client.streams.add(stream));
const addTest = new SourceTester(byId('add-source', HTMLInputElement), () => ({}));
byId('add-source-row').append(addTest.button);
byId('add-source-row').after(addTest.result);
byId('add-dialog').addEventListener('close', () => addTest.clear());
showFocus();
