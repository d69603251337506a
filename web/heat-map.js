/** @import { HeatReply } from './lib/client/index.js' */

import { formatDuration } from './format.js';
import { gateway } from './gateway.js';
import { html, nothing } from './html.js';

const HOUR_MS = 3_600_000;
const REFRESH_MS = 60_000;
const SPANS = [
  { text: '24 h', hours: 24 },
  { text: '7 days', hours: 168 },
];
/** Few to many: red, green, blue. The legend has the same colours. */
const RAMP = [
  [43, 108, 255],
  [34, 193, 195],
  [99, 214, 79],
  [255, 214, 64],
  [255, 92, 40],
];
const OPACITY = 190;

/** Where objects stood in the picture of one camera, and for how long: drawn over the picture, with its legend. */
export class HeatMap {
  #id;
  #onChange;
  #onError;
  #hours = SPANS[0].hours;
  /** @type {HeatReply | null} */
  #found = null;
  #asked = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #canvas = document.createElement('canvas');
  isOn = false;

  /**
   * @param {string} id of the stream
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(id, onChange, onError) {
    this.#id = id;
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** What to draw over the whole picture; null while it is off or nothing is known. Asks again once a minute. */
  get canvas() {
    if (!this.isOn) return null;
    if (performance.now() - this.#askedAtMs > REFRESH_MS) this.#load();
    return this.#found === null ? null : this.#canvas;
  }

  /** What the button says: the time that it is about. */
  get label() {
    return `Heat map, ${SPANS.find(({ hours }) => hours === this.#hours)?.text}`;
  }

  toggle() {
    this.isOn = !this.isOn;
    this.#onChange();
  }

  async #load() {
    this.#asked += 1;
    const asked = this.#asked;
    this.#askedAtMs = performance.now();
    try {
      const found = await gateway.heat(this.#id, { fromMs: Date.now() - this.#hours * HOUR_MS });
      if (asked !== this.#asked) return;
      this.#found = found;
      paint(this.#canvas, found);
      this.#onChange();
    } catch (error) {
      if (asked === this.#asked) this.#onError(error);
    }
  }

  /** The legend with its switch. */
  template() {
    const { cells = [], seenS = 0 } = this.#found ?? {};
    const most = Math.max(0, ...cells);
    const text =
      this.#found === null
        ? ''
        : most === 0
          ? 'Nothing stood anywhere in this time.'
          : `Of ${formatDuration(Math.round(seenS))} watched. Longest at one place: ${formatDuration(Math.round(most))}.`;
    return html`<section class="detail heat">
      <h3>Heat map <small>where objects stood</small></h3>
      <fieldset class="switch" aria-label="Heat map">
        <button type="button" aria-pressed=${!this.isOn} @click=${() => this.isOn && this.toggle()}>Off</button>
        ${SPANS.map(
          ({ text: span, hours }) => html`<button type="button" aria-pressed=${this.isOn && hours === this.#hours}
            @click=${() => this.#choose(hours)}>${span}</button>`,
        )}
      </fieldset>
      ${this.isOn ? html`<p class="heat-keys">few <i class="heat-ramp"></i> many</p><p class="none">${text}</p>` : nothing}
    </section>`;
  }

  /** @param {number} hours */
  #choose(hours) {
    if (hours !== this.#hours) {
      this.#askedAtMs = Number.NEGATIVE_INFINITY;
      this.#found = null;
    }
    this.#hours = hours;
    this.isOn = true;
    this.#onChange();
  }
}

/** Pixels of the drawing along an edge of a cell. */
const FINE = 6;

/**
 * Draws the cells so that one passes into the next.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HeatReply} reply
 */
function paint(canvas, { columns, rows, cells }) {
  [canvas.width, canvas.height] = [columns * FINE, rows * FINE];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const image = context.createImageData(canvas.width, canvas.height);
  const most = Math.max(...cells, 1e-9);
  // The root shows paths beside the places where objects stay for long.
  const heats = cells.map((seconds) => Math.sqrt(seconds / most));
  const heatAt = (/** @type {number} */ column, /** @type {number} */ row) =>
    heats[Math.min(rows - 1, Math.max(0, row)) * columns + Math.min(columns - 1, Math.max(0, column))];
  for (let y = 0; y < canvas.height; y++)
    for (let x = 0; x < canvas.width; x++) {
      const [column, row] = [(x + 0.5) / FINE - 0.5, (y + 0.5) / FINE - 0.5];
      const [left, top] = [Math.floor(column), Math.floor(row)];
      const [right, below] = [column - left, row - top];
      const upper = heatAt(left, top) * (1 - right) + heatAt(left + 1, top) * right;
      const lower = heatAt(left, top + 1) * (1 - right) + heatAt(left + 1, top + 1) * right;
      image.data.set(colorOf(upper * (1 - below) + lower * below), 4 * (y * canvas.width + x));
    }
  context.putImageData(image, 0, 0);
}

/** @param {number} heat 0 to 1 */
function colorOf(heat) {
  const at = heat * (RAMP.length - 1);
  const [from, to] = [RAMP[Math.floor(at)], RAMP[Math.ceil(at)]];
  const color = from.map((value, part) => value + (to[part] - value) * (at % 1));
  return [...color, Math.min(1, 2 * heat) * OPACITY];
}
