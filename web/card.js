/** @import { Preview, StreamReport, StreamState } from './lib/client/index.js' */

import { CardFigures } from './card-figures.js';
import { StreamChart } from './chart.js';
import { element, iconButton, runBusy, setData, setIcon, setText } from './element.js';
import { formatDate, formatName } from './format.js';
import { gateway } from './gateway.js';
import { HISTORY_S, History } from './history.js';
import { PictureView } from './overlay.js';
import { RovingTabStop } from './roving.js';

/** @typedef {'large' | 'medium' | 'compact' | 'dense'} Density */

/**
 * What the buttons of a card do with its stream.
 *
 * @typedef {object} StreamActions
 * @property {(id: string) => Promise<void>} pause
 * @property {(id: string) => Promise<void>} resume
 * @property {(id: string) => Promise<void>} remove
 * @property {(id: string) => void} focus
 */

/**
 * Colour of each state.
 *
 * @type {Record<StreamState, string>}
 */
const TONES = {
  starting: 'busy',
  running: 'good',
  reconnecting: 'warn',
  pausing: 'busy',
  paused: 'idle',
  ended: 'idle',
  failed: 'bad',
  removing: 'busy',
  removed: 'idle',
};
/** Height of a dense card's head. */
const DENSE_HEAD_PX = 28;
/** @type {ReadonlySet<StreamState | undefined>} */
const CAN_RESUME = new Set(['paused', 'pausing']);
/** @type {ReadonlySet<StreamState>} */
const CANNOT_PAUSE = new Set(['ended', 'failed', 'removing', 'removed']);

/**
 * Returns whether an operator should look at the stream.
 *
 * @param {StreamReport} report
 */
export function needsAttention({ state, isMissing }) {
  return isMissing.fps || isMissing.latency || state === 'reconnecting' || state === 'failed';
}

/**
 * The last error with its time; of a stream that could not be started, with the attempts so far and whether another one follows.
 *
 * @param {StreamReport} report
 */
function errorText({ state, lastError, lastErrorAtMs, startFailure }) {
  if (lastError === null) return '';
  const time = lastErrorAtMs == null ? '' : formatDate(lastErrorAtMs);
  if (startFailure === undefined && state === 'running')
    return `Last error${time === '' ? '' : `, ${time}`}: ${lastError}`;
  const since = time === '' ? '' : `, since ${time}`;
  if (startFailure === undefined) return `${lastError}${since}`;
  const { code, attempts, retryAtMs } = startFailure;
  const tries = attempts === 1 ? 'tried once' : `tried ${attempts} times`;
  const idle = state === 'paused' ? 'paused' : 'not tried again by itself';
  return `${lastError} [${code}]${since}, ${tries}, ${retryAtMs === null ? idle : 'will be tried again'}`;
}

/** The card of one stream: picture, figures, charts and buttons. */
export class StreamCard {
  id;
  node;
  isVisible = false;
  /** @type {StreamReport | null} */
  report = null;
  #history = new History();
  picture = new PictureView();
  #figures = new CardFigures();
  #charts = [new StreamChart('fps'), new StreamChart('latency')];
  #hasHistory = false;
  #isDense = false;
  #badge = element('span', { class: 'badge' });
  #host = element('span', { class: 'card-host' });
  #source = element('span', { class: 'source' });
  #miss = element('p', { class: 'miss', role: 'status' });
  #error = element('p', { class: 'card-error' });
  #warning = element('p', { class: 'card-warning', role: 'status' });
  #veilState = element('b', {});
  #veilError = element('span', { class: 'veil-error' });
  #veil = element('p', { class: 'veil' }, this.#veilState, this.#veilError);
  /** @type {HTMLButtonElement} */
  #toggle;
  #details;
  #tabStop;

