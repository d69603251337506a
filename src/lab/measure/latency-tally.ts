import { createHistogram } from 'node:perf_hooks';
import { NO_PERCENTILES, percentilesOf } from '../../frame/telemetry/sliding-window.ts';
import { percentileTargets, type Target } from './targets.ts';
import type { PercentileCount, StreamFigures } from './trial-result.ts';

/** The latency of a number of frames. */
export type LatencyFigures = Pick<StreamFigures, 'frames' | 'latencyMs' | 'counts'>;

/** Longest latency that percentiles resolve: ten minutes, in microseconds. */
const MAX_US = 600_000_000;

/**
 * Counts the frames of one stream over any time in bounded memory (20 KB): exactly how many are above each limit, and a histogram for
 * percentiles to within 1 %.
 */
export class LatencyTally {
  readonly #limits: readonly { metric: string; quantile: number; limitMs: number; over: number; surelyOver: number }[];
  readonly #histogram = createHistogram({ lowest: 1, highest: MAX_US, figures: 2 });
  #frames = 0;
  #maxMs = 0;

  constructor(targets: readonly Target[]) {
    this.#limits = percentileTargets(targets).map((limit) => ({ ...limit, over: 0, surelyOver: 0 }));
  }

  /** @param ms - at most this long. @param leastMs - at least this long; default `ms`, an exact latency. */
  add(ms: number, leastMs = ms): void {
    this.#frames += 1;
    this.#maxMs = Math.max(this.#maxMs, ms);
    this.#histogram.record(Math.min(MAX_US, Math.max(1, Math.round(ms * 1000))));
    for (const limit of this.#limits) {
      if (ms > limit.limitMs) limit.over += 1;
      if (leastMs > limit.limitMs) limit.surelyOver += 1;
    }
  }

  figures(): LatencyFigures {
    const at = (quantile: number): number =>
      this.#frames === 0 ? 0 : Math.min(this.#maxMs, this.#histogram.percentile(quantile * 100) / 1000);
    return {
      frames: this.#frames,
      latencyMs:
        this.#frames === 0
          ? NO_PERCENTILES
          : { count: this.#frames, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: this.#maxMs },
      counts: this.#limits.map(({ metric, quantile, limitMs, over, surelyOver }) => ({
        metric,
        limitMs,
        over,
        surelyOver,
        measuredMs: at(quantile),
      })),
    };
  }
}

/** The same of latencies that are all at hand, exactly. */
export function latencyFigures(latenciesMs: readonly number[], targets: readonly Target[]): LatencyFigures {
  const sorted = Float64Array.from(latenciesMs);
  const latencyMs = percentilesOf(sorted);
  const counts = percentileTargets(targets).map(({ metric, quantile, limitMs }): PercentileCount => {
    const over = sorted.reduce((count, ms) => count + (ms > limitMs ? 1 : 0), 0);
    const measuredMs = sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0;
    return { metric, limitMs, over, surelyOver: over, measuredMs };
  });
  return { frames: sorted.length, latencyMs, counts };
}
