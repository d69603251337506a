/** @import { HelloMessage, ServerMessage } from '../src/protocol/feed.ts' */
/** @import { ConnectionState } from './feed.js' */

import {
  actOnRollout,
  cancelJob,
  deadLetters,
  drainHost,
  pauseStream,
  removeStream,
  resumeStream,
  retryJob,
  signOut,
} from './api.js';
import {
  confirmCancel,
  confirmRemoval,
  confirmRollout,
  setUpAddDialog,
  showDeadLetters,
  showToast,
} from './dialogs.js';
import { byId, setData, setText } from './element.js';
import { EventsLog } from './events-log.js';
import { FeedConnection } from './feed.js';
import { FleetPanel } from './fleet-panel.js';
import { FocusView } from './focus-view.js';
import { StreamGrid } from './grid.js';
import { HostPanel } from './host-panel.js';
import { RolloutPanel } from './rollout-panel.js';
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

const log = new EventsLog({ onError: showToast });
const host = new HostPanel();
const summary = new Summary(byId('summary'));
byId('panel').append(host.node, log.node);

const grid = new StreamGrid({
  node: byId('grid'),
  empty: byId('empty'),
  onVisible: (ids) => {
    visible = ids;
    watchSoon();
  },
  actions: {
    pause: (id) => attempt(() => pauseStream(id)),
    resume: (id) => attempt(() => resumeStream(id)),
    remove: async (id) => {
      if (await confirmRemoval(id)) await attempt(() => removeStream(id));
    },
    focus: (id) => {
      location.hash = FOCUS_HASH.test(location.hash) ? '' : `#stream=${encodeURIComponent(id)}`;
    },
  },
});

const focusView = new FocusView(byId('focus'), showToast);

const fleet = new FleetPanel(byId('fleet'), {
  drain: (id, isDraining) => attempt(() => drainHost(id, isDraining)),
  show: (id) => setFilter(filterField.value === id ? '' : id),
  cancel: async (id) => {
    if (await confirmCancel(id)) await attempt(() => cancelJob(id));
  },
  retry: (id) => attempt(() => retryJob(id)),
  showFailures: (id) => attempt(async () => showDeadLetters(id, await deadLetters(id))),
});

const rollout = new RolloutPanel(byId('rollout'), {
  act: async (verb, question, seen) => {
    if (question === null || (await confirmRollout(...question))) await attempt(() => actOnRollout(verb, seen));
  },
  onWatch: watchSoon,
});

const feed = new FeedConnection({ onMessage: receive, onState: showConnection });

/** @param {ServerMessage<Uint8Array<ArrayBuffer>>} message */
function receive(message) {
  if (message.type === 'stats') {
    grid.update(message.timeMs, message.streams);
    host.update(message.host);
    fleet.update(message.fleet, message.timeMs);
    rollout.update(message.rollout, message.streams, message.timeMs);
    summary.update(message.streams);
    focusView.update(message.streams);
    droppedMessages = message.droppedMessages;
    showConnection({ name: 'open' });
  } else if (message.type === 'preview') {
    grid.showPreview(message);
    rollout.showPreview(message);
  } else if (message.type === 'shadow') rollout.showShadow(message);
  else if (message.type === 'event') {
    log.add(message);
    focusView.addEvent(message);
  } else if (message.type === 'error') showToast(message.error.message);
  else if (message.type === 'hello') {
    showAccess(message.access);
    log.load();
    focusView.reload();
    grid.reloadHistories();
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

/** @param {() => Promise<unknown>} action */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    showToast(/** @type {Error} */ (error).message);
  }
}

function watchSoon() {
  clearTimeout(watchTimer);
  watchTimer = setTimeout(watchVisible, WATCH_DELAY_MS);
}

/** Subscribes to the pictures of visible cards and of the roll-out; to none while the page is in the background. */
function watchVisible() {
  feed.watch(document.hidden ? [] : [...new Set([...visible, ...rollout.watched])]);
}

/** @param {ConnectionState} state */
function showConnection(state) {
  const { name } = state;
  const node = byId('connection');
  clearInterval(retryTimer);
  setData(node, 'state', name);
  setData(document.body, 'connection', name);
  if (name === 'connecting') setText(node, 'Connecting');
  if (name === 'open') setText(node, droppedMessages === 0 ? 'Live' : `Live, ${droppedMessages} messages missed`);
  if (state.name !== 'waiting') return;
  const countDown = () => {
    const seconds = Math.max(0, Math.ceil((state.retryAtMs - Date.now()) / 1000));
    setText(node, `Connection lost, next try in ${seconds} s`);
  };
  countDown();
  retryTimer = setInterval(countDown, 1000);
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
  // The button that was pressed is gone.
  if (before === undefined || before === stream) return;
  if (stream === null) grid.focusButtons(before);
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
    await signOut();
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
  for (const tab of byId('tabs').children) tab.toggleAttribute('aria-current', tab === target);
  scrollTo(0, 0);
});
document.addEventListener('visibilitychange', watchVisible);
setUpAddDialog();
showFocus();
