/** @import { StreamReport } from './lib/client/index.js' */

import { StreamChart } from './chart.js';
import { element } from './element.js';
import { gateway } from './gateway.js';
import { HISTORY_S, History } from './history.js';

const HOUR_S = 3600;
/** One point more than an hour has, for gaps. */
const HOUR_POINTS = 400;
/** The gateway adds a point of an hour every ten seconds. */
const REFRESH_MS = 10_000;
const SPANS = [
  { text: '3 min', seconds: HISTORY_S },
  { text: '1 hour', seconds: HOUR_S },
];
const SCHEME = matchMedia('(prefers-color-scheme: dark)');

/** Rate and latency of one camera in the last hour, or in its last minutes second by second. */
export class CameraCharts {
  #id;
  #spanS = HOUR_S;
  #history = new History(HOUR_POINTS);
  #loadedAtMs = Number.NEGATIVE_INFINITY;
  /** @type {StreamReport['target']} */
  #target = { fps: null, latencyMs: null };
  #charts = [new StreamChart('fps'), new StreamChart('latency')];
  #buttons = SPANS.map(({ text, seconds }) => {
    const button = element('button', { type: 'button' }, text);
    button.addEventListener('click', () => this.#choose(seconds));
    return button;
  });
  #rebuild = () => {
    for (const chart of this.#charts) chart.build();
  };
  node = element(
    'div',
    { class: 'charts' },
    element('fieldset', { class: 'switch', 'aria-label': 'Time' }, ...this.#buttons),
    ...this.#charts.map(({ node }) => node),
  );

  /** @param {string} id of the stream */
  constructor(id) {
    this.#id = id;
    SCHEME.addEventListener('change', this.#rebuild);
    this.#choose(HOUR_S);
  }

  /** @param {number} seconds */
  #choose(seconds) {
    this.#spanS = seconds;
    this.#history = new History(seconds === HOUR_S ? HOUR_POINTS : HISTORY_S);
    this.#loadedAtMs = Number.NEGATIVE_INFINITY;
    for (const [i, button] of this.#buttons.entries())
      button.setAttribute('aria-pressed', String(SPANS[i].seconds === seconds));
    for (const chart of this.#charts) chart.spanS = seconds;
    this.#rebuild();
  }

  /**
   * @param {number} timeMs
   * @param {StreamReport} report
   */
  update(timeMs, report) {
    const isHour = this.#spanS === HOUR_S;
    if (performance.now() - this.#loadedAtMs >= (isHour ? REFRESH_MS : Number.POSITIVE_INFINITY)) this.#load();
    if (!isHour) this.#history.push(timeMs, report);
    this.#target = report.target;
    this.#draw();
  }

  #draw() {
    this.#charts[0].update(this.#history, this.#target.fps);
    this.#charts[1].update(this.#history, this.#target.latencyMs);
  }

  /** Fetches what is missing after a loss of the connection. */
  forget() {
    this.#loadedAtMs = Number.NEGATIVE_INFINITY;
  }

  async #load() {
    this.#loadedAtMs = performance.now();
    const history = this.#history;
    try {
      const reply = await gateway.streams.history(this.#id, this.#spanS);
      if (history !== this.#history) return;
      history.load(reply);
      this.#draw();
    } catch {
      // The page already shows that the connection is lost; it is fetched again after the next one.
    }
  }

  destroy() {
    SCHEME.removeEventListener('change', this.#rebuild);
    for (const chart of this.#charts) chart.destroy();
  }
}
