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
/**
 * If at most this share of the control's frames is above the tail, for a minute and so many frames, the baselines are of a worse time, such as
 * the start of a process: ten of 1000 are expected. As a calm minute looks alike, this is done twice in a step at most.
 */
const STALE_SHARE = 0.001;
const STALE_FRAMES = 1000;
const STALE_MS = 60_000;
const MOST_RENEWALS = 2;

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

/** What was seen of a stream's control lately, from which its next baseline is made. */
interface Recent extends Omit<SideObservation, 'stream' | 'side'> {
  readonly timeMs: number;
}

const streamState = z.object({
  name: z.string(),
  baseline: baselineState.nullable(),
  control: blockSeriesState,
  isCandidate: z.boolean(),
});

export const sideHistoryState = z.object({ streams: z.array(streamState), candidate: blockSeriesState });
export type SideHistoryState = z.infer<typeof sideHistoryState>;

interface StreamHistory {
  /** Oldest first; not part of the state, so another controller collects it anew. */
  recent: Recent[];
  baseline: Baseline | null;
  control: BlockSeries;
  /** It ran with the candidate in this step. */
  isCandidate: boolean;
}

/**
 * Both sides of all streams, each stream measured against its own baseline.
 *
 * Cameras differ, so figures of different streams are never compared. What a stream's control did just before a step gives its baseline.
 * In the step, control and candidate are both expressed relative to the same baseline, and compared. So an inaccurate baseline does
 * little harm: it is on both sides. It must not be old, though: above a tail that was measured while threads started, no frame of
 * either side is ever found.
 *
 * Memory: 128 blocks of 11 numbers a stream.
 */
export class SideHistory {
  readonly #streams = new Map<string, StreamHistory>();
  readonly #factors: readonly number[];
  #candidate: BlockSeries;
  /** What the control did since the baselines were last checked. */
  #check: { fromMs: number | null; frames: number; tail: number } = { fromMs: null, frames: 0, tail: 0 };
  /** In this step. */
  #renewals = 0;

  /** @param tailFactor - added to the factors at which tails are compared: 1 + the margin of p99. */
  constructor(tailFactor: number, state?: SideHistoryState) {
    this.#factors = [1, ...new Set([...TAIL_FACTORS.filter((factor) => factor !== 1), tailFactor])];
    this.#candidate = new BlockSeries(this.#candidateOptions, state?.candidate);
    for (const { name, control, ...rest } of state?.streams ?? [])
      this.#streams.set(name, { ...rest, recent: [], control: new BlockSeries(CONTROL_OPTIONS, control) });
  }

  /** Factors of the tail columns, in their order. */
  get factors(): readonly number[] {
    return this.#factors;
  }

  add(observation: SideObservation, nowMs: number): void {
    const stream = this.#streamOf(observation.stream);
    const isCandidate = observation.side === 'candidate';
    if (isCandidate) stream.isCandidate = true;
    else remember(stream.recent, observation, nowMs);
    if (stream.baseline === null) {
      if (isEnough(stream.recent)) stream.baseline = baselineOf(stream.recent);
      return;
    }
    const row = rowOf(observation, stream.baseline, isCandidate ? this.#factors : [1]);
    (isCandidate ? this.#candidate : stream.control).add(nowMs, row);
    if (!isCandidate) this.#checkBaselines(row, nowMs);
  }

  /** Makes new baselines, and collects both sides anew, if the control of this step is far below the old ones. */
  #checkBaselines(control: readonly number[], nowMs: number): void {
    const check = this.#check;
    check.fromMs ??= nowMs;
    check.frames += control[COLUMN.frames]!;
    check.tail += control[COLUMN.tail]!;
    if (check.frames < STALE_FRAMES || nowMs - check.fromMs < STALE_MS) return;
    const isStale = check.tail <= STALE_SHARE * check.frames;
    this.#check = { fromMs: null, frames: 0, tail: 0 };
    if (!isStale || this.#renewals === MOST_RENEWALS) return;
    this.#renewals += 1;
    this.#renew();
  }

  #renew(): void {
    this.#candidate = new BlockSeries(this.#candidateOptions);
    for (const stream of this.#streams.values()) {
      stream.control = new BlockSeries(CONTROL_OPTIONS);
      if (isEnough(stream.recent)) stream.baseline = baselineOf(stream.recent);
    }
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
   * Of these streams, those whose control was observed too briefly for a new baseline. A camera without frames does not count, since
   * its baseline may never come; but if no stream can have one yet, all are returned.
   */
  withoutBaseline(names: readonly string[]): string[] {
    const recentOf = (name: string): readonly Recent[] => this.#streams.get(name)?.recent ?? [];
    if (!names.some((name) => isEnough(recentOf(name)))) return [...names];
    return names.filter((name) => !isEnough(recentOf(name)) && framesOf(recentOf(name)) > 0);
  }

  /** Begins a step: forgets both sides, and makes new baselines of what the control did lately. */
  reset(): void {
    for (const stream of this.#streams.values()) stream.isCandidate = false;
    this.#check = { fromMs: null, frames: 0, tail: 0 };
    this.#renewals = 0;
    this.#renew();
  }

  get state(): SideHistoryState {
    const streams = [...this.#streams].map(([name, { control, baseline, isCandidate }]) => ({
      ...{ name, baseline: baseline === null ? null : { ...baseline }, isCandidate },
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
      stream = { recent: [], baseline: null, control: new BlockSeries(CONTROL_OPTIONS), isCandidate: false };
      this.#streams.set(name, stream);
    }
    return stream;
  }
}

const CONTROL_OPTIONS: BlockSeriesOptions = { ...CONTROL_BLOCKS, columns: COLUMN.tail + 1 };

function remember(recent: Recent[], { stream: _stream, side: _side, ...observation }: SideObservation, nowMs: number) {
  recent.push({ ...observation, timeMs: nowMs });
  const isNeedless = (): boolean => {
    const frames = framesOf(recent) - recent[0]!.frames;
    return frames >= BASELINE_FRAMES || (frames >= FEWEST_BASELINE_FRAMES && recent[1]!.timeMs <= nowMs - BASELINE_MS);
  };
  while (recent.length > 1 && isNeedless()) recent.shift();
}

function isEnough(recent: readonly Recent[]): boolean {
  const frames = framesOf(recent);
  if (frames >= BASELINE_FRAMES) return true;
  return frames >= FEWEST_BASELINE_FRAMES && recent.at(-1)!.timeMs - recent[0]!.timeMs >= BASELINE_MS;
}

function framesOf(recent: readonly Recent[]): number {
  return recent.reduce((sum, { frames }) => sum + frames, 0);
}

function baselineOf(recent: readonly Recent[]): Baseline {
  const sum = (of: (one: Recent) => number): number => recent.reduce((total, one) => total + of(one), 0);
  const sorted = recent.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => b - a);
  const [frames, dropped, boxes, seconds] = [
    sum((one) => one.frames),
    sum((one) => one.dropped),
    sum((one) => one.boxes),
    sum((one) => one.seconds),
  ];
  const arrived = frames + dropped + sum(({ failed }) => failed);
  return {
    tailMs: sorted[Math.floor(sorted.length * TAIL_SHARE)] ?? 0,
    fps: seconds > 0 ? sum((one) => one.fpsAttained * one.seconds) / seconds : 0,
    deviceMs: sum(({ deviceMs }) => deviceMs) / frames,
    dropRatio: arrived > 0 ? dropped / arrived : 0,
    boxes: boxes / frames,
    score: boxes > 0 ? sum(({ scoreSum }) => scoreSum) / boxes : 0,
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
