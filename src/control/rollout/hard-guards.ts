import { z } from 'zod';
import type { GuardsConfig } from '../../config/guards.ts';
import type { EngineObservation, GuardReport, GuardVerdict, SideObservation } from '../../protocol/rollout-records.ts';

/** Recent time that the share of errors and the latency are taken from: short enough for a rollback within 10 s. */
const WINDOW_MS = 8_000;
/** An error or a slow frame alone is no reason to go back. */
const FEWEST_FRAMES = 20;
const FEWEST_BAD = 5;
/** Seconds in which slow frames must occur: a single stall of the machine makes many at once. */
const FEWEST_BAD_SECONDS = 3;
/** A candidate that was not observed for this long had no turn meanwhile. */
const AWAY_MS = 2_000;
/** Share of slow frames that a 99th percentile at the limit stands for. */
const TAIL_SHARE = 0.01;

const entry = z.object({
  timeMs: z.number(),
  isCandidate: z.boolean(),
  frames: z.number(),
  failed: z.number(),
  /** Frames whose stream has a target, and those above the limit. */
  judged: z.number(),
  slow: z.number(),
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
});
export type HardGuardsState = z.infer<typeof hardGuardsState>;

type Settings = GuardsConfig['hard'];

/** Guards without statistics: what no candidate may do even for a few seconds. */
export class HardGuards {
  readonly #settings: Settings;
  readonly #targetMs: (stream: string) => number | null;
  #state: HardGuardsState;

  /** @param targetMs - upper limit for the 99th percentile of a stream's latency; null if it has none. */
  constructor(settings: Settings, targetMs: (stream: string) => number | null, state?: HardGuardsState) {
    this.#settings = settings;
    this.#targetMs = targetMs;
    this.#state = structuredClone(state ?? NOTHING);
  }

  get state(): HardGuardsState {
    return structuredClone(this.#state);
  }

  reset(): void {
    this.#state = structuredClone(NOTHING);
  }

  addSide(observation: SideObservation, nowMs: number): void {
    const { side, stream, frames, failed, dropped, latenciesMs } = observation;
    const state = this.#state;
    const isCandidate = side === 'candidate';
    const targetMs = this.#targetMs(stream);
    const limitMs = targetMs === null ? null : targetMs * this.#settings.p99Factor;
    const judged = limitMs === null ? 0 : latenciesMs.length;
    const slow = limitMs === null ? 0 : latenciesMs.filter((latency) => latency > limitMs).length;
    state.recent.push({ timeMs: nowMs, isCandidate, frames, failed, judged, slow });
    this.#forget(nowMs);
    if (isCandidate) {
      state.candidateFrames += frames;
      state.aliveMs ??= nowMs;
      // While the control has its turn, nobody waits for the candidate.
      const awayMs = nowMs - (state.seenMs ?? nowMs);
      if (awayMs > AWAY_MS) state.aliveMs += awayMs;
      state.seenMs = nowMs;
      if (frames > 0) {
        state.aliveMs = nowMs;
        state.unanswered = 0;
      } else state.unanswered += failed + dropped;
    }
  }

  addEngine({ restarts }: EngineObservation, nowMs: number): void {
    for (let i = 0; i < restarts; i++) this.#state.restartsMs.push(nowMs);
    this.#forget(nowMs);
  }

  reports(nowMs: number): GuardReport[] {
    this.#forget(nowMs);
    return [this.#errors(), this.#silence(nowMs), this.#slowness(), this.#restarts()];
  }

  #errors(): GuardReport {
    const { frames, failed } = this.#sums(true);
    const all = frames + failed;
    const ratio = all === 0 ? null : failed / all;
    const margin = this.#settings.errorRatio;
    const isBad = ratio !== null && all >= FEWEST_FRAMES && failed >= FEWEST_BAD && ratio > margin;
    const reason =
      ratio === null
        ? 'No frame of the candidate was inferred in the last 8 s.'
        : `${failed} of ${all} inferences failed in the last 8 s (${percent(ratio)}); the limit is ${percent(margin)}.`;
    return report('errors', verdictOf(ratio, isBad), ratio, margin, all, reason);
  }

  #silence(nowMs: number): GuardReport {
    const { aliveMs, seenMs, unanswered, candidateFrames } = this.#state;
    const margin = this.#settings.silenceMs;
    const untilMs = Math.min(nowMs, (seenMs ?? nowMs) + AWAY_MS);
    const silentMs = aliveMs === null ? null : untilMs - aliveMs;
    const isSilent = silentMs !== null && silentMs >= margin;
    const isBad = isSilent && unanswered > 0;
    // Without frames that arrive, a silent candidate is no failure, and no success either.
    const measured = isSilent && unanswered === 0 ? null : silentMs;
    const reason =
      aliveMs === null
        ? 'The candidate was not observed yet.'
        : measured === null
          ? 'No frame arrived for the candidate.'
          : isBad
            ? `No result for ${seconds(silentMs!)} although ${unanswered} frames arrived; the limit is ${seconds(margin)}.`
            : `The last result is ${seconds(silentMs!)} old; the limit is ${seconds(margin)}.`;
    return report('results', verdictOf(measured, isBad), measured, margin, candidateFrames, reason);
  }

