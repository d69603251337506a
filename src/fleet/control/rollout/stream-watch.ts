import { z } from 'zod';
import { counted } from '../../../base/core/counted.ts';
import {
  addBlock,
  eValue,
  type HarmEvidence,
  harmEvidence,
  NO_EVIDENCE_OF_HARM,
  shareOfLevel,
} from '../../../base/statistics/harm-evidence.ts';
import { isDisturbed } from '../../../frame/telemetry/interference.ts';
import type { SideObservation } from '../../../wire/protocol/rollout-records.ts';
import { countAbove, countsIn, countsOf, othersRatioOf, percent, ratio } from './observed.ts';

/** A candidate that was not observed for this long had no turn meanwhile. */
export const AWAY_MS = 2_000;
/** Blocks of the candidate: about a turn; longer where few frames arrive. */
const BLOCK_SECONDS = 4.5;
const BLOCK_FRAMES = 3;
const MOST_BLOCK_SECONDS = 30;
/** Decay constant of the figures of a side: after this much observed time an old figure weighs 1/e of a new one. */
const MEMORY_SECONDS = 30;
/** Observed time of the control from which it is known whether it meets the target. */
const CONTROL_SECONDS = 5;
/** How long a target must be missed: a stall of the machine is shorter. */
const MISS_MS = 30_000;
/** If both sides miss a target for this long that the control met before the step, the roll-out itself is the cause. */
const BOTH_MISS_MS = 300_000;
/** A control that was observed in this time meets the same minutes as the candidate. */
const CONTROL_RECENT_MS = 60_000;
/** The 99th percentile is above the target if more than this share of the frames is. */
const LATE_SHARE = 0.01;
/** Part of the rate that a stream may lack: half a frame at each end of a block, and the clock of the camera. */
const SHORT_SHARE = 0.02;
const SHORT_SLACK = 0.05;
const SHORT_SLACK_FRAMES = 1.5;
/** A side misses its target beyond these shares of late frames and missing frames. */
const MISSED_LATE = 0.05;
const MISSED_SHORT = 0.1;
/** Nearly all inferences of a stream fail if this many did, over this many seconds in a row in each of which most failed. */
const FAILED_FRAMES = 8;
const FAILED_SECONDS = 3;
/** A single stream may be silent for this many times `silenceMs` while frames arrive: one camera can be late for a moment. */
const SILENCE_FACTOR = 3;
const UNANSWERED_FRAMES = 5;

/** `late`: latencies above the target. */
const SUMS = countsOf('seconds', 'frames', 'lost', 'failed', 'late', 'othersSeconds');
type Figures = ReturnType<typeof SUMS.none>;

const watched = z.object({
  name: z.string(),
  number: z.number(),
  target: z.object({ fps: z.number().nullable(), latencyMs: z.number().nullable() }),
  /** Time of the last observation of each side. */
  seenMs: z.object({ candidate: z.number().nullable(), control: z.number().nullable() }),
  block: SUMS.state,
  /** Faded sums of the newest time of each side, and of the control just before the step. */
  candidate: SUMS.state,
  control: SUMS.state,
  before: SUMS.state,
  /** All of the control in this step. */
  stepControl: SUMS.state,
  late: harmEvidence,
  short: harmEvidence,
  failing: harmEvidence,
  /** Since when the candidate misses the target, and since when both sides do. */
  missedFromMs: z.number().nullable(),
  bothFromMs: z.number().nullable(),
  failedRun: z.object({ failed: z.number(), frames: z.number(), seconds: z.number() }),
  /** Time of the candidate's last result, moved on while the control had its turn. */
  aliveMs: z.number().nullable(),
  unanswered: z.number(),
});
type Watched = z.infer<typeof watched>;

export const streamWatchState = z.array(watched);

/** What one stream's candidate does that ends a roll-out. */
export interface StreamFinding {
  readonly stream: string;
  /** undecided: it misses its target, but not long enough to blame the candidate. */
  readonly verdict: 'fail' | 'undecided';
  readonly estimate: number;
  readonly reason: string;
}

