import { z } from 'zod';
import { isDisturbed } from '../../../frame/telemetry/interference.ts';
import type { SideObservation } from '../../../wire/protocol/rollout-records.ts';
import { BlockSeries, blockSeriesState } from './block-series.ts';
import { alignSides, type Sides } from './compare-sides.ts';
import { type LatencyPercentiles, TAIL_SHARE } from './guards/guard.ts';
import { GUARD_NAMES, guardOf } from './guards/guards.ts';
import { countAbove, countsOf, ratio, type SideCounts, sideCounts } from './observed.ts';
import { SILENT_MS } from './rollout-machine.ts';

/** The guards that compare figures of both sides. */
const COMPARED = GUARD_NAMES.flatMap((guard) => {
  const { bySides } = guardOf(guard);
  return typeof bySides === 'object' ? [{ guard, ...bySides }] : [];
});
const COLUMNS: readonly string[] = ['frames', ...COMPARED.flatMap(({ guard }) => [`${guard}.a`, `${guard}.b`])];

/** Names the column of latencies above this multiple of the baseline's tail. */
export function tailColumn(factor: number): string {
  return `tail ${factor}`;
}

/** Multiples of the baseline's 99th percentile at which the candidate's tail is compared. */
const TAIL_FACTORS = [
  0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3, 4, 6,
];

/** A baseline is made from at least this much of the control. */
const BASELINE_FRAMES = 500;
const BASELINE_MS = 60_000;
const MOST_BASELINE_MS = 300_000;
const FEWEST_BASELINE_FRAMES = 50;
/**
 * If at most this share of the control's frames exceeds the tail, over a minute and `SLOW_TIME_FRAMES` frames, the baselines were
 * taken in a slow period, such as the start of a process: ten of 1000 frames are expected. They are then made again, at most twice
 * in a step, since a calm minute looks the same.
 */
const SLOW_TIME_SHARE = 0.001;
const SLOW_TIME_FRAMES = 1000;
const SLOW_TIME_MS = 60_000;
const MOST_RENEWALS = 2;

/**
 * 256 blocks of one second at first. On both sides the blocks grow with the time that a step takes, so that they remain comparable.
 */
const BLOCKS = { blockMs: 1000, maxRows: 256 };

/**
 * A stream without a baseline is waited for while it publishes frames, at most this long. One that published nothing for `QUIET_MS`
 * is not waited for if other streams of the next step have a baseline. If none has, all are waited for, for `FIRST_MS`.
 */
export const MOST_WAIT_MS = 600_000;
const FIRST_MS = 120_000;
const QUIET_MS = 30_000;
/** While the control had no turn for this long, the candidate is not compared: that time has no counterpart. */
const TURN_MS = 60_000;

/** Figures of one stream under the control, to which both sides of it are compared. */
const baselineState = z.object({
  tailMs: z.number(),
  medianMs: z.number(),
  /** `usual` of each guard. */
  usual: countsOf(...COMPARED.map(({ guard }) => guard)).state,
});
type Baseline = Readonly<z.infer<typeof baselineState>>;

/** A recent observation of a stream's control; the next baseline is made from these. */
interface Recent extends SideObservation {
  readonly timeMs: number;
}

const streamState = z.object({
  name: z.string(),
  baseline: baselineState.nullable(),
  /** The stream ran with the candidate in this step. */
  isCandidate: z.boolean(),
  /** Times of its last frame, and of the last observation of its control; null if there was none. */
  frameMs: z.number().nullable(),
  controlMs: z.number().nullable(),
});

const sidesState = z.object({ candidate: blockSeriesState, control: blockSeriesState });

export const sideHistoryState = z.object({
  streams: z.array(streamState),
  calm: sidesState,
  disturbed: sidesState,
  stepMs: z.number().nullable(),
});
export type SideHistoryState = z.infer<typeof sideHistoryState>;

interface StreamHistory extends Omit<z.infer<typeof streamState>, 'name'> {
  /** Oldest first; not part of the state, so another controller collects it anew. */
  recent: Recent[];
}

