/** @import { AlertRail } from './alert-rail.js' */
/** @import { CameraPage } from './camera-page.js' */
/** @import { EventsPage } from './events-page.js' */
/** @import { FeedState, HelloMessage, PipelineReport, Preview, ShadowMessage, StatsMessage, StreamReport } from './lib/client/index.js' */
/** @import { SystemPage } from './system-page.js' */

import { setUpAddSource } from './add-source.js';
import {
  confirmCancel,
  confirmRemoval,
  confirmRollout,
  errorMessage,
  setUpAddDialog,
  showDeadLetters,
  showToast,
} from './dialogs.js';
import { byId, element, setData, setText } from './element.js';
import { FiguresTable } from './figures-table.js';
import { PAGE_URL } from './gateway.js';
import { KeepingNotice } from './keeping-notice.js';
import { SightlineClient } from './lib/client/index.js';
import { StateLine } from './state-line.js';
import { Wall } from './wall.js';

const CAMERA_HASH = /^#stream=([^/@]+)(?:@(\d+))?(?:\/(\w+))?$/;
/** Views that the address may name; without one it shows the wall. A new one is a word here, and a link and a section in `index.html`. */
const VIEW_HASH = /^#(wall|events|system)(?:\?(.*))?$/;
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

const stateLine = new StateLine(showError);
/** The settings, as they were asked for last. @type {PipelineReport | null} */
let pipeline = null;
const notice = new KeepingNotice((report) => {
  pipeline = report;
  rail?.watch.load(report);
});

const wall = new Wall({
  node: byId('wall'),
  empty: byId('empty'),
  onVisible: (ids) => {
    visible = ids;
    watchSoon();
  },
});
const figures = new FiguresTable(byId('figures'));
/** Pages that are loaded when they are opened first. @type {CameraPage | null} */
let camera = null;
/** @type {SystemPage | null} */
let system = null;
/** @type {EventsPage | null} */
let events = null;
/** Alerts, loaded with the first event of a rule. @type {AlertRail | null} */
let rail = null;

/** @type {Map<() => Promise<void>, Promise<void>>} */
const loads = new Map();

/** Loads a page once; again only after that has failed. @param {() => Promise<void>} load */
function once(load) {
  const loading =
    loads.get(load) ??
    load().catch((error) => {
      loads.delete(load);
      throw error;
    });
  loads.set(load, loading);
  return loading;
}

/** The system page while it is shown. */
const shownSystem = () => (document.body.dataset.tab === 'system' ? system : null);

/** @type {Map<string, Promise<unknown>>} */
const styles = new Map();

/** Loads style sheets, each once. @param {string[]} names */
function loadStyles(...names) {
  return Promise.all(
    names.map((href) => {
      const loading = styles.get(href) ?? loadStyle(href);
      styles.set(href, loading);
      return loading;
    }),
  );
}

/** @param {string} href */
function loadStyle(href) {
  const link = element('link', { rel: 'stylesheet', href });
  document.head.append(link);
  return new Promise((resolve, reject) => {
    link.addEventListener('load', resolve);
    link.addEventListener('error', () => {
      styles.delete(href);
      link.remove();
      reject(new Error(`${href} could not be loaded.`));
    });
  });
}

async function openCameraPage() {
  const [{ CameraPage }] = await Promise.all([
    import('./camera-page.js'),
    loadStyles('camera.css', 'settings.css', 'rules.css', 'history.css', 'time-line.css', 'vendor/uplot/uPlot.min.css'),
  ]);
  const actions = {
    pause: (/** @type {string} */ id) => attempt(() => client.streams.pause(id)),
    resume: (/** @type {string} */ id) => attempt(() => client.streams.resume(id)),
    remove: async (/** @type {string} */ id) => {
      if (await confirmRemoval(id)) await attempt(() => client.streams.remove(id));
    },
  };
  camera = new CameraPage(byId('focus'), { ...actions, watch: watchSoon }, showError);
}

async function openRail() {
  const [{ AlertRail }] = await Promise.all([import('./alert-rail.js'), loadStyles('alerts.css')]);
  rail = new AlertRail(byId('rail'), { onChange: showAlerts, onError: showError });
  if (pipeline !== null) rail.watch.load(pipeline);
}

async function openEventsPage() {
  const [{ EventsPage }] = await Promise.all([
    import('./events-page.js'),
    once(openRail),
    loadStyles('history.css', 'events.css'),
  ]);
  if (rail !== null) events = new EventsPage(byId('events'), rail.watch, showError);
}

/** Marks what people should look at: in the state line, on the tiles and on the tab. */
function showAlerts() {
  if (rail === null || newest === null) return;
  const { active, headline } = rail.watch;
  wall.alerts = rail.titles;
  stateLine.update(newest.streams, newest.host, newest.fleet, headline);
  byId('open-alerts').hidden = active.length === 0;
  setText(byId('open-alerts'), String(active.length));
  events?.drawSoon();
}

