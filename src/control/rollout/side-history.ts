import { z } from 'zod';
import type { SideObservation } from '../../protocol/rollout-records.ts';
import { BlockSeries, type BlockSeriesOptions, blockSeriesState } from './block-series.ts';

/** What is summed for each block. `expected` is what the stream's own baseline predicts for the same frames and time. */
export const COLUMN = {
  frames: 0,
  fps: 1,
  fpsExpected: 2,
  deviceMs: 3,
  deviceMsExpected: 4,
  /** Frames dropped beyond the expected number. */
  dropsExcess: 5,
  arrived: 6,
  boxes: 7,
  boxesExpected: 8,
  /** Sum of scores beyond the expected one. */
  scoreExcess: 9,
  /** Latencies above the baseline's tail times TAIL_FACTORS; the first column is for a factor of 1. */
  tail: 10,
} as const;

/** Multiples of the baseline's 99th percentile at which the candidate's tail is compared. */
const TAIL_FACTORS = [
  0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3, 4, 6,
];

/** A baseline is made from at least this much of the control. */
const BASELINE_FRAMES = 500;
const BASELINE_MS = 60_000;
const FEWEST_BASELINE_FRAMES = 50;
/** Share of frames above the tail of the baseline. */
const TAIL_SHARE = 0.01;

/** 128 blocks of one second at first; the blocks grow with the time that a step takes. */
const CANDIDATE_BLOCKS = { blockMs: 1000, maxRows: 128, maxBlockMs: Number.MAX_SAFE_INTEGER };
/** At most the last 34 minutes of a stream: what was hours ago is no control. */
const CONTROL_BLOCKS = { blockMs: 1000, maxRows: 128, maxBlockMs: 16_000 };

/** Figures of one stream under the control, to which both sides of it are compared. */
const baselineState = z.object({
  tailMs: z.number(),
  fps: z.number(),
  deviceMs: z.number(),
  dropRatio: z.number(),
  boxes: z.number(),
  score: z.number(),
});
type Baseline = z.infer<typeof baselineState>;

const trainingState = z.object({
  fromMs: z.number(),
  latenciesMs: z.array(z.number()),
  frames: z.number(),
  dropped: z.number(),
  failed: z.number(),
  boxes: z.number(),
  scoreSum: z.number(),
  deviceMs: z.number(),
  fpsSeconds: z.number(),
  seconds: z.number(),
});
type Training = z.infer<typeof trainingState>;

const streamState = z.object({
  name: z.string(),
  training: trainingState.nullable(),
  baseline: baselineState.nullable(),
  control: blockSeriesState,
  isCandidate: z.boolean(),
});

export const sideHistoryState = z.object({ streams: z.array(streamState), candidate: blockSeriesState });
export type SideHistoryState = z.infer<typeof sideHistoryState>;

interface StreamHistory {
  training: Training | null;
  baseline: Baseline | null;
  readonly control: BlockSeries;
  /** It ran with the candidate in this step. */
  isCandidate: boolean;
}

/**
 * Both sides of all streams, each stream measured against its own baseline.
 *
 * Cameras differ, so figures of different streams are never compared. The first frames of a stream's control give its baseline,
 * and are not used again. After that, control and candidate are both expressed relative to the same baseline, and compared. So an
 * inaccurate baseline does no harm: it is on both sides.
 *
 * Memory: 128 blocks of 11 numbers a stream.
 */
export class SideHistory {
  readonly #streams = new Map<string, StreamHistory>();
  readonly #factors: readonly number[];
  #candidate: BlockSeries;

  /** @param tailFactor - added to the factors at which tails are compared: 1 + the margin of p99. */
  constructor(tailFactor: number, state?: SideHistoryState) {
    this.#factors = [1, ...new Set([...TAIL_FACTORS.filter((factor) => factor !== 1), tailFactor])];
    this.#candidate = new BlockSeries(this.#candidateOptions, state?.candidate);
    for (const { name, control, ...rest } of state?.streams ?? [])
      this.#streams.set(name, { ...rest, control: new BlockSeries(CONTROL_OPTIONS, control) });
  }

  /** Factors of the tail columns, in their order. */
  get factors(): readonly number[] {
    return this.#factors;
  }