  /**
   * @param {string} id
   * @param {StreamActions} actions
   */
  constructor(id, actions) {
    this.id = id;
    this.#toggle = iconButton('pause', `Pause ${id}`, () =>
      runBusy(this.#toggle, () => (CAN_RESUME.has(this.report?.state) ? actions.resume : actions.pause)(id)),
    );
    const details = iconButton('focus', `Details and settings of ${id}`, () => actions.focus(id));
    details.classList.add('focus-button');
    this.#details = details;
    const remove = iconButton('remove', `Remove ${id}`, () => runBusy(remove, () => actions.remove(id)));
    for (const button of [this.#toggle, remove]) setData(button, 'needs', 'operator');
    const buttons = element('div', { class: 'card-buttons', 'aria-label': id }, this.#toggle, details, remove);
    this.#tabStop = new RovingTabStop(buttons, [this.#toggle, details, remove]);
    const head = element(
      'header',
      { class: 'card-head' },
      element('h2', { class: 'card-title', title: id }, id),
      this.#badge,
      this.#host,
      this.#source,
      buttons,
    );
    this.picture.node.append(this.#veil);
    // The picture is the largest part of a small card, and on a phone the only one that is easy to hit.
    this.picture.node.addEventListener('click', () => {
      if (this.#isDense) actions.focus(id);
    });
    this.node = element(
      'article',
      { class: 'card', 'aria-label': `Stream ${id}`, 'data-stream': id },
      head,
      this.picture.node,
      this.#miss,
      element('div', { class: 'side' }, this.#figures.tiles, this.#figures.details),
      element('div', { class: 'charts' }, ...this.#charts.map(({ node }) => node)),
      this.#warning,
      this.#error,
    );
  }

  /**
   * Builds the charts for a density.
   *
   * @param {Density} density
   */
  setDensity(density) {
    this.#isDense = density === 'dense';
    for (const chart of this.#charts) chart.build(this.#isDense);
    // The name of the stream is drawn over the picture of a dense card.
    this.picture.reservedTopPx = this.#isDense ? DENSE_HEAD_PX : 0;
  }

  /**
   * Stores a report. A card that is out of view is drawn when it comes into view.
   *
   * @param {number} timeMs
   * @param {StreamReport} report
   */
  update(timeMs, report) {
    this.report = report;
    this.#history.push(timeMs, report);
    if (this.isVisible) this.draw();
  }

  draw() {
    const { report } = this;
    if (report === null) return;
    if (!this.#hasHistory) this.#loadHistory();
    const { state, source, isMissing, target, width, height } = report;
    setData(this.node, 'tone', TONES[state]);
    setData(this.node, 'missing', isMissing.fps || isMissing.latency ? 'true' : null);
    setText(this.#badge, formatName(state));
    setText(this.#host, report.host ?? '');
    this.#host.title = report.host === undefined ? '' : `Runs on ${report.host}`;
    const size = width === null ? '' : `${width} x ${height}, `;
    setText(this.#source, `${size}${source}`);
    this.#source.title = `${source}, ${report.policy}`;
    this.#drawMiss(report);
    const error = errorText(report);
    this.#veil.hidden = state === 'running';
    setText(this.#veilState, formatName(state));
    setText(this.#veilError, error);
    setText(this.#error, error);
    setText(this.#warning, report.trackProblem ?? '');
    setData(this.#error, 'past', state === 'running' ? 'true' : null);
    this.#drawToggle(report);
    // The role, the density and the state decide which buttons are shown.
    this.#tabStop.update();
    this.#figures.update(report);
    this.picture.places = report;
    this.#charts[0].update(this.#history, target.fps);
    this.#charts[1].update(this.#history, target.latencyMs);
  }

  /** Fills the charts with the gateway's history; without an answer they start empty. */
  async #loadHistory() {
    this.#hasHistory = true;
    try {
      this.#history.load(await gateway.streams.history(this.id, HISTORY_S));
      this.draw();
    } catch {
      // It is fetched again after the next connection.
    }
  }

  /** Call it after a loss of the connection: the reports of that time are missing. */
  forgetHistory() {
    this.#hasHistory = false;
  }

  /** @param {Preview} message */
  showPreview(message) {
    if (this.isVisible) this.picture.show(message);
  }

  destroy() {
    for (const chart of this.#charts) chart.destroy();
    this.picture.destroy();
    this.node.remove();
  }

  /**
   * The gateway says why a target is missed; hosts of earlier versions say only that it is.
   *
   * @param {StreamReport} report
   */
  #drawMiss(report) {
    const { state, isMissing, missReasons, fps, target, latencyMs } = report;
    const misses = [];
    if (isMissing.fps) misses.push(missReasons?.fps ?? `${fps.published.toFixed(1)} fps, target ${target.fps}`);
    if (isMissing.latency)
      misses.push(missReasons?.latency ?? `p99 ${latencyMs.window.p99.toFixed(0)} ms, target ${target.latencyMs} ms`);
    const text = misses.length === 0 ? '' : `Target missed: ${misses.join('; ')}`;
    setText(this.#miss, text);
    this.picture.node.title = state === 'running' ? text : errorText(report);
  }

  /** @param {StreamReport} report */
  #drawToggle({ state, startFailure }) {
    const canResume = CAN_RESUME.has(state);
    setIcon(this.#toggle, canResume ? 'resume' : 'pause', `${canResume ? 'Resume' : 'Pause'} ${this.id}`);
    // A stream that could not be started is tried again until it is paused.
    this.#toggle.hidden = CANNOT_PAUSE.has(state) && startFailure === undefined;
  }

  /** Moves the focus to its buttons. */
  focusButtons() {
    this.#tabStop.focus();
  }

  /** Moves the focus to the button that shows it large, which was hidden meanwhile. */
  focusDetails() {
    this.#tabStop.focus(this.#details);
  }
}
