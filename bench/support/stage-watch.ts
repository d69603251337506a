import { monoNowMs } from '../../src/base/core/clock.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import { percentilesOf } from '../../src/frame/telemetry/sliding-window.ts';
import type { LatencyStage } from '../../src/wire/protocol/latency.ts';
import type { Percentiles } from '../../src/wire/protocol/report.ts';

/** The reported times of each frame: the stages of its latency, their sum, and its age when its batch closed. */
export type WatchedTime = LatencyStage | 'total' | 'age';

const SPANS: Readonly<Record<WatchedTime, (times: PublishedFrame['times']) => number>> = {
  decode: (t) => t.decoded - t.captured,
  preprocess: (t) => t.preprocessed - t.decoded,
  queue: (t) => t.batched - t.preprocessed,
  infer: (t) => t.inferred - t.batched,
  publish: (t) => t.published - t.inferred,
  total: (t) => t.published - t.captured,
  age: (t) => t.batched - t.captured,
};

/** Collects the times of every frame published during the measurement: after the warm-up, before the streams stop. */
export class StageWatch {
  readonly #times: PublishedFrame['times'][] = [];
  readonly #unsubscribe: () => void;

  constructor(runtime: Runtime, { warmUpSeconds, seconds }: { warmUpSeconds: number; seconds: number }) {
    const fromMs = monoNowMs() + warmUpSeconds * 1000;
    const untilMs = fromMs + seconds * 1000;
    this.#unsubscribe = runtime.published.add(({ times }) => {
      if (times.published >= fromMs && times.published < untilMs) this.#times.push(times);
    });
  }

  stop(): Readonly<Record<WatchedTime, Percentiles>> {
    this.#unsubscribe();
    return Object.fromEntries(
      Object.entries(SPANS).map(([name, span]) => [name, percentilesOf(Float64Array.from(this.#times, span))]),
    ) as Record<WatchedTime, Percentiles>;
  }
}
