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
import { FiguresTable } from './figures-table.js';
import { FleetPanel } from './fleet-panel.js';
import { FocusView } from './focus-view.js';
import { PAGE_URL } from './gateway.js';
import { HostPanel } from './host-panel.js';
import { KeepingNotice } from './keeping-notice.js';
import { SightlineClient } from './lib/client/index.js';
import { RolloutPanel } from './rollout-panel.js';
import { SourceTester } from './source-test.js';
import { StateLine } from './state-line.js';
import { Wall } from './wall.js';

const CAMERA_HASH = /^#stream=(.+)$/;
/** Views that the address may name; without one it shows the wall. */
const VIEW_HASH = /^#(wall|events|system)$/;
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
/** @type {StatsMessage | null} */
let newest = null;
/** Whether the newest report had the stream that is shown large. */
let wasThere = false;

const log = new EventsLog({ onError: showError });
const host = new HostPanel();
const stateLine = new StateLine(showError);
const notice = new KeepingNotice();
byId('events').append(log.node);
byId('system').append(host.node);

const wall = new Wall({
  node: byId('wall'),
  empty: byId('empty'),
  onVisible: (ids) => {
    visible = ids;
    watchSoon();
  },
});
const figures = new FiguresTable(byId('figures'));
const camera = new FocusView(
  byId('focus'),
  {
    pause: (id) => attempt(() => client.streams.pause(id)),
    resume: (id) => attempt(() => client.streams.resume(id)),
    remove: async (id) => {
      if (await confirmRemoval(id)) await attempt(() => client.streams.remove(id));
    },
  },
  showError,
);

const fleet = new FleetPanel(byId('fleet'), {
  drain: (id, isDraining) => attempt(() => (isDraining ? client.hosts.drain(id) : client.hosts.undrain(id))),
  show: (id) => {
    setFilter(filterField.value === id ? '' : id);
    if (filterField.value !== '') location.hash = '';
  },
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
/** Of the visible tiles, of the open camera and of the roll-out. */
const pictures = client.comparisons({ streams: [] });
follow(client.stats(), showStats);
follow(client.events(), (event) => {
  log.add(event);
  camera.addEvent(event);
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
  const isFirst = newest === null;
  newest = message;
  if (isFirst) showPlace();
  wall.update(message.streams);
  stateLine.update(message.streams, message.host, message.fleet);
  host.update(message.host);
  fleet.update(message.fleet, message.timeMs);
  rollout.update(message.rollout, message.streams, message.timeMs);
  setData(document.body, 'rollout', byId('rollout').hidden ? null : 'true');
  camera.update(message.timeMs, message.streams);
  figures.update(message.timeMs, message.streams, wall.shown);
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
    wall.showPreview(message);
    camera.showPreview(message);
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

/** Subscribes to the pictures that are in view; to none while the page is in the background. */
function watchVisible() {
  const isKnown = newest?.streams.some(({ id }) => id === focused) === true;
  const wanted = focused == null ? visible : isKnown ? [focused] : [];
  pictures.update({ streams: document.hidden ? [] : [...new Set([...wanted, ...rollout.watched])] });
}

/** @param {FeedState} state */
function showConnection(state) {
  clearInterval(retryTimer);
  if (state.name === 'closed') {
    const { error } = state;
    if (error === null) return;
    // Nothing is updated any more.
    setData(document.body, 'connection', 'waiting');
    setData(byId('connection'), 'state', 'waiting');
    setText(byId('connection'), 'Disconnected; reload the page');
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
    camera.reload();
    notice.load();
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
  wall.refuse(`The gateway refuses this page: ${why}`);
}

/** @param {'connecting' | 'open' | 'waiting'} name */
function showState(name) {
  setData(byId('connection'), 'state', name);
  setData(document.body, 'connection', name);
  if (name === 'connecting') setText(byId('connection'), 'Connecting');
  if (name === 'open')
    setText(byId('connection'), droppedMessages === 0 ? 'Live' : `Live, ${droppedMessages} messages missed`);
}

/**
 * The name of a camera in the address; as it stands if it is not encoded.
 *
 * @param {string} name
 */
function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Shows what the address names: a camera, or one of the views. */
function showPlace() {
  const name = CAMERA_HASH.exec(location.hash)?.[1];
  const stream = name === undefined ? null : decoded(name);
  const before = focused;
  focused = stream;
  setData(document.body, 'open', stream);
  const view = stream === null ? (VIEW_HASH.exec(location.hash)?.[1] ?? 'wall') : 'wall';
  setData(document.body, 'tab', view);
  for (const tab of byId('tabs').children) {
    if (/** @type {HTMLElement} */ (tab).dataset.tab === view) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  camera.show(stream);
  if (newest !== null && stream !== null && !newest.streams.some(({ id }) => id === stream)) {
    showToast(`There is no camera "${stream}".`);
    location.hash = '';
    return;
  }
  if (newest !== null) {
    wasThere = newest.streams.some(({ id }) => id === stream);
    camera.update(newest.timeMs, newest.streams);
    wall.update(newest.streams);
  }
  watchVisible();
  scrollTo(0, 0);
  if (before === undefined || before === stream) return;
  // What had the focus is hidden now.
  if (stream !== null) byId('back').focus();
  else if (view === 'wall') wall.focusTile(before);
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
  wall.filter({ text, onlyAttention });
  if (newest !== null) figures.update(newest.timeMs, newest.streams, wall.shown);
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
byId('back').addEventListener('click', () => {
  location.hash = '';
});
addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]') !== null) return;
  if (event.key === 'Escape' && focused !== null) location.hash = '';
  const isTyping = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'f' || event.key === 'F') showFigures(byId('figures').hidden !== false);
  else if (event.key === '/') filterField.focus();
  else return;
  event.preventDefault();
});
addEventListener('hashchange', showPlace);

/** @param {boolean} isWanted the table in place of the pictures */
function showFigures(isWanted) {
  location.hash = '';
  byId('figures').hidden = !isWanted;
  byId('wall').hidden = isWanted;
  byId('show-pictures').setAttribute('aria-pressed', String(!isWanted));
  byId('show-figures').setAttribute('aria-pressed', String(isWanted));
  applyFilter();
}

byId('show-pictures').addEventListener('click', () => showFigures(false));
byId('show-figures').addEventListener('click', () => showFigures(true));

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
showPlace();