async function openSystemPage() {
  const [{ SystemPage }] = await Promise.all([import('./system-page.js'), loadStyles('system.css', 'rollout.css')]);
  system = new SystemPage(byId('system'), {
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
    act: async (verb, question, seen, detector) => {
      if (question !== null && !(await confirmRollout(...question))) return;
      const { rollouts } = client;
      await attempt(() => (verb === 'promote' ? rollouts.promote(seen, { detector }) : rollouts[verb]({ detector })));
    },
    onWatch: watchSoon,
  });
}

const client = new SightlineClient({ url: PAGE_URL, onState: showConnection });
/** Of the visible tiles, of the open camera and of the roll-out. */
const pictures = client.comparisons({ streams: [] });
follow(client.stats(), showStats);
follow(client.events(), (event) => {
  if (event.kind === 'rule') once(openRail).catch(() => {});
  rail?.watch.add(event);
  events?.addEvent(event);
  camera?.addEvent(event);
  notice.addEvent(event);
});
follow(pictures, showPicture);
/** Of the open camera, while its live video is wanted. */
const results = client.results({ streams: [] });
follow(results, (message) => camera?.showResult(message));

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
  // It is tried again with the next report.
  if (message.host.alerts !== undefined || message.streams.some(({ events }) => (events?.raised ?? 0) > 0))
    once(openRail).catch(() => {});
  rail?.update(message.streams);
  events?.update(message);
  if (rail === null) stateLine.update(message.streams, message.host, message.fleet, null);
  else showAlerts();
  shownSystem()?.update(message);
  const { state } = message.rollout ?? {};
  setData(document.body, 'rollout', state === 'running' || state === 'holding' ? 'true' : null);
  camera?.update(message);
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
  shownSystem()?.showPicture(message);
  if (message.type === 'shadow') return;
  wall.showPreview(message);
  camera?.showPreview(message);
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
  const watched = focused == null ? visible : isKnown ? [focused] : [];
  // Its video takes the place of its pictures.
  const video = document.hidden ? null : (camera?.liveStream ?? null);
  results.update({ streams: video === null ? [] : [video.id] });
  const wanted = watched.filter((id) => !(video?.isShown && id === video.id));
  pictures.update({
    streams: document.hidden ? [] : [...new Set([...wanted, ...(shownSystem()?.watched ?? [])])],
  });
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
    events?.reload();
    camera?.reload();
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
async function showPlace() {
  const { hash } = location;
  const [, name, at, tab] = CAMERA_HASH.exec(hash) ?? [];
  const stream = name === undefined ? null : decoded(name);
  const before = focused;
  focused = stream;
  setData(document.body, 'open', stream);
  const [, view = 'wall', query = ''] = (stream === null && VIEW_HASH.exec(hash)) || [];
  // Rules may have been changed since.
  if (view === 'events' && document.body.dataset.tab !== view) notice.load();
  setData(document.body, 'tab', view);
  for (const link of byId('tabs').children) {
    if (/** @type {HTMLElement} */ (link).dataset.tab === view) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (newest !== null && stream !== null && !newest.streams.some(({ id }) => id === stream)) {
    showToast(`There is no camera "${stream}".`);
    location.hash = '';
    return;
  }
  wasThere = newest?.streams.some(({ id }) => id === stream) === true;
  if (newest !== null) wall.update(newest.streams);
  watchVisible();
  if (before !== stream) scrollTo(0, 0);
  await attempt(async () => {
    if (stream !== null) await once(openCameraPage);
    if (view === 'system') await once(openSystemPage);
    if (view === 'events') await once(openEventsPage);
  });
  // Another address may have been opened while the page was loaded.
  if (location.hash !== hash) return;
  camera?.show(stream, tab, at === undefined ? undefined : Number(at));
  if (view === 'events') events?.show(query);
  else events?.hide();
  if (newest !== null) {
    camera?.update(newest);
    shownSystem()?.update(newest);
    events?.update(newest);
  }
  watchVisible();
  if (before === undefined || before === stream) return;
  // What had the focus is hidden now.
  if (stream !== null) document.getElementById('back')?.focus();
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
byId('state-more').addEventListener('click', ({ currentTarget }) => {
  const button = /** @type {HTMLElement} */ (currentTarget);
  button.setAttribute('aria-expanded', String(button.getAttribute('aria-expanded') !== 'true'));
});
byId('sign-out').addEventListener('click', () =>
  attempt(async () => {
    await client.signOut();
    location.reload();
  }),
);
addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]') !== null) return;
  if (event.key === 'Escape' && focused !== null) location.hash = '';
  const isTyping = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'f' || event.key === 'F') showFigures(byId('figures').hidden !== false);
  else if (event.key === '/') filterField.focus();
  else if (event.key === '?') byId('keys-dialog', HTMLDialogElement).showModal();
  else if (event.key === 'n' || event.key === 'N') location.hash = rail?.watch.headline?.href ?? location.hash;
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
setUpAddSource();
showPlace();
