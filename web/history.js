/** @import { StreamReport } from '../src/protocol/report.ts' */

/** @typedef {'fpsIn' | 'fpsPublished' | 'p50' | 'p95' | 'p99'} Column */

/** Three minutes at one report a second. */
const POINTS = 180;
const GAP_S = 4;

/** The data of one stream's charts: columns of equal length, oldest first. */
export class History {
  /**
   * Seconds since 1970.
   *
   * @type {number[]}
   */
  times = [];
  /** @type {Record<Column, (number | null)[]>} */
  #columns = { fpsIn: [], fpsPublished: [], p50: [], p95: [], p99: [] };

  /**
   * @param {number} timeMs
   * @param {StreamReport} report
   */
  push(timeMs, report) {
    const time = timeMs / 1000;
    const last = this.times.at(-1);
    // The first stats after a reconnect may repeat a report.
    if (last !== undefined && time <= last && time > last - GAP_S) return;
    // A gateway that restarts on another machine may have another clock.
    if (last !== undefined && time <= last) this.#clear();
    // An empty point leaves a gap in the line for the time without reports.
    else if (last !== undefined && time - last > GAP_S) this.#append(last + 1, {});
    const { fps, latencyMs } = report;
    const { count, p50, p95, p99 } = latencyMs.window;
    this.#append(time, { fpsIn: fps.in, fpsPublished: fps.published, ...(count > 0 ? { p50, p95, p99 } : {}) });
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
   * @param {Partial<Record<Column, number>>} values
   */
  #append(time, values) {
    this.times.push(time);
    for (const [name, column] of Object.entries(this.#columns))
      column.push(values[/** @type {Column} */ (name)] ?? null);
    while (this.times.length > POINTS) {
      this.times.shift();
      for (const column of Object.values(this.#columns)) column.shift();
    }
  }
}

/** Width of the time axis, so that a new chart fills from the right and does not stretch. */
export const HISTORY_S = POINTS;
