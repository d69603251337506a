import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { DropReason, FrameTimes, ResultOrigin } from '../../base/core/frame.ts';
import {
  forStages,
  LATENCY_STAGES,
  type LatencyCounts,
  type LatencyStage,
  STAGE_BOUNDS,
} from '../../wire/protocol/latency.ts';
import type { FrameCounters, Percentiles, ResultCounters } from '../../wire/protocol/report.ts';
import { LatencyCounter } from './latency-counter.ts';
import { RATE_WINDOW_MS, RateMeter } from './rate-meter.ts';
import { NO_PERCENTILES, SlidingWindow } from './sliding-window.ts';

/** Highest latency that the since-start histogram resolves: one minute, in microseconds. */
const MAX_US = 60_000_000;
/** Shortest time between two moments of `droppedFps`. */
const MARK_MS = 500;

/** Counts and times of one stream. Only the main thread writes it, so its figures are always consistent. */
export class StreamTelemetry {
  readonly #inRate: RateMeter;
  readonly #inferredRate: RateMeter;
  readonly #publishedRate: RateMeter;
  readonly #latency = new SlidingWindow();
  readonly #stages = forStages(() => new SlidingWindow());
  readonly #total: RecordableHistogram = createHistogram({ lowest: 1, highest: MAX_US, figures: 2 });
  readonly #counted = new LatencyCounter();
  readonly #stageSumsMs = forStages(() => 0);
  #late = 0;
  readonly #dropped: Partial<Record<DropReason, number>> = {};
  readonly #results: Record<ResultOrigin, number> = { inferred: 0, tracked: 0, unchanged: 0 };
  /** Drops so far at some moments of the last five seconds, oldest first. */
  readonly #dropMarks: { readonly atMs: number; readonly dropped: Partial<Record<DropReason, number>> }[] = [];
  #in = 0;
  #published = 0;
  #cached = 0;

  constructor(nowMs: number) {
    this.#inRate = new RateMeter(nowMs);
    this.#inferredRate = new RateMeter(nowMs);
    this.#publishedRate = new RateMeter(nowMs);
  }

  onIn(nowMs: number): void {
    this.#in += 1;
    this.#inRate.add(nowMs);
  }

  onDropped(reason: DropReason, count = 1): void {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + count;
  }

  onInferred(nowMs: number): void {
    this.#inferredRate.add(nowMs);
  }

  /** An inference was saved, because an equal picture had been inferred before. */
  onCached(): void {
    this.#cached += 1;
  }

  /** @param targetMs - of its latency. */
  onPublished(times: Readonly<FrameTimes>, by: ResultOrigin = 'inferred', targetMs = Number.POSITIVE_INFINITY): void {
    const now = times.published;
    this.#published += 1;
    this.#results[by] += 1;
    this.#publishedRate.add(now);
    const latencyMs = now - times.captured;
    this.#latency.add(now, latencyMs);
    this.#total.record(Math.min(MAX_US, Math.max(1, Math.round(latencyMs * 1000))));
    this.#counted.add(latencyMs);
    if (latencyMs > targetMs) this.#late += 1;
    for (const stage of LATENCY_STAGES) {
      const [from, to] = STAGE_BOUNDS[stage];
      const ms = times[to] - times[from];
      this.#stages[stage].add(now, ms);
      this.#stageSumsMs[stage] += Math.max(0, ms);
    }
  }

  /** @param inFlight - frames that entered and are neither published nor dropped, as counted by the ledger. */
  frames(inFlight: number): FrameCounters {
    return { in: this.#in, published: this.#published, inFlight, dropped: { ...this.#dropped } };
  }

  /** What a busy detector costs: frames that came, that were shed early, that were dropped late, that were inferred. */
  get intake(): { entered: number; shed: number; wasted: number; inferred: number } {
    const { shed = 0, 'queue-full': full = 0, stale = 0 } = this.#dropped;
    return { entered: this.#in, shed, wasted: full + stale, inferred: this.#results.inferred };
  }

  /** How the published frames got their results. */
  get results(): ResultCounters {
    return { ...this.#results, cached: this.#cached };
  }

  fps(nowMs: number): { in: number; inferred: number; published: number } {
    return {
      in: this.#inRate.perSecond(nowMs),
      inferred: this.#inferredRate.perSecond(nowMs),
      published: this.#publishedRate.perSecond(nowMs),
    };
  }

  /** Frames dropped per second, by reason, since the oldest call of the last five seconds. */
  droppedFps(nowMs: number): Partial<Record<DropReason, number>> {
    const marks = this.#dropMarks;
    const last = marks.at(-1);
    if (last === undefined || nowMs - last.atMs >= MARK_MS) marks.push({ atMs: nowMs, dropped: { ...this.#dropped } });
    while (marks.length > 2 && nowMs - marks[1]!.atMs >= RATE_WINDOW_MS) marks.shift();
    const { atMs, dropped } = marks[0]!;
    const rates: Partial<Record<DropReason, number>> = {};
    for (const [reason, count] of Object.entries(this.#dropped) as [DropReason, number][]) {
      const added = count - (dropped[reason] ?? 0);
      if (added > 0 && nowMs > atMs) rates[reason] = (1000 * added) / (nowMs - atMs);
    }
    return rates;
  }

  latencyMs(nowMs: number): { window: Percentiles; total: Percentiles; counted: LatencyCounts } {
    const counted = { ...this.#counted.report(), late: this.#late, stageSumsMs: { ...this.#stageSumsMs } };
    return { window: this.#latency.percentiles(nowMs), total: histogramPercentiles(this.#total), counted };
  }

  stagesMs(nowMs: number): Record<LatencyStage, Percentiles> {
    return forStages((stage) => this.#stages[stage].percentiles(nowMs));
  }
}

function histogramPercentiles(histogram: RecordableHistogram): Percentiles {
  if (histogram.count === 0) return NO_PERCENTILES;
  const ms = (q: number): number => histogram.percentile(q) / 1000;
  return { count: histogram.count, p50: ms(50), p95: ms(95), p99: ms(99), max: histogram.max / 1000 };
}

/** Returns in - published - sum of dropped - inFlight. Anything but 0 is a bug. */
export function conservationGap(frames: FrameCounters): number {
  const dropped = Object.values(frames.dropped).reduce((sum, count) => sum + count, 0);
  return frames.in - frames.published - dropped - frames.inFlight;
}