/**
 * Both sides of all streams, each stream measured against its own baseline.
 *
 * Cameras differ, so figures of different streams are never compared. What a stream's control did just before a step gives its baseline.
 * In the step, control and candidate are both expressed relative to the same baseline, and compared. So an inaccurate baseline does
 * little harm: both sides have it. But it must not be old: if its tail was measured while threads started, no frame of either side
 * is ever above it.
 *
 * Seconds in which others took much of the host's CPU are kept apart, and make no baseline if there are enough others.
 *
 * Memory: 500 latencies a stream, and 512 blocks of each side in all.
 */
export class SideHistory {
  readonly #streams = new Map<string, StreamHistory>();
  readonly #factors: readonly number[];
  /** The control of the streams that ran with the candidate in this step. */
  #calm: Sides;
  #disturbed: Sides;
  /** When the step began, as far as this panel knows. */
  #stepMs: number | null;
  /** When this panel began to watch: before that, streams may have published frames that nobody saw, as while a host was down. */
  #watchedFromMs: number | null = null;
  /** Figures of the control since the baselines were last checked. */
  #check: { fromMs: number | null; frames: number; tail: number } = { fromMs: null, frames: 0, tail: 0 };
  /** In this step. */
  #renewals = 0;

  /** @param tailFactor - added to the factors at which tails are compared: 1 + the margin of p99. */
  constructor(tailFactor: number, state?: SideHistoryState) {
    this.#factors = [...new Set([...TAIL_FACTORS, tailFactor])].sort((a, b) => a - b);
    this.#calm = this.#newSides(state?.calm);
    this.#disturbed = this.#newSides(state?.disturbed);
    this.#stepMs = state?.stepMs ?? null;
    for (const { name, ...rest } of state?.streams ?? []) this.#streams.set(name, { ...rest, recent: [] });
  }

  /** Factors of the tail columns, ascending. */
  get factors(): readonly number[] {
    return this.#factors;
  }

  /** Time since the first observation of this step. */
  stepElapsedMs(nowMs: number): number {
    return this.#stepMs === null ? 0 : nowMs - this.#stepMs;
  }

  add(observation: SideObservation, nowMs: number): void {
    this.#stepMs ??= nowMs;
    this.#watchedFromMs ??= nowMs;
    const stream = this.#streamOf(observation.stream);
    if (observation.frames > 0) stream.frameMs = nowMs;
    const isCandidate = observation.side === 'candidate';
    if (isCandidate) stream.isCandidate = true;
    else {
      stream.controlMs = nowMs;
      remember(stream.recent, { ...observation, timeMs: nowMs });
    }
    if (stream.baseline === null) {
      if (isEnough(stream.recent)) stream.baseline = baselineOf(stream.recent);
      return;
    }
    const row = this.#rowOf(observation, stream.baseline);
    // The control's figures from before the first turn of the candidate have no counterpart.
    const sides = isDisturbed(observation.othersRatio) ? this.#disturbed : this.#calm;
    if (isCandidate) {
      if (nowMs - (stream.controlMs ?? Number.NEGATIVE_INFINITY) < TURN_MS) sides.candidate.add(nowMs, row);
    } else if (stream.isCandidate) sides.control.add(nowMs, row);
    if (!isCandidate) this.#checkBaselines(row, nowMs);
  }

