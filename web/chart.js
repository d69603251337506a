/** @import { Column, History } from './history.js' */

import { element, setText } from './element.js';
import { formatFps, formatMinute, formatMs, formatTime } from './format.js';
import { HISTORY_S } from './history.js';
import uPlot from './vendor/uplot/uPlot.esm.js';

/**
 * @typedef {object} Series
 * @property {Column} column
 * @property {string} label
 * @property {string} color name of a CSS property
 * @property {boolean} [isMain]
 *
 * @typedef {object} ChartKind
 * @property {string} title
 * @property {(value: number) => string} format
 * @property {readonly Series[]} series in drawing order
 */

/** @satisfies {Record<string, ChartKind>} */
const CHARTS = {
  fps: {
    title: 'Frames/s',
    format: formatFps,
    series: [
      { column: 'fpsIn', label: 'in', color: '--series-3' },
      { column: 'fpsPublished', label: 'published', color: '--series-1', isMain: true },
    ],
  },
  latency: {
    title: 'Latency, ms',
    format: formatMs,
    series: [
      { column: 'p50', label: 'p50', color: '--series-3' },
      { column: 'p95', label: 'p95', color: '--series-2' },
      { column: 'p99', label: 'p99', color: '--series-1', isMain: true },
    ],
  },
};

/** Right of the plot, for half of a label. */
const RIGHT_PX = 18;
/** Widest digit of a label. */
const CHAR_PX = 7;

/** One chart of one stream, with axes and legend. */
export class StreamChart {
  node = element('figure', { class: 'chart' });
  /** @type {ChartKind} */
  #kind;
  /** Width of the time axis, seconds; a change shows with the next `build`. */
  spanS = HISTORY_S;
  /** @type {uPlot | null} */
  #plot = null;
  /** @type {readonly Series[]} */
  #series;
  /** @type {HTMLElement[]} */
  #values = [];
  #area = element('div', { class: 'chart-area' });
  /** @type {number | null} */
  #target = null;
  /** @type {History | null} */
  #history = null;
  #resizes = new ResizeObserver(() => this.#fit());

  /** @param {keyof typeof CHARTS} kind */
  constructor(kind) {
    this.#kind = CHARTS[kind];
    this.#series = this.#kind.series;
    this.#resizes.observe(this.#area);
  }

  /** Builds the chart, again after a change of the colour scheme. */
  build() {
    this.#plot?.destroy();
    this.#values = this.#series.map(() => element('b', {}));
    const legend = this.#series.map(({ label, color }, i) =>
      element('span', { class: 'key', 'data-color': color.slice(2) }, element('i', {}), ` ${label} `, this.#values[i]),
    );
    const caption = element('figcaption', { class: 'chart-head' }, element('span', {}, this.#kind.title), ...legend);
    this.node.replaceChildren(caption, this.#area);
    this.#plot = new uPlot(this.#options(), [[], ...this.#series.map(() => /** @type {number[]} */ ([]))], this.#area);
    this.#fit();
    if (this.#history !== null) this.update(this.#history, this.#target);
  }

  /**
   * @param {History} history
   * @param {number | null} target
   */
  update(history, target) {
    this.#history = history;
    this.#target = target;
    if (this.#plot === null) return;
    this.#plot.setData([history.times, ...this.#series.map(({ column }) => history.column(column))]);
    this.#showValues(null);
  }

  destroy() {
    this.#resizes.disconnect();
    this.#plot?.destroy();
  }

  /** @returns {uPlot.Options} */
  #options() {
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color('--text-muted'),
      font: '11px system-ui, sans-serif',
      grid: { stroke: color('--grid'), width: 1 },
      ticks: { show: false },
    };
    return {
      width: 100,
      height: 40,
      padding: [8, RIGHT_PX, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false, x: false } },
      scales: {
        x: { time: true, range: (_plot, _min, max) => [(max ?? 0) - this.spanS, max ?? 1] },
        y: { range: (_plot, _min, max) => [0, Math.max(max ?? 0, this.#target ?? 0, 1) * 1.15] },
      },
      axes: [
        {
          ...axis,
          size: 22,
          space: 70,
          values: (plot, ticks) => ticks.map((seconds) => this.#timeLabel(plot, seconds)),
        },
        {
          ...axis,
          size: (_plot, values) =>
            Math.max(38, 14 + CHAR_PX * Math.max(0, ...(values ?? []).map((text) => text.length))),
          space: 28,
        },
      ],
      series: [{}, ...this.#series.map((series) => this.#line(series, color))],
      hooks: {
        draw: [(plot) => this.#drawTarget(plot, color('--target'))],
        setCursor: [(plot) => this.#showValues(plot.cursor.idx ?? null)],
      },
    };
  }

  /**
   * The label of a time; none where it would not fit beside the right edge.
   *
   * @param {uPlot} plot
   * @param {number} seconds
   */
  #timeLabel(plot, seconds) {
    const text = (this.spanS > HISTORY_S ? formatMinute : formatTime)(seconds * 1000);
    const roomPx = plot.bbox.width / devicePixelRatio + RIGHT_PX - plot.valToPos(seconds, 'x');
    return roomPx < (CHAR_PX * text.length) / 2 ? '' : text;
  }

  /**
   * @param {Series} series
   * @param {(name: string) => string} color
   * @returns {uPlot.Series}
   */
  #line({ color: name, isMain }, color) {
    return {
      stroke: color(name),
      width: isMain ? 1.75 : 1.25,
      ...(isMain ? { fill: color(`${name}-fill`) } : {}),
      points: { show: false },
      spanGaps: false,
    };
  }

  /**
   * @param {uPlot} plot
   * @param {string} color
   */
  #drawTarget(plot, color) {
    if (this.#target === null) return;
    const { ctx, bbox } = plot;
    const y = Math.round(plot.valToPos(this.#target, 'y', true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  /**
   * Shows the values under the pointer, else the newest.
   *
   * @param {number | null} index
   */
  #showValues(index) {
    const history = this.#history;
    if (history === null) return;
    this.#series.forEach(({ column }, i) => {
      const value = history.column(column).at(index ?? -1);
      setText(this.#values[i], value === null || value === undefined ? '-' : this.#kind.format(value));
    });
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#area;
    if (this.#plot !== null && width > 0 && height > 0) this.#plot.setSize({ width, height });
  }
}
