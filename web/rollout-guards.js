/** @import { GuardReport } from './lib/client/index.js' */

import { element, setData, setText } from './element.js';
import { formatName, formatNumber } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [240, 20];
/** Space beyond the outermost figure. */
const ROOM = 1.2;
const TONES = { pass: 'good', fail: 'bad', undecided: 'warn', 'no-data': 'idle' };

/** One row a guard: its verdict, and its interval as a bar against its margin. */
export class RolloutGuards {
  /** @type {Map<string, GuardRow>} */
  #rows = new Map();
  #empty = element('p', { class: 'none' }, 'No guard has reported yet.');
  #list = element('ul', { class: 'guards', 'aria-label': 'Guards' });
  node = element('div', {}, this.#empty, this.#list);

  /** @param {readonly GuardReport[]} reports */
  update(reports) {
    this.#empty.hidden = reports.length > 0;
    const names = new Set(reports.map(({ guard }) => guard));
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      row.node.remove();
      this.#rows.delete(name);
    }
    for (const report of reports) {
      let row = this.#rows.get(report.guard);
      if (row === undefined) {
        row = new GuardRow(report.guard);
        this.#rows.set(report.guard, row);
        this.#list.append(row.node);
      }
      row.update(report);
    }
  }
}

class GuardRow {
  #verdict = element('span', { class: 'guard-verdict' });
  #figures = element('span', { class: 'guard-figures' });
  #bar = shape('rect', { class: 'guard-bar', y: 6, height: 8, rx: 2 });
  #point = shape('circle', { class: 'guard-point', cy: 10, r: 4 });
  #zero = shape('line', { class: 'guard-zero', y1: 2, y2: 18 });
  #margins = [0, 1].map(() => shape('line', { class: 'guard-margin', y1: 0, y2: HEIGHT }));
  #svg = shape('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });

  /** @param {string} guard */
  constructor(guard) {
    this.#svg.append(this.#zero, this.#bar, ...this.#margins, this.#point);
    this.node = element(
      'li',
      { 'data-guard': guard },
      element(
        'span',
        { class: 'guard-name' },
        formatName(guard.replace(/([A-Z])/g, (letter) => `-${letter.toLowerCase()}`)),
      ),
      this.#verdict,
      this.#svg,
      this.#figures,
    );
  }

  /** @param {GuardReport} report */
  update({ kind, verdict, estimate, low, high, margin, frames, reason }) {
    setData(this.node, 'tone', TONES[verdict]);
    setText(this.#verdict, formatName(verdict));
    this.node.title = reason;
    const isHard = kind === 'hard';
    const figures = [figure(estimate), isHard ? `limit ${figure(margin)}` : `margin ${figure(margin)}`];
    setText(this.#figures, `${figures.join(', ')} · ${formatNumber(frames, 'frame')}`);
    this.#svg.setAttribute(
      'aria-label',
      `${reason} Interval ${figure(low)} to ${figure(high)}, margin ${figure(margin)}.`,
    );
    // A hard guard counts from zero to a limit; the others differ from the control in either direction.
    const known = [estimate, low, high].filter((value) => value !== null);
    const reach = Math.max(...[...known, margin].map(Math.abs), 1e-9) * ROOM;
    const from = isHard ? 0 : -reach;
    const x = (/** @type {number} */ value) =>
      ((Math.min(reach, Math.max(from, value)) - from) / (reach - from)) * WIDTH;
    place(this.#zero, { x1: x(0), x2: x(0) });
    const [left, right] = isHard ? [0, estimate ?? 0] : [low ?? -reach, high ?? reach];
    place(this.#bar, { x: x(left), width: Math.max(0, x(right) - x(left)) });
    this.#bar.toggleAttribute('hidden', estimate === null);
    this.#point.toggleAttribute('hidden', estimate === null);
    place(this.#point, { cx: x(estimate ?? 0) });
    this.#margins.forEach((line, i) => {
      const at = x(i === 0 ? margin : -margin);
      place(line, { x1: at, x2: at });
      line.toggleAttribute('hidden', isHard && i === 1);
    });
  }
}

/**
 * @param {'svg' | 'rect' | 'circle' | 'line'} tag
 * @param {Attributes} attributes
 */
function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  place(made, attributes);
  return made;
}

/** @typedef {Readonly<Record<string, string | number>>} Attributes */

/**
 * @param {SVGElement} node
 * @param {Attributes} attributes
 */
function place(node, attributes) {
  for (const [name, value] of Object.entries(attributes))
    node.setAttribute(name, typeof value === 'number' ? String(Math.round(value * 10) / 10) : value);
}

/** @param {number | null} value */
function figure(value) {
  return value === null ? 'none' : String(Number(value.toPrecision(3)));
}
