import { z } from 'zod';
import { counted } from '../../../base/core/counted.ts';
import { isDisturbed } from '../../../frame/telemetry/interference.ts';
import { range, whole } from '../../../settings/config/number.ts';
import type {
  EngineObservation,
  GuardReport,
  GuardVerdict,
  SideObservation,
} from '../../../wire/protocol/rollout-records.ts';
import { isOn } from './guards/guard.ts';
import { countAbove, countsIn, countsOf, percent } from './observed.ts';
import { AWAY_MS, type StreamFinding, StreamWatch, streamWatchState, watchSilence } from './stream-watch.ts';

/** Share of errors and latency are those of this recent time: short enough for a rollback within 10 s. */
const WINDOW_MS = 8_000;
/** A single error or slow frame is no reason to roll back. */
const FEWEST_FRAMES = 20;
const FEWEST_BAD = 5;
/** Seconds in which slow frames must occur: a single stall of the machine makes many at once. */
const FEWEST_BAD_SECONDS = 3;
/**
 * Limit of the share of slow frames in the last seconds. With a limit of 1 %, equal models were rolled back in simulation if the
 * control missed its target already. Smaller shares are judged by the guard of the target, which looks at a longer time.
 */
const SLOW_SHARE = 0.2;
/** Share of late frames that a target for the 99th percentile allows. */
const ALLOWED_LATE = 0.01;

/** `judged`, `slow`: frames whose stream has a target, and those above the limit. */
const SUMS = countsOf('frames', 'failed', 'judged', 'slow');
const entry = SUMS.state.extend({
  timeMs: z.number(),
  isCandidate: z.boolean(),
  /** Others took much of the CPU. */
  isDisturbed: z.boolean(),
});
type Entry = z.infer<typeof entry>;

export const hardGuardsState = z.object({
  recent: z.array(entry),
  restartsMs: z.array(z.number()),
  /** Time of the candidate's last result, or of its first observation while there is none. */
  aliveMs: z.number().nullable(),
  /** Time of the candidate's last observation. */
  seenMs: z.number().nullable(),
  candidateFrames: z.number(),
  /** Frames that arrived for the candidate since its last result. */
  unanswered: z.number(),
  streams: streamWatchState,
});
export type HardGuardsState = z.infer<typeof hardGuardsState>;

/** The section `hard` of a guards file. */
export const hardSettings = z
  .strictObject({
    isOn,
    errorRatio: range(0.0001, 1).default(0.05).describe('Largest share of frames whose inference fails.'),
    silenceMs: whole(1000, 600_000).default(5000).describe('Longest time without a result while frames arrive.'),
    p99Factor: range(1, 100)
      .default(2)
      .describe('Latency from which on a frame is slow, as a multiple of the target of its stream.'),
    restarts: whole(1, 100).default(3).describe('Restarts of the engine within restartWindowMs that are a crash loop.'),
    restartWindowMs: whole(1000, 3_600_000).default(60_000).describe('Time in which restarts are counted.'),
  })
  .prefault({})
  .describe('What no candidate may do even for a few seconds.');
type Settings = z.infer<typeof hardSettings>;

/** Guards against what no candidate may do even for a short time, to all streams together or to one of them. */
export class HardGuards {
  readonly #settings: Settings;
  readonly #alpha: number;
  readonly #streams: StreamWatch;
  #state: Omit<HardGuardsState, 'streams'>;

  /** @param alpha - probability of a wrong failure in a step because of a single stream. */
  constructor(settings: Settings, alpha: number, state?: HardGuardsState) {
    this.#settings = settings;
    this.#alpha = alpha;
    const { streams, ...rest } = structuredClone(state ?? { ...NOTHING, streams: [] });
    this.#streams = new StreamWatch(settings.errorRatio, settings.silenceMs, streams);
    this.#state = rest;
  }

