/** @import { StreamReport } from './lib/client/index.js' */

import { element, setData, setText } from './element.js';
import { formatCount, formatFps, formatMs, formatName } from './format.js';
import { History } from './history.js';
import { droppedOf, STAGES, StageBar } from './stages.js';
import { troubleOf } from './trouble.js';

/** Points of the small curve: two minutes at one report a second. */
const CURVE_POINTS = 120;
const CURVE = { width: 64, height: 18 };

const windowOf =
  (/** @type {'p50' | 'p95' | 'p99'} */ name) =>
  (/** @type {StreamReport} */ { latencyMs }) =>
    latencyMs.window.count === 0 ? null : latencyMs.window[name];

/**
 * A column: its value sorts the rows, its text is shown.
 *
 * @typedef {object} Column
 * @property {string} title
 * @property {(report: StreamReport) => string | number | null} value
 * @property {(value: number, report: StreamReport) => string} [text] of a number; default: with thousands separators
 * @property {(values: readonly number[]) => number} [total] default: the sum
 * @property {(report: StreamReport) => boolean} [isBad]
 */

/** @param {readonly number[]} values */
const largest = (values) => Math.max(0, ...values);
/** @param {number | null} target */
const besideTarget = (target) => (target === null ? '' : ` / ${target}`);

/** @type {readonly Column[]} */
const COLUMNS = [
  { title: 'Camera', value: ({ id }) => id },
  {
    title: 'Frames/s',
    value: ({ fps }) => fps.published,
    text: (value, { target }) => formatFps(value) + besideTarget(target.fps),
    isBad: ({ isMissing }) => isMissing.fps,
  },
  { title: 'p50 ms', value: windowOf('p50'), text: formatMs, total: largest },
  { title: 'p95 ms', value: windowOf('p95'), text: formatMs, total: largest },
  {
    title: 'p99 ms',
    value: windowOf('p99'),
    text: (value, { target }) => formatMs(value) + besideTarget(target.latencyMs),
    total: largest,
    isBad: ({ isMissing }) => isMissing.latency,
  },
  { title: 'In', value: ({ frames }) => frames.in },
  { title: 'Published', value: ({ frames }) => frames.published },
  { title: 'Dropped', value: ({ frames }) => droppedOf(frames) },
  { title: 'Reason', value: (report) => reasonsOf(report) },
  { title: 'In flight', value: ({ frames }) => frames.inFlight },
  { title: 'Reconnects', value: ({ reconnects }) => reconnects },
  { title: 'Errors', value: ({ decodeErrors }) => decodeErrors },
];