  add(observation: SideObservation, nowMs: number): void {
    const stream = this.#streamOf(observation.stream);
    const isCandidate = observation.side === 'candidate';
    if (isCandidate) stream.isCandidate = true;
    if (stream.baseline === null) {
      if (!isCandidate) train(stream, observation, nowMs);
      return;
    }
    const row = rowOf(observation, stream.baseline, isCandidate ? this.#factors : [1]);
    (isCandidate ? this.#candidate : stream.control).add(nowMs, row);
  }

  get candidate(): BlockSeries {
    return this.#candidate;
  }

  /** The control of the streams that ran with the candidate in this step. */
  control(): BlockSeries {
    const used = [...this.#streams.values()].filter(({ isCandidate }) => isCandidate);
    return BlockSeries.sumOf(
      used.map(({ control }) => control),
      CONTROL_OPTIONS,
    );
  }

  /** Whether a stream that runs with the candidate has no baseline: its control was observed too briefly. */
  get lacksBaseline(): boolean {
    return [...this.#streams.values()].some(({ isCandidate, baseline }) => isCandidate && baseline === null);
  }

  /**
   * Of these streams, those whose control was observed too briefly. A camera without frames does not count, since its baseline may
   * never come; but if no stream has a baseline yet, all are returned.
   */
  withoutBaseline(names: readonly string[]): string[] {
    const hasBaseline = (name: string): boolean => (this.#streams.get(name)?.baseline ?? null) !== null;
    if (!names.some(hasBaseline)) return [...names];
    return names.filter((name) => !hasBaseline(name) && (this.#streams.get(name)?.training?.frames ?? 0) > 0);
  }

  reset(): void {
    this.#candidate = new BlockSeries(this.#candidateOptions);
    for (const stream of this.#streams.values()) stream.isCandidate = false;
  }

  get state(): SideHistoryState {
    const streams = [...this.#streams].map(([name, { control, ...rest }]) => ({
      name,
      ...structuredClone(rest),
      control: control.state,
    }));
    return { streams, candidate: this.#candidate.state };
  }

  get #candidateOptions(): BlockSeriesOptions {
    return { ...CANDIDATE_BLOCKS, columns: COLUMN.tail + this.#factors.length };
  }

  #streamOf(name: string): StreamHistory {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = { training: null, baseline: null, control: new BlockSeries(CONTROL_OPTIONS), isCandidate: false };
      this.#streams.set(name, stream);
    }
    return stream;
  }
}

const CONTROL_OPTIONS: BlockSeriesOptions = { ...CONTROL_BLOCKS, columns: COLUMN.tail + 1 };

function train(stream: StreamHistory, observation: SideObservation, nowMs: number): void {
  const { frames, dropped, failed, boxes, scoreSum, deviceMs, fpsAttained, seconds, latenciesMs } = observation;
  stream.training ??= {
    ...{ fromMs: nowMs, latenciesMs: [], frames: 0, dropped: 0, failed: 0, boxes: 0, scoreSum: 0, deviceMs: 0 },
    ...{ fpsSeconds: 0, seconds: 0 },
  };
  const sums = stream.training;
  sums.latenciesMs.push(...latenciesMs);
  sums.frames += frames;
  sums.dropped += dropped;
  sums.failed += failed;
  sums.boxes += boxes;
  sums.scoreSum += scoreSum;
  sums.deviceMs += deviceMs;
  sums.fpsSeconds += fpsAttained * seconds;
  sums.seconds += seconds;
  const isLong = nowMs - sums.fromMs >= BASELINE_MS && sums.frames >= FEWEST_BASELINE_FRAMES;
  if (sums.frames < BASELINE_FRAMES && !isLong) return;
  stream.baseline = baselineOf(sums);
  stream.training = null;
}

function baselineOf(sums: Training): Baseline {
  const sorted = sums.latenciesMs.toSorted((a, b) => b - a);
  const arrived = sums.frames + sums.dropped + sums.failed;
  return {
    tailMs: sorted[Math.floor(sorted.length * TAIL_SHARE)] ?? 0,
    fps: sums.seconds > 0 ? sums.fpsSeconds / sums.seconds : 0,
    deviceMs: sums.deviceMs / sums.frames,
    dropRatio: arrived > 0 ? sums.dropped / arrived : 0,
    boxes: sums.boxes / sums.frames,
    score: sums.boxes > 0 ? sums.scoreSum / sums.boxes : 0,
  };
}

function rowOf(observation: SideObservation, baseline: Baseline, factors: readonly number[]): number[] {
  const { frames, dropped, failed, boxes, scoreSum, deviceMs, fpsAttained, seconds, latenciesMs } = observation;
  const arrived = frames + dropped + failed;
  return [
    frames,
    fpsAttained * seconds,
    baseline.fps * seconds,
    deviceMs,
    baseline.deviceMs * frames,
    dropped - baseline.dropRatio * arrived,
    arrived,
    boxes,
    baseline.boxes * frames,
    scoreSum - baseline.score * boxes,
    ...factors.map((factor) => countAbove(latenciesMs, baseline.tailMs * factor)),
  ];
}

function countAbove(values: readonly number[], limit: number): number {
  let count = 0;
  for (const value of values) if (value > limit) count += 1;
  return count;
}