  #slowness(): GuardReport {
    const own = this.#sums(true);
    const control = this.#sums(false);
    const ratio = own.judged === 0 ? null : own.slow / own.judged;
    const controlRatio = control.judged === 0 ? 0 : control.slow / control.judged;
    const slowSeconds = new Set(
      this.#state.recent
        .filter(({ isCandidate, slow }) => isCandidate && slow > 0)
        .map(({ timeMs }) => Math.floor(timeMs / 1000)),
    );
    const factor = this.#settings.p99Factor;
    // Where the control is as slow, the machine is the cause.
    const isBad =
      ratio !== null &&
      own.judged >= FEWEST_FRAMES &&
      own.slow >= FEWEST_BAD &&
      slowSeconds.size >= FEWEST_BAD_SECONDS &&
      ratio > TAIL_SHARE &&
      ratio > 2 * controlRatio;
    const reason =
      ratio === null
        ? 'No frame of a stream with a target for latency in the last 8 s.'
        : `${own.slow} of ${own.judged} frames took longer than ${factor} times their target in the last 8 s (${percent(ratio)}; control ${percent(controlRatio)}); the limit is 1 %.`;
    return report('slow', verdictOf(ratio, isBad), ratio, TAIL_SHARE, own.judged, reason);
  }

  #restarts(): GuardReport {
    const count = this.#state.restartsMs.length;
    const { restarts, restartWindowMs } = this.#settings;
    const isKnown = this.#state.aliveMs !== null || count > 0;
    const reason = `The candidate's engine was restarted ${count} ${count === 1 ? 'time' : 'times'} in the last ${seconds(restartWindowMs)}; ${restarts} are a crash loop.`;
    const estimate = isKnown ? count : null;
    return report(
      'crashes',
      verdictOf(estimate, count >= restarts),
      estimate,
      restarts,
      this.#state.candidateFrames,
      reason,
    );
  }

  #sums(isCandidate: boolean): { frames: number; failed: number; judged: number; slow: number } {
    const sums = { frames: 0, failed: 0, judged: 0, slow: 0 };
    for (const row of this.#state.recent) {
      if (row.isCandidate !== isCandidate) continue;
      for (const key of ['frames', 'failed', 'judged', 'slow'] as const) sums[key] += row[key];
    }
    return sums;
  }

  #forget(nowMs: number): void {
    const state = this.#state;
    state.recent = state.recent.filter(({ timeMs }: Entry) => timeMs > nowMs - WINDOW_MS);
    state.restartsMs = state.restartsMs.filter((timeMs) => timeMs > nowMs - this.#settings.restartWindowMs);
  }
}

const NOTHING: HardGuardsState = {
  ...{ recent: [], restartsMs: [], aliveMs: null, seenMs: null },
  ...{ candidateFrames: 0, unanswered: 0 },
};

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
  return { guard, kind: 'hard', verdict, estimate, low: estimate, high: estimate, margin, frames, reason };
}

function percent(ratio: number): string {
  return `${+(ratio * 100).toFixed(1)} %`;
}

function seconds(ms: number): string {
  return `${+(ms / 1000).toFixed(1)} s`;
}