/**
 * Watches each stream of the candidate for failing inferences, silence, and a target that it misses and its control meets. Needs no turns
 * and no equal inputs: without turns the control is what the stream did just before the step.
 */
export class StreamWatch {
  readonly #errorRatio: number;
  readonly #silenceMs: number;
  readonly #streams = new Map<string, Watched>();

  constructor(errorRatio: number, silenceMs: number, state?: z.infer<typeof streamWatchState>) {
    this.#errorRatio = errorRatio;
    this.#silenceMs = silenceMs;
    for (const saved of state ?? []) this.#streams.set(saved.name, structuredClone(saved));
  }

  add(observation: SideObservation, nowMs: number): void {
    const { stream: name, side, target = NO_TARGET } = observation;
    const stream = this.#streams.get(name) ?? opened(name, this.#streams.size + 1);
    this.#streams.set(name, stream);
    stream.target = { ...target };
    const late = countAbove(observation.latenciesMs, target.latencyMs ?? Number.POSITIVE_INFINITY);
    const seen = { ...countsIn(observation), late };
    const awayMs = nowMs - (stream.seenMs[side] ?? nowMs);
    if (side === 'control') {
      fade(stream.control, seen);
      SUMS.add(stream.stepControl, seen);
    } else {
      // What is left of a turn is a block if it is not too short.
      if (awayMs > AWAY_MS) this.#close(stream, nowMs);
      fade(stream.candidate, seen);
      // A target that is missed while others take more of the CPU than in the control's time says nothing about the candidate.
      if (!isDisturbed(observation.othersRatio, othersRatioOf(stream.control))) SUMS.add(stream.block, seen);
      this.#watchFailures(stream, seen);
      watchSilence(stream, seen, awayMs, nowMs);
      const { seconds, frames, lost } = stream.block;
      const isWhole = seconds >= BLOCK_SECONDS && (frames + lost >= BLOCK_FRAMES || seconds >= MOST_BLOCK_SECONDS);
      if (isWhole) this.#close(stream, nowMs);
    }
    stream.seenMs[side] = nowMs;
  }

  /** A stream whose inferences fail. @param alpha - probability, for all streams together, of a wrong finding. */
  failing(alpha: number): StreamFinding | null {
    for (const stream of this.#streams.values()) {
      const { failedRun: run, failing, candidate } = stream;
      const isRun = run.failed >= FAILED_FRAMES && run.seconds >= FAILED_SECONDS;
      if (!isRun && !isCertain(failing, alpha * shareOfLevel(stream.number))) continue;
      const { failed, frames } = isRun ? run : candidate;
      const share = ratio(failed, frames + failed);
      const text = `${percent(share)} of the inferences of stream "${stream.name}" fail; the limit is ${percent(this.#errorRatio)}.`;
      return { stream: stream.name, verdict: 'fail', estimate: share, reason: text };
    }
    return null;
  }

  /** A stream without results although frames arrive. */
  silent(nowMs: number): StreamFinding | null {
    const limitMs = SILENCE_FACTOR * this.#silenceMs;
    for (const { name, aliveMs, seenMs, unanswered } of this.#streams.values()) {
      if (aliveMs === null || unanswered < UNANSWERED_FRAMES) continue;
      const silentMs = Math.min(nowMs, seenMs.candidate! + AWAY_MS) - aliveMs;
      if (silentMs < limitMs) continue;
      const reason = `Stream "${name}" has had no result for ${Math.round(silentMs / 1000)} s although ${counted(unanswered, 'frame')} arrived; the limit for one stream is ${limitMs / 1000} s.`;
      return { stream: name, verdict: 'fail', estimate: silentMs, reason };
    }
    return null;
  }

