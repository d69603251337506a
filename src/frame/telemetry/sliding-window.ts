import type { Percentiles } from '../../wire/protocol/report.ts';

/** Time span of the percentiles in a report. */
export const WINDOW_MS = 10_000;
const CAPACITY = 4096;

export const NO_PERCENTILES: Percentiles = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };

/**
 * Exact percentiles of the last ten seconds, limited to the newest 4096 samples. Adding costs two writes; sorting
 * happens once a second, when a report is made.
 */
export class SlidingWindow {
  readonly #times = new Float64Array(CAPACITY);
  readonly #values = new Float64Array(CAPACITY);
  #next = 0;
  #count = 0;

  add(nowMs: number, value: number): void {
    this.#times[this.#next] = nowMs;
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % CAPACITY;
    if (this.#count < CAPACITY) this.#count += 1;
  }

  percentiles(nowMs: number): Percentiles {
    const kept = new Float64Array(this.#count);
    let count = 0;
    for (let i = 1; i <= this.#count; i++) {
      const at = (this.#next - i + CAPACITY) % CAPACITY;
      if (nowMs - this.#times[at]! > WINDOW_MS) break;
      kept[count++] = this.#values[at]!;
    }
    this.#count = count;
    return percentilesOf(kept.subarray(0, count));
  }
}

/** Percentiles by the nearest-rank rule. @param samples - in any order; sorted in place. */
export function percentilesOf(samples: Float64Array): Percentiles {
  const count = samples.length;
  if (count === 0) return NO_PERCENTILES;
  samples.sort();
  const rank = (q: number): number => samples[Math.max(0, Math.ceil(q * count) - 1)]!;
  return { count, p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: samples[count - 1]! };
}
