/** @import { HistoryReply, StreamReport } from './lib/client/index.js' */

/** @typedef {'fpsIn' | 'fpsPublished' | 'p50' | 'p95' | 'p99'} Column */

/** Three minutes at one report a second. */
const POINTS = 180;
/** After this many steps without a report the line has a gap. */
const GAP_STEPS = 4;

/** The data of one stream's charts: columns of equal length, oldest first. */
export class History {
  #points;
  /**
   * Seconds since 1970.
   *
   * @type {number[]}
   */
  times = [];
  /** @type {Record<Column, (number | null)[]>} */
  #columns = { fpsIn: [], fpsPublished: [], p50: [], p95: [], p99: [] };

  /** @param {number} [points] that are kept */
  constructor(points = POINTS) {
    this.#points = points;
  }

  /**
   * @param {number} timeMs
   * @param {StreamReport} report
   */
  push(timeMs, report) {
    const time = timeMs / 1000;
    const last = this.times.at(-1);
    // The first stats after a reconnect may repeat a report.
    if (last !== undefined && time <= last && time > last - GAP_STEPS) return;
    // A gateway that restarts on another machine may have another clock.
    if (last !== undefined && time <= last) this.#clear();
    const { fps, latencyMs } = report;
    const { count, p50, p95, p99 } = latencyMs.window;
    this.#append(time, 1, { fpsIn: fps.in, fpsPublished: fps.published, ...(count > 0 ? { p50, p95, p99 } : {}) });
  }

  /**
   * Puts what the gateway remembers before the reports of this page.
   *
   * @param {HistoryReply} reply
   */
  load({ stepS, times, ...columns }) {
    const own = { times: [...this.times], columns: structuredClone(this.#columns) };
    this.#clear();
    const newest = times.at(-1) ?? 0;
    times.forEach((time, i) => {
      this.#append(time, stepS, valuesAt(columns, i));
    });
    own.times.forEach((time, i) => {
      if (time > newest) this.#append(time, stepS, valuesAt(own.columns, i));
    });
  }

  /** @param {Column} name */
  column(name) {
    return this.#columns[name];
  }

  #clear() {
    this.times.length = 0;
    for (const column of Object.values(this.#columns)) column.length = 0;
  }

  /**
   * @param {number} time seconds since 1970
   * @param {number} stepS usual seconds between two points
   * @param {Partial<Record<Column, number | null>>} values
   */
  #append(time, stepS, values) {
    const last = this.times.at(-1);
    // An empty point leaves a gap in the line for the time without reports.
    if (last !== undefined && time - last > GAP_STEPS * stepS) this.#append(last + stepS, stepS, {});
    this.times.push(time);
    for (const [name, column] of Object.entries(this.#columns))
      column.push(values[/** @type {Column} */ (name)] ?? null);
    while (this.times.length > this.#points) {
      this.times.shift();
      for (const column of Object.values(this.#columns)) column.shift();
    }
  }
}

/** Width of the time axis, so that a new chart fills from the right and does not stretch. */
export const HISTORY_S = POINTS;

/**
 * @param {Readonly<Record<Column, readonly (number | null)[]>>} columns
 * @param {number} index
 */
function valuesAt({ fpsIn, fpsPublished, p50, p95, p99 }, index) {
  return {
    fpsIn: fpsIn[index],
    fpsPublished: fpsPublished[index],
    p50: p50[index],
    p95: p95[index],
    p99: p99[index],
  };
}