  #rowOf(observation: SideObservation, baseline: Baseline): Row {
    const factors = observation.side === 'candidate' ? this.#factors : [1];
    const seen = sideCounts(observation);
    // What the stream's own baseline predicts is for the same frames and time.
    const columns = COMPARED.flatMap(({ guard, a, b }) => {
      const figures = { ...seen, usual: baseline.usual[guard] };
      return [
        [`${guard}.a`, a(figures)],
        [`${guard}.b`, b(figures)],
      ];
    });
    const tails = factors.map((factor) => [
      tailColumn(factor),
      countAbove(observation.latenciesMs, baseline.tailMs * factor),
    ]);
    return Object.fromEntries([['frames', observation.frames], ...columns, ...tails]);
  }

  /** Makes new baselines, and collects both sides anew, if the control of this step is far below the old ones. */
  #checkBaselines(control: Row, nowMs: number): void {
    const check = this.#check;
    check.fromMs ??= nowMs;
    check.frames += control.frames!;
    check.tail += control[tailColumn(1)]!;
    if (check.frames < SLOW_TIME_FRAMES || nowMs - check.fromMs < SLOW_TIME_MS) return;
    const isSlowTime = check.tail <= SLOW_TIME_SHARE * check.frames;
    this.#check = { fromMs: null, frames: 0, tail: 0 };
    if (!isSlowTime || this.#renewals === MOST_RENEWALS) return;
    this.#renewals += 1;
    this.#renew();
  }

  #renew(): void {
    this.#calm = this.#newSides();
    this.#disturbed = this.#newSides();
    for (const stream of this.#streams.values())
      if (isEnough(stream.recent)) stream.baseline = baselineOf(stream.recent);
  }

  /** Frames of the candidate in this step that were compared with a baseline. */
  get candidateFrames(): number {
    return this.#calm.candidate.sum('frames') + this.#disturbed.candidate.sum('frames');
  }

  /** Both sides in blocks that both have, while others take little of the host's CPU and while they take much; null: never. */
  aligned(): { readonly calm: Sides; readonly disturbed: Sides | null } {
    const [calm, disturbed] = [this.#calm, this.#disturbed].map(({ candidate, control }) =>
      alignSides(candidate, control, 'frames'),
    ) as [Sides, Sides];
    return { calm, disturbed: disturbed.candidate.isEmpty ? null : { ...disturbed, isBalanced: true } };
  }

  /** Latencies of a stream's baseline; null if it has none. */
  percentilesOf(stream: string): LatencyPercentiles | null {
    const baseline = this.#streams.get(stream)?.baseline ?? null;
    return baseline === null ? null : { p50: baseline.medianMs, p99: baseline.tailMs };
  }

  /** True if a stream that runs with the candidate has no baseline: its control was observed too briefly. */
  get lacksBaseline(): boolean {
    return [...this.#streams.values()].some(({ isCandidate, baseline }) => isCandidate && baseline === null);
  }

  /**
   * Of these streams, those whose control was observed too briefly for a new baseline, and that are still waited for. A camera that is
   * gone, paused or sends hardly anything is not waited for: it may never have a baseline.
   */
  withoutBaseline(names: readonly string[], nowMs: number): string[] {
    this.#stepMs ??= nowMs;
    const watchedFromMs = this.#watchedSince(nowMs);
    const waitedMs = nowMs - Math.max(this.#stepMs, watchedFromMs);
    const lacking = names.filter((name) => !isEnough(this.#recentOf(name)));
    if (lacking.length === names.length && waitedMs < FIRST_MS) return lacking;
    if (waitedMs >= MOST_WAIT_MS) return [];
    return lacking.filter((name) => {
      const frameMs = this.#streams.get(name)?.frameMs ?? null;
      return frameMs !== null && nowMs - Math.max(frameMs, watchedFromMs) < QUIET_MS;
    });
  }

  /** Of these streams, those without a new baseline that are no longer waited for. */
  abandoned(names: readonly string[], nowMs: number): string[] {
    const waiting = new Set(this.withoutBaseline(names, nowMs));
    return names.filter((name) => !waiting.has(name) && !isEnough(this.#recentOf(name)));
  }

  /** Time until these streams have a baseline, at the rate of the slowest; null if one has published nothing. */
  readyInMs(names: readonly string[]): number | null {
    let longest = 0;
    for (const name of names) {
      const recent = this.#recentOf(name);
      const [frames, spanMs] = [framesOf(recent), recent.length < 2 ? 0 : recent.at(-1)!.timeMs - recent[0]!.timeMs];
      if (frames === 0 || spanMs === 0) return null;
      const framesLeft = (wanted: number): number => (Math.max(0, wanted - frames) * spanMs) / frames;
      const bothMs = Math.max(BASELINE_MS - spanMs, framesLeft(FEWEST_BASELINE_FRAMES));
      longest = Math.max(longest, Math.min(framesLeft(BASELINE_FRAMES), bothMs));
    }
    return longest;
  }

  /** Of these streams, those that published no frame for ten minutes of this step. */
  silent(names: readonly string[], nowMs: number): string[] {
    this.#stepMs ??= nowMs;
    const startMs = Math.max(this.#stepMs, this.#watchedSince(nowMs));
    return names.filter((name) => nowMs - Math.max(startMs, this.#streams.get(name)?.frameMs ?? startMs) >= SILENT_MS);
  }

  /** Begins a step: drops the evidence of both sides, and makes new baselines from recent figures of the control. */
  reset(): void {
    for (const stream of this.#streams.values()) stream.isCandidate = false;
    this.#check = { fromMs: null, frames: 0, tail: 0 };
    this.#renewals = 0;
    this.#stepMs = null;
    this.#renew();
  }

  get state(): SideHistoryState {
    const streams = [...this.#streams].map(([name, { recent: _, ...rest }]) => structuredClone({ name, ...rest }));
    return { streams, calm: stateOf(this.#calm), disturbed: stateOf(this.#disturbed), stepMs: this.#stepMs };
  }

  #watchedSince(nowMs: number): number {
    this.#watchedFromMs ??= nowMs;
    return this.#watchedFromMs;
  }

  #newSides(state?: z.infer<typeof sidesState>): Sides {
    const series = (factors: readonly number[], saved: z.infer<typeof blockSeriesState> | undefined): BlockSeries =>
      new BlockSeries({ ...BLOCKS, columns: [...COLUMNS, ...factors.map(tailColumn)] }, saved);
    return { candidate: series(this.#factors, state?.candidate), control: series([1], state?.control) };
  }

  #recentOf(name: string): readonly Recent[] {
    return this.#streams.get(name)?.recent ?? [];
  }

  #streamOf(name: string): StreamHistory {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = { recent: [], baseline: null, isCandidate: false, frameMs: null, controlMs: null };
      this.#streams.set(name, stream);
    }
    return stream;
  }
}

/** A number for each column. */
type Row = Readonly<Record<string, number>>;

function stateOf({ candidate, control }: Sides): z.infer<typeof sidesState> {
  return { candidate: candidate.state, control: control.state };
}

function remember(recent: Recent[], newest: Recent): void {
  recent.push(newest);
  const isNeedless = (): boolean => {
    const rest = recent.slice(1);
    if (framesOf(rest) >= BASELINE_FRAMES) return true;
    // Beside work of others it takes longer to see enough without it.
    const agoMs = newest.timeMs - rest[0]!.timeMs;
    const needed = agoMs < MOST_BASELINE_MS ? calmOf(rest) : rest;
    return agoMs >= BASELINE_MS && framesOf(needed) >= FEWEST_BASELINE_FRAMES;
  };
  while (recent.length > 1 && isNeedless()) recent.shift();
}

function isEnough(recent: readonly Recent[]): boolean {
  const frames = framesOf(recent);
  if (frames >= BASELINE_FRAMES) return true;
  return frames >= FEWEST_BASELINE_FRAMES && recent.at(-1)!.timeMs - recent[0]!.timeMs >= BASELINE_MS;
}

function calmOf(recent: readonly Recent[]): readonly Recent[] {
  return recent.filter(({ othersRatio }) => !isDisturbed(othersRatio));
}

function framesOf(recent: readonly Recent[]): number {
  return recent.reduce((sum, { frames }) => sum + frames, 0);
}

function baselineOf(all: readonly Recent[]): Baseline {
  const calm = calmOf(all);
  const recent = framesOf(calm) >= FEWEST_BASELINE_FRAMES ? calm : all;
  const sorted = recent.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => b - a);
  const counts = recent.map(sideCounts);
  const sum = (of: (one: SideCounts) => number): number => counts.reduce((total, one) => total + of(one), 0);
  return {
    tailMs: sorted[Math.floor(sorted.length * TAIL_SHARE)] ?? 0,
    medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
    usual: Object.fromEntries(
      COMPARED.map(({ guard, usual }) => [guard, usual === undefined ? 0 : ratio(sum(usual.a), sum(usual.b))]),
    ) as Baseline['usual'],
  };
}