  get state(): HardGuardsState {
    return { ...structuredClone(this.#state), streams: this.#streams.state };
  }

  reset(): void {
    this.#state = structuredClone(NOTHING);
    this.#streams.reset();
  }

  addSide(observation: SideObservation, nowMs: number): void {
    this.#streams.add(observation, nowMs);
    const { side, latenciesMs, target, othersRatio } = observation;
    const { frames, failed, lost } = countsIn(observation);
    const state = this.#state;
    const isCandidate = side === 'candidate';
    const limitMs = target?.latencyMs == null ? Number.POSITIVE_INFINITY : target.latencyMs * this.#settings.p99Factor;
    const judged = Number.isFinite(limitMs) ? latenciesMs.length : 0;
    const slow = countAbove(latenciesMs, limitMs);
    state.recent.push({
      timeMs: nowMs,
      isCandidate,
      frames,
      failed,
      judged,
      slow,
      isDisturbed: isDisturbed(othersRatio),
    });
    while (state.recent[0]!.timeMs <= nowMs - WINDOW_MS) state.recent.shift();
    if (isCandidate) {
      state.candidateFrames += frames;
      watchSilence(state, { frames, lost }, nowMs - (state.seenMs ?? nowMs), nowMs);
      state.seenMs = nowMs;
    }
  }

  addEngine({ restarts }: EngineObservation, nowMs: number): void {
    for (let i = 0; i < restarts; i++) this.#state.restartsMs.push(nowMs);
  }

  reports(nowMs: number): GuardReport[] {
    this.#forget(nowMs);
    return [this.#errors(), this.#silence(nowMs), this.#slowness(), this.#target(nowMs), this.#restarts()];
  }

  #errors(): GuardReport {
    const { frames, failed } = sumsOf(this.#state.recent, true);
    const all = frames + failed;
    const ratio = all === 0 ? null : failed / all;
    const margin = this.#settings.errorRatio;
    const isBad = ratio !== null && all >= FEWEST_FRAMES && failed >= FEWEST_BAD && ratio > margin;
    const reason =
      ratio === null
        ? 'No frame of the candidate was inferred in the last 8 s.'
        : `${failed} of ${all} inferences failed in the last 8 s (${percent(ratio)}); the limit is ${percent(margin)}.`;
    const sum = report('errors', verdictOf(ratio, isBad), ratio, margin, all, reason);
    return isBad ? sum : withStream(sum, this.#streams.failing(this.#alpha / 2));
  }

  #silence(nowMs: number): GuardReport {
    const { aliveMs, seenMs, unanswered, candidateFrames } = this.#state;
    const margin = this.#settings.silenceMs;
    const untilMs = Math.min(nowMs, (seenMs ?? nowMs) + AWAY_MS);
    const silentMs = aliveMs === null ? null : untilMs - aliveMs;
    const isSilent = silentMs !== null && silentMs >= margin;
    const isBad = isSilent && unanswered > 0;
    // If no frames arrive, a silent candidate has neither failed nor passed.
    const measured = isSilent && unanswered === 0 ? null : silentMs;
    const reason =
      aliveMs === null
        ? 'The candidate was not observed yet.'
        : measured === null
          ? 'No frame arrived for the candidate.'
          : isBad
            ? `No result for ${seconds(silentMs!)} although ${counted(unanswered, 'frame')} arrived; the limit is ${seconds(margin)}.`
            : `The last result is ${seconds(silentMs!)} old; the limit is ${seconds(margin)}.`;
    const sum = report('results', verdictOf(measured, isBad), measured, margin, candidateFrames, reason);
    return isBad ? sum : withStream(sum, this.#streams.silent(nowMs));
  }

  #slowness(): GuardReport {
    const { recent } = this.#state;
    // While others are busy, only a control in that time tells whether the machine is the cause.
    const hasControl = recent.some(({ isCandidate, isDisturbed, judged }) => !isCandidate && isDisturbed && judged > 0);
    const judged = recent.filter(({ isDisturbed }) => !isDisturbed || hasControl);
    const own = sumsOf(judged, true);
    const control = sumsOf(judged, false);
    const ratio = own.judged === 0 ? null : own.slow / own.judged;
    const controlRatio = control.judged === 0 ? 0 : control.slow / control.judged;
    const slowSeconds = new Set(
      judged.filter(({ isCandidate, slow }) => isCandidate && slow > 0).map(({ timeMs }) => Math.floor(timeMs / 1000)),
    );
    const factor = this.#settings.p99Factor;
    // If the control is as slow, the machine is the cause.
    const isBad =
      ratio !== null &&
      own.judged >= FEWEST_FRAMES &&
      own.slow >= FEWEST_BAD &&
      slowSeconds.size >= FEWEST_BAD_SECONDS &&
      ratio > SLOW_SHARE &&
      ratio > 2 * controlRatio;
    const reason =
      ratio === null
        ? 'No frame of a stream with a target for latency in the last 8 s.'
        : `${own.slow} of ${own.judged} frames took longer than ${factor} times their target in the last 8 s (${percent(ratio)}; control ${percent(controlRatio)}); the limit is ${percent(SLOW_SHARE)}.`;
    return report('slow', verdictOf(ratio, isBad), ratio, SLOW_SHARE, own.judged, reason);
  }

  #target(nowMs: number): GuardReport {
    const frames = this.#streams.judgedFrames;
    const found = this.#streams.missing(this.#alpha / 2, nowMs);
    const hasData = frames > 0 || found !== null;
    const reason = hasData
      ? 'No stream of the candidate misses a target that its control meets.'
      : 'No frame of a stream with a target was inferred by the candidate.';
    const sum = report('target', hasData ? 'pass' : 'no-data', hasData ? 0 : null, ALLOWED_LATE, frames, reason);
    return withStream(sum, found);
  }

  #restarts(): GuardReport {
    const count = this.#state.restartsMs.length;
    const { restarts, restartWindowMs } = this.#settings;
    const isKnown = this.#state.aliveMs !== null || count > 0;
    const reason = `The candidate's engine was restarted ${counted(count, 'time')} in the last ${seconds(restartWindowMs)}; ${restarts} are a crash loop.`;
    const estimate = isKnown ? count : null;
    const verdict = verdictOf(estimate, count >= restarts);
    return report('crashes', verdict, estimate, restarts, this.#state.candidateFrames, reason);
  }

  #forget(nowMs: number): void {
    const state = this.#state;
    state.recent = state.recent.filter(({ timeMs }: Entry) => timeMs > nowMs - WINDOW_MS);
    state.restartsMs = state.restartsMs.filter((timeMs) => timeMs > nowMs - this.#settings.restartWindowMs);
  }
}

const NOTHING: Omit<HardGuardsState, 'streams'> = {
  recent: [],
  restartsMs: [],
  aliveMs: null,
  seenMs: null,
  candidateFrames: 0,
  unanswered: 0,
};

function sumsOf(rows: readonly Entry[], isCandidate: boolean): ReturnType<typeof SUMS.none> {
  const sums = SUMS.none();
  for (const row of rows) if (row.isCandidate === isCandidate) SUMS.add(sums, row);
  return sums;
}

function withStream(sum: GuardReport, found: StreamFinding | null): GuardReport {
  if (found === null) return sum;
  const { verdict, estimate, reason } = found;
  return { ...sum, verdict, estimate, low: estimate, high: estimate, reason };
}

function verdictOf(estimate: number | null, isBad: boolean): GuardVerdict {
  return estimate === null ? 'no-data' : isBad ? 'fail' : 'pass';
}

function report(
  guard: string,
  verdict: GuardVerdict,
  estimate: number | null,
  margin: number,
  frames: number,
  reason: string,
): GuardReport {
  const figures = { estimate, low: estimate, high: estimate, margin, frames };
  return { guard, kind: 'hard', verdict, ...figures, reason, leftMs: null };
}

function seconds(ms: number): string {
  return `${+(ms / 1000).toFixed(1)} s`;
}