  /** The stream that misses its target, a certain one first. @param alpha - as for `failing`. */
  missing(alpha: number, nowMs: number): StreamFinding | null {
    let open: StreamFinding | null = null;
    for (const stream of this.#streams.values()) {
      const { missedFromMs, bothFromMs } = stream;
      if (missedFromMs === null && bothFromMs === null) continue;
      const own = (alpha / 2) * shareOfLevel(stream.number);
      const isAlone =
        missedFromMs !== null &&
        nowMs - missedFromMs >= MISS_MS &&
        (isCertain(stream.late, own) || isCertain(stream.short, own));
      const isBoth = bothFromMs !== null && nowMs - bothFromMs >= BOTH_MISS_MS;
      const since = 'the control met the target before the step, and both sides have missed it since';
      if (isAlone) return findingOf(stream, 'fail', 'its control meets the target');
      if (isBoth) return findingOf(stream, 'fail', since);
      open ??= findingOf(stream, 'undecided', bothFromMs === null ? 'not for long yet' : 'its control misses it too');
    }
    return open;
  }

  /** Candidate's frames of streams with a target. */
  get judgedFrames(): number {
    let frames = 0;
    for (const { target, candidate } of this.#streams.values())
      if (target.fps !== null || target.latencyMs !== null) frames += candidate.frames;
    return Math.round(frames);
  }

  /**
   * Begins a step. While the control has no turn, the candidate is compared with the control of the whole step before: the last
   * seconds alone may have been calm by chance, and the last step has no turns.
   */
  reset(): void {
    for (const stream of this.#streams.values()) {
      const { name, number, target, seenMs } = stream;
      const control = memoryOf(stream.stepControl.seconds < CONTROL_SECONDS ? stream.control : stream.stepControl);
      const kept = { target, control, before: { ...control }, seenMs: { candidate: null, control: seenMs.control } };
      this.#streams.set(name, { ...opened(name, number), ...kept });
    }
  }

  get state(): z.infer<typeof streamWatchState> {
    return [...this.#streams.values()].map((stream) => structuredClone(stream));
  }

  #watchFailures({ failedRun: run }: Watched, { frames, failed, seconds }: Figures): void {
    if (frames + failed === 0) return;
    const isFailing = failed >= (frames + failed) / 2;
    run.failed = isFailing ? run.failed + failed : 0;
    run.frames = isFailing ? run.frames + frames : 0;
    run.seconds = isFailing ? run.seconds + seconds : 0;
  }

  #close(stream: Watched, nowMs: number): void {
    const { block, control, target, before } = stream;
    if (block.seconds < BLOCK_SECONDS / 2) return;
    stream.block = SUMS.none();
    const inferred = block.frames + block.failed;
    const controlFails = ratio(control.failed, control.frames + control.failed);
    if (inferred > 0)
      stream.failing = addBlock(stream.failing, block.failed / inferred, Math.max(this.#errorRatio, 2 * controlFails));
    // Without observations of the control it is unknown whether it meets the target.
    if (control.seconds < CONTROL_SECONDS) return;
    const lateShare = target.latencyMs === null ? 0 : ratio(block.late, block.frames);
    if (target.latencyMs !== null && block.frames > 0)
      stream.late = addBlock(stream.late, lateShare, limitOf(LATE_SHARE, ratio(control.late, control.frames)));
    const shortfall = target.fps === null ? 0 : missingRateShare(stream, block, target.fps, nowMs);
    if (target.fps !== null)
      stream.short = addBlock(stream.short, shortfall, limitOf(SHORT_SHARE, missingShare(control, target.fps)));
    const isMissed = lateShare > MISSED_LATE || shortfall > MISSED_SHORT;
    const isMissedByControl = missesTarget(control, target);
    const isBoth = isMissed && isMissedByControl && !isDisturbed(othersRatioOf(control), othersRatioOf(before));
    stream.bothFromMs =
      isBoth && !missesTarget(before, target) && before.seconds > 0 ? (stream.bothFromMs ?? nowMs) : null;
    if (isMissed && !isMissedByControl) stream.missedFromMs ??= nowMs - 1000 * block.seconds;
    else if (eValue(stream.late) < 1 && eValue(stream.short) < 1) stream.missedFromMs = null;
  }
}

function opened(name: string, number: number): Watched {
  return {
    name,
    number,
    target: NO_TARGET,
    seenMs: { candidate: null, control: null },
    aliveMs: null,
    unanswered: 0,
    block: SUMS.none(),
    candidate: SUMS.none(),
    control: SUMS.none(),
    before: SUMS.none(),
    stepControl: SUMS.none(),
    late: NO_EVIDENCE_OF_HARM,
    short: NO_EVIDENCE_OF_HARM,
    failing: NO_EVIDENCE_OF_HARM,
    missedFromMs: null,
    bothFromMs: null,
    failedRun: { failed: 0, frames: 0, seconds: 0 },
  };
}

const NO_TARGET = { fps: null, latencyMs: null };

/** Adds to sums in which older figures count less. */
function fade(sum: Figures, more: Figures): void {
  SUMS.add(sum, more, Math.exp(-more.seconds / MEMORY_SECONDS));
}

/** Scales sums to the time that is remembered; their shares stay the same. */
function memoryOf(sum: Figures): Figures {
  const scaled = { ...sum };
  SUMS.add(scaled, SUMS.none(), Math.min(1, MEMORY_SECONDS / Math.max(sum.seconds, 1)));
  return scaled;
}

/** How long a candidate has had no result. */
export interface Silence {
  /** Time of its last result, moved on while the control had its turn; null before its first observation. */
  aliveMs: number | null;
  /** Frames that arrived since. */
  unanswered: number;
}

/** @param awayMs - time since the last observation of the candidate. */
export function watchSilence(
  stream: Silence,
  { frames, lost }: Pick<Figures, 'frames' | 'lost'>,
  awayMs: number,
  nowMs: number,
): void {
  stream.aliveMs ??= nowMs;
  // The time of the control's turn does not count as silence of the candidate.
  if (awayMs > AWAY_MS) stream.aliveMs += awayMs;
  if (frames > 0) {
    stream.aliveMs = nowMs;
    stream.unanswered = 0;
  } else stream.unanswered += lost;
}

/**
 * Returns the share of the wanted rate that a block lacks, beyond chance. If the control had no recent turn, a camera that sends
 * fewer frames would look the same, so then only blocks with lost frames count.
 */
function missingRateShare({ seenMs }: Watched, block: Figures, fps: number, nowMs: number): number {
  const isCompared = seenMs.control !== null && nowMs - seenMs.control < CONTROL_RECENT_MS;
  if (!isCompared && block.lost === 0) return 0;
  const lacking = 1 - (block.frames + SHORT_SLACK_FRAMES) / (fps * block.seconds) - SHORT_SLACK;
  return Math.max(0, lacking);
}

/** A share is harm above what is allowed, or twice that of the control. */
function limitOf(allowed: number, ofControl: number): number {
  return Math.min(0.9, Math.max(allowed, 2 * ofControl));
}

function missingShare({ frames, seconds }: Figures, fps: number): number {
  return seconds === 0 ? 0 : Math.max(0, 1 - frames / (fps * seconds));
}

function missesTarget(side: Figures, { fps, latencyMs }: Watched['target']): boolean {
  const isLate = latencyMs !== null && ratio(side.late, side.frames) > MISSED_LATE;
  return isLate || (fps !== null && missingShare(side, fps) > MISSED_SHORT);
}

function isCertain(evidence: HarmEvidence, alpha: number): boolean {
  return eValue(evidence) >= 1 / alpha;
}

function findingOf(stream: Watched, verdict: StreamFinding['verdict'], control: string): StreamFinding {
  const { name, target, candidate } = stream;
  const late = ratio(candidate.late, candidate.frames);
  const parts: string[] = [];
  if (target.fps !== null)
    parts.push(`attains ${(candidate.frames / candidate.seconds).toFixed(1)} of ${target.fps} frames/s`);
  if (target.latencyMs !== null)
    parts.push(`has ${percent(late)} of its frames later than ${target.latencyMs} ms (1 % are allowed)`);
  const estimate = Math.max(late, target.fps === null ? 0 : missingShare(candidate, target.fps));
  return { stream: name, verdict, estimate, reason: `Stream "${name}" ${parts.join(' and ')}; ${control}.` };
}
