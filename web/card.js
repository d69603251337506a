/** @import { Preview, StreamReport, StreamState } from './lib/client/index.js' */

import { CardFigures } from './card-figures.js';
import { StreamChart } from './chart.js';
import { element, iconButton, runBusy, setData, setIcon, setText } from './element.js';
import { formatName } from './format.js';
import { gateway } from './gateway.js';
import { HISTORY_S, History } from './history.js';
import { PictureView } from './overlay.js';
import { errorText, missText, signText } from './trouble.js';

/**
 * What the buttons of a card do with its stream.
 *
 * @typedef {object} StreamActions
 * @property {(id: string) => Promise<void>} pause
 * @property {(id: string) => Promise<void>} resume
 * @property {(id: string) => Promise<void>} remove
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
const SCHEME = matchMedia('(prefers-color-scheme: dark)');
/** @type {ReadonlySet<StreamState | undefined>} */
const CAN_RESUME = new Set(['paused', 'pausing']);
/** @type {ReadonlySet<StreamState>} */
const CANNOT_PAUSE = new Set(['ended', 'failed', 'removing', 'removed']);

/** One stream on the page of its camera: picture, figures, charts and buttons. */
export class StreamCard {
  id;
  node;
  /** @type {StreamReport | null} */
  report = null;
  #history = new History();
  picture = new PictureView();
  #figures = new CardFigures();
  #charts = [new StreamChart('fps'), new StreamChart('latency')];
  #hasHistory = false;
  #badge = element('span', { class: 'badge' });
  #host = element('span', { class: 'card-host' });
  #source = element('span', { class: 'source' });
  #miss = element('p', { class: 'miss', role: 'status' });
  #error = element('p', { class: 'card-error' });
  #warning = element('p', { class: 'card-warning', role: 'status' });
  #veil = element('p', { class: 'veil' });
  /** @type {HTMLButtonElement} */
  #toggle;
  #rebuild = () => {
    for (const chart of this.#charts) chart.build();
  };

  /**
   * @param {string} id
   * @param {StreamActions} actions
   */
  constructor(id, actions) {
    this.id = id;
    this.#toggle = iconButton('pause', `Pause ${id}`, () =>
      runBusy(this.#toggle, () => (CAN_RESUME.has(this.report?.state) ? actions.resume : actions.pause)(id)),
    );
    const remove = iconButton('remove', `Remove ${id}`, () => runBusy(remove, () => actions.remove(id)));
    for (const button of [this.#toggle, remove]) setData(button, 'needs', 'operator');
    const buttons = element('div', { class: 'card-buttons' }, this.#toggle, remove);
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
    for (const chart of this.#charts) chart.build();
    SCHEME.addEventListener('change', this.#rebuild);
    this.node = element(
      'article',
      { class: 'card', 'aria-label': `Stream ${id}`, 'data-camera': id },
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
   * @param {number} timeMs
   * @param {StreamReport} report
   */
  update(timeMs, report) {
    this.report = report;
    this.#history.push(timeMs, report);
    this.#draw(report);
  }

  /** @param {StreamReport} report */
  #draw(report) {
    if (!this.#hasHistory) this.#loadHistory();
    const { state, source, isMissing, target, width, height } = report;
    setData(this.node, 'tone', signText(report) === '' ? TONES[state] : TONES.reconnecting);
    setData(this.node, 'missing', isMissing.fps || isMissing.latency ? 'true' : null);
    setText(this.#badge, signText(report) || formatName(state));
    setText(this.#host, report.host ?? '');
    this.#host.title = report.host === undefined ? '' : `Runs on ${report.host}`;
    const size = width === null ? '' : `${width} x ${height}, `;
    setText(this.#source, `${size}${source}`);
    this.#source.title = `${source}, ${report.policy}`;
    setText(this.#miss, missText(report));
    const error = errorText(report);
    this.#veil.hidden = state === 'running';
    setText(this.#veil, formatName(state));
    setText(this.#error, error);
    setText(this.#warning, report.trackProblem ?? '');
    setData(this.#error, 'past', state === 'running' ? 'true' : null);
    this.#drawToggle(report);
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
      if (this.report !== null) this.#draw(this.report);
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
    this.picture.show(message);
  }

  destroy() {
    SCHEME.removeEventListener('change', this.#rebuild);
    for (const chart of this.#charts) chart.destroy();
    this.picture.destroy();
    this.node.remove();
  }

  /** @param {StreamReport} report */
  #drawToggle({ state, startFailure }) {
    const canResume = CAN_RESUME.has(state);
    setIcon(this.#toggle, canResume ? 'resume' : 'pause', `${canResume ? 'Resume' : 'Pause'} ${this.id}`);
    // A stream that could not be started is tried again until it is paused.
    this.#toggle.hidden = CANNOT_PAUSE.has(state) && startFailure === undefined;
  }
}