/** The figures of all cameras as one table, sorted by any column. */
export class FiguresTable {
  #node;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #body = element('tbody', {});
  #totals = COLUMNS.map(() => element('td', {}));
  #heads = COLUMNS.map(({ title }, i) => {
    const button = element('button', { type: 'button' }, title);
    button.addEventListener('click', () => this.#sortBy(i));
    return element('th', { scope: 'col' }, button);
  });
  /** @type {{ column: number, isDescending: boolean } | null} */
  #order = null;

  /** @param {HTMLElement} node */
  constructor(node) {
    this.#node = node;
    const [camera, fps, ...heads] = this.#heads;
    const [all, allFps, ...totals] = this.#totals;
    node.append(
      element(
        'table',
        {},
        element('caption', { class: 'visually-hidden' }, 'Figures of all cameras'),
        element('thead', {}, element('tr', {}, camera, fps, th('2 min'), th('Stages'), ...heads)),
        this.#body,
        element('tfoot', {}, element('tr', {}, all, allFps, element('td', {}), element('td', {}), ...totals)),
      ),
      element(
        'p',
        { class: 'figures-note' },
        element(
          'span',
          { class: 'stage-keys' },
          ...STAGES.map((stage) => element('span', { 'data-stage': stage }, element('i', {}), stage)),
        ),
        'In = published + dropped + in flight',
      ),
    );
  }

  /**
   * @param {number} timeMs
   * @param {readonly StreamReport[]} reports of all streams
   * @param {readonly StreamReport[]} shown those that the filter shows
   */
  update(timeMs, reports, shown) {
    const ids = new Set(reports.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
    for (const report of reports) {
      const row = this.#rows.get(report.id) ?? new Row(report.id);
      this.#rows.set(report.id, row);
      row.push(timeMs, report);
    }
    if (this.#node.hidden) return;
    for (const { id } of shown) this.#rows.get(id)?.draw();
    this.#arrange(shown);
    for (const [i, { value, total = sum, text = formatCount }] of COLUMNS.entries()) {
      const values = shown.map(value).filter((each) => typeof each === 'number');
      const report = shown[0];
      const isSum = values.length > 0 && report !== undefined;
      const of = { ...report, target: { fps: null, latencyMs: null } };
      setText(this.#totals[i], isSum ? text(total(values), /** @type {StreamReport} */ (of)) : i === 0 ? 'All' : '');
    }
  }

  /**
   * @param {readonly StreamReport[]} shown
   * @param {boolean} [isSorting] somebody has asked for another order
   */
  #arrange(shown, isSorting = false) {
    const sorted = [...shown];
    if (this.#order !== null) {
      const { column, isDescending } = this.#order;
      const { value } = COLUMNS[column];
      sorted.sort((a, b) => (isDescending ? -1 : 1) * compare(value(a), value(b)));
    }
    const nodes = sorted.flatMap(({ id }) => this.#rows.get(id)?.node ?? []);
    // A row that has the focus keeps its place among the others until it has lost it.
    const isHeld = this.#body.contains(document.activeElement) && nodes.length === this.#body.children.length;
    if (isHeld && !isSorting) return;
    for (const [i, node] of nodes.entries()) {
      const there = this.#body.children[i] ?? null;
      if (there !== node) this.#body.insertBefore(node, there);
    }
    while (this.#body.children.length > nodes.length) this.#body.lastElementChild?.remove();
  }

  /** The first click shows the largest figure first, or names from A on. @param {number} column */
  #sortBy(column) {
    const isDescending = this.#order?.column === column ? !this.#order.isDescending : column > 0;
    this.#order = { column, isDescending };
    for (const [i, head] of this.#heads.entries())
      if (i === column) head.setAttribute('aria-sort', isDescending ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    this.#arrange(
      [...this.#body.children].flatMap((node) => this.#rowOf(node)?.report ?? []),
      true,
    );
  }

  /** @param {Element} node */
  #rowOf(node) {
    return [...this.#rows.values()].find((row) => row.node === node);
  }
}

class Row {
  /** @type {StreamReport | null} */
  report = null;
  node;
  #history = new History(CURVE_POINTS);
  #cells = COLUMNS.map(() => element('td', {}));
  #curve = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  #stages = new StageBar();

  /** @param {string} id */
  constructor(id) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', `0 0 ${CURVE.width} ${CURVE.height}`);
    svg.setAttribute('class', 'curve');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(this.#curve);
    const [, fps, ...others] = this.#cells;
    const link = element('a', { href: `#stream=${encodeURIComponent(id)}` }, id);
    this.node = element(
      'tr',
      { 'data-row': id },
      element('th', { scope: 'row' }, link),
      fps,
      element('td', {}, svg),
      element('td', {}, this.#stages.node),
      ...others,
    );
  }

  /**
   * @param {number} timeMs
   * @param {StreamReport} report
   */
  push(timeMs, report) {
    this.report = report;
    this.#history.push(timeMs, report);
  }

  draw() {
    const { report } = this;
    if (report === null) return;
    const trouble = troubleOf(report);
    setData(this.node, 'state', report.state);
    COLUMNS.forEach(({ value, text = formatCount, isBad }, i) => {
      if (i === 0) return;
      const shown = value(report);
      // In place of the rate of a camera that sends nothing stands what is wrong with it.
      const isGone = trouble !== null && i === 1;
      const words = isGone ? trouble.title : typeof shown === 'number' ? text(shown, report) : (shown ?? '-');
      setText(this.#cells[i], words);
      setData(this.#cells[i], 'bad', isGone || isBad?.(report) === true ? 'true' : null);
    });
    const values = this.#history.column('fpsPublished');
    const most = Math.max(1e-9, report.target.fps ?? 0, ...values.map((value) => value ?? 0));
    const points = values.flatMap((value, i) => {
      const x = CURVE.width * (1 - (values.length - 1 - i) / CURVE_POINTS);
      return value === null
        ? []
        : [`${x.toFixed(1)},${(CURVE.height - 1 - (CURVE.height - 2) * (value / most)).toFixed(1)}`];
    });
    this.#curve.setAttribute('points', points.join(' '));
    this.#stages.update(report.stagesMs);
  }
}

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/**
 * What is unknown comes last in ascending order.
 *
 * @param {string | number | null} a
 * @param {string | number | null} b
 */
function compare(a, b) {
  if (typeof a === 'string' && typeof b === 'string') return a.localeCompare(b, undefined, { numeric: true });
  return Number(a ?? Number.NEGATIVE_INFINITY) - Number(b ?? Number.NEGATIVE_INFINITY);
}

/** @param {StreamReport} report */
function reasonsOf({ frames }) {
  const reasons = Object.entries(frames.dropped).filter(([, count]) => count > 0);
  return reasons.map(([reason, count]) => `${formatName(reason).toLowerCase()} ${formatCount(count)}`).join(', ');
}

/** @param {string} title */
function th(title) {
  return element('th', { scope: 'col' }, title);
}
