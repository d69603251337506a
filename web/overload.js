/** @import { StreamReport } from './lib/client/index.js' */

import { element, runBusy, setText } from './element.js';
import { formatFps } from './format.js';
import { gateway } from './gateway.js';

/** Share of what the machine does now that is asked of it afterwards: at its limit every frame waits. */
const USE_RATIO = 0.95;
/** Weight of the newest report in the rate that the machine does: rates of single seconds scatter. */
const NEWEST_WEIGHT = 0.2;

/**
 * Frames per second that somebody expects of a stream.
 *
 * @param {StreamReport} report
 */
export function demandOf({ target, fps }) {
  return target.fps ?? fps.in;
}

/**
 * The rate per stream at which all of them together ask for `done` frames per second: those that ask for less keep theirs.
 *
 * @param {readonly number[]} demands
 * @param {number} done
 */
function rateWithin(demands, done) {
  const sorted = [...demands].sort((a, b) => a - b);
  let left = done;
  for (const [i, demand] of sorted.entries()) {
    const share = left / (sorted.length - i);
    if (demand > share) return share;
    left -= demand;
  }
  return sorted.at(-1) ?? 0;
}

/**
 * The way out of an overload: a button that lowers the rate of all live cameras to what the machine does, and afterwards one that
 * gives each camera its rate again.
 */
export class OverloadRemedy {
  node = element('button', { type: 'button', class: 'button', 'data-needs': 'operator', hidden: true });
  #onError;
  /** Smoothed. @type {number | null} */
  #done = null;
  #rate = 0;
  /** @type {string[]} */
  #ids = [];
  /** Gives each camera its rate again; null before rates were lowered. @type {(() => Promise<unknown[]>) | null} */
  #undo = null;

  /** @param {(error: unknown) => void} onError */
  constructor(onError) {
    this.#onError = onError;
    this.node.addEventListener('click', () => runBusy(this.node, () => this.#act()));
  }

  /**
   * @param {readonly StreamReport[]} live running live streams
   * @param {boolean} isOverloaded by inference or scaling: decoding does not get less at a lower rate
   */
  update(live, isOverloaded) {
    const done = live.reduce((sum, { fps }) => sum + fps.published, 0);
    this.#done = isOverloaded ? (this.#done ?? done) + NEWEST_WEIGHT * (done - (this.#done ?? done)) : null;
    if (this.#done !== null && this.#undo === null) {
      const rate = rateWithin(live.map(demandOf), USE_RATIO * this.#done);
      // Rounded down to a tenth, which is the least rate.
      this.#rate = Math.max(0.1, Math.floor(10 * rate) / 10);
      this.#ids = live.filter((report) => demandOf(report) > this.#rate).map(({ id }) => id);
      setText(this.node, `Lower rate to ${formatFps(this.#rate)}/s`);
    }
    this.node.hidden = this.#done === null && this.#undo === null;
  }

  async #act() {
    const undo = this.#undo;
    this.#undo = null;
    this.node.hidden = true;
    const failures = undo === null ? await this.#lower() : await undo();
    if (failures.length > 0) this.#onError(failures[0]);
  }

  /** Lowers each rate; a camera that refuses keeps its own. @returns errors */
  async #lower() {
    const rate = this.#rate;
    /** @type {(() => Promise<unknown>)[]} */
    const back = [];
    const failures = await each(this.#ids, async (id) => {
      const { settings } = await gateway.streams.get(id);
      const fps = settings.target.fps;
      const target = fps !== undefined && fps > rate ? { target: { fps: rate } } : {};
      const { etag } = await gateway.streams.update(id, { maxFps: rate, ...target });
      const before = { maxFps: settings.maxFps ?? null, ...(fps === undefined ? {} : { target: { fps } }) };
      // What somebody has changed since then stays.
      back.push(() => gateway.streams.update(id, before, { etag }));
    });
    if (back.length > 0) {
      this.#undo = () => each(back, (restore) => restore());
      setText(this.node, 'Undo: rates as before');
      this.node.hidden = false;
    }
    return failures;
  }
}

/**
 * Does one after the other, whatever fails.
 *
 * @template T
 * @param {readonly T[]} entries
 * @param {(entry: T) => Promise<unknown>} work
 * @returns {Promise<unknown[]>} errors, without those of streams that are gone
 */
async function each(entries, work) {
  const failures = [];
  for (const entry of entries)
    try {
      await work(entry);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'STREAM_NOT_FOUND')) failures.push(error);
    }
  return failures;
}
