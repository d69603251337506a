import { z } from 'zod';
import { counted } from '../../core/counted.ts';
import type { GuardReport, SideObservation } from '../../protocol/rollout-records.ts';
import { countAbove } from './guards/guard-evidence.ts';
import { percent } from './part-finding.ts';
import { FULL_LOAD } from './rollout-machine.ts';

/** Largest share of its frames that a stream may lose when the candidate is alone. */
const PASS_LOSS = 0.05;
/** If all streams together drop so much more of what arrives than before, the candidate cannot carry them. */
const FAIL_LOSS = 0.1;
/** A stream is judged after this time, because its source may just have been opened again. */
const FEWEST_SECONDS = 5;
/** Shorter losses are caused by the change of the version itself. */
const FAIL_SECONDS = 20;
/** A count of frames in a short time may be off by this many. */
const FRAMES_SLACK = 2;
/** A stream that was not seen for this long before the step has ended, or is paused. */
const GONE_MS = 30_000;
/** A stream that ran until the step began is waited for longer: the candidate may be the reason why it does not come back. */
const LOST_MS = 600_000;
/** Share of the step that a stream must have run, less the time of the change. A host that crashes now and then loses more. */
const RAN_SHARE = 0.8;
const CHANGE_SECONDS = 5;

/** A stream is late if more than `LATE_SHARE` of its frames take `LATE_FACTOR` times as long as usual under the control. */
const LATE_SHARE = 0.5;
const LATE_FACTOR = 2;

/**
 * Alone, the candidate must report as many boxes as in its turns, which were compared with the control. Scenes change, so only a
 * loss that this hardly explains counts: half of all boxes, or nine tenths of those of a stream.
 */
const FEWEST_BOXES = 100;
const FEWEST_BOXES_A_FRAME = 0.5;
const MOST_BOXES_LOST = 0.5;
const MOST_STREAM_BOXES_LOST = 0.9;
/** This many streams do not lose all their objects at the same time by chance. */
const BLIND_STREAMS = 3;
const BLIND_LOSS = 0.95;

/** Frames that were published, and those that arrived and were dropped. */
const tally = z.object({ frames: z.number(), dropped: z.number().default(0), seconds: z.number(), boxes: z.number() });
type Tally = z.infer<typeof tally>;
/** Frames with a known latency, and the late ones among them. */
const aloneTally = tally.extend({ timed: z.number(), late: z.number() });
const streamState = z.object({
  /** The reference before the step. */
  before: tally,
  /** The candidate in its turns before the step. */
  turns: tally,
  /** `before` and `turns` are of an earlier step. */
  isOld: z.object({ before: z.boolean(), turns: z.boolean() }),
  alone: aloneTally,
  seenMs: z.number(),
});
export const fullLoadState = z.object({
  /** When the candidate began to be alone; null before. */
  fromMs: z.number().nullable(),
  streams: z.record(z.string(), streamState),
});
type StreamState = z.infer<typeof streamState>;
export type FullLoadState = z.infer<typeof fullLoadState>;

/**
 * Judges whether the candidate carries all streams alone: each must attain the rate that it had before, run nearly all the time, be
 * about as fast, and report boxes as in the candidate's turns. There is no control at the same time, so the limits are wide, and a
 * person decides about results between them. Only frames that arrived and were not published count against the candidate, since a
 * source may send fewer. A person decides about a source that sends fewer frames, since a busy machine can also make it slow, and
 * about a stream that was not compared before.
 */
export class FullLoad {
  readonly #streams: Map<string, StreamState>;
  #fromMs: number | null;

  constructor(state?: FullLoadState) {
    this.#fromMs = state?.fromMs ?? null;
    this.#streams = new Map(Object.entries(structuredClone(state?.streams ?? {})));
  }

  get state(): FullLoadState {
    return { fromMs: this.#fromMs, streams: structuredClone(Object.fromEntries(this.#streams)) };
  }

  /**
   * @param reference - the side that has the rate which streams must attain.
   * @param usualMs - median latency of the stream under the control; null if it is not known.
   */
  add(observation: SideObservation, isAlone: boolean, reference: string, usualMs: number | null, nowMs: number): void {
    const { stream, side, latenciesMs } = observation;
    const known = this.#streams.get(stream) ?? opened(nowMs);
    this.#streams.set(stream, known);
    known.seenMs = nowMs;
    if (isAlone) {
      if (side !== 'candidate') return;
      addTo(known.alone, observation);
      if (usualMs === null) return;
      known.alone.timed += latenciesMs.length;
      known.alone.late += countAbove(latenciesMs, LATE_FACTOR * usualMs);
      return;
    }
    if (side === reference) addNewest(known, 'before', observation);
    if (side === 'candidate') addNewest(known, 'turns', observation);
  }

  /** Begins a step. Figures of earlier steps count until there are newer ones. */
  begin(isAlone: boolean, nowMs: number): void {
    this.#fromMs = isAlone ? nowMs : null;
    for (const [name, stream] of this.#streams) {
      stream.alone = nothingAlone();
      if (!isAlone) stream.isOld = { before: true, turns: true };
      else if (nowMs - stream.seenMs > GONE_MS) this.#streams.delete(name);
      else stream.seenMs = nowMs;
    }
  }

  report(nowMs: number): GuardReport {
    const elapsedSeconds = (nowMs - (this.#fromMs ?? nowMs)) / 1000;
    let [attained, expected, seconds, frames] = [0, 0, 0, 0];
    const slow: string[] = [];
    const slowSources: string[] = [];
    const uncompared: string[] = [];
    const absent: string[] = [];
    const late: string[] = [];
    let [waiting, leftSeconds] = [0, 0];
    for (const [name, { before, turns, alone, seenMs }] of this.#streams) {
      const isLost = nowMs - seenMs >= LOST_MS;
      const isCompared = before.frames > 0 && turns.frames > 0;
      if (!isCompared && !isLost && arrivedOf(alone) > 0) uncompared.push(name);
      if (before.seconds === 0 || before.frames === 0) continue;
      if (alone.seconds < FEWEST_SECONDS) {
        if (isLost) continue;
        waiting += 1;
        leftSeconds = Math.max(leftSeconds, FEWEST_SECONDS - alone.seconds);
        continue;
      }
      const lacking = RAN_SHARE * elapsedSeconds - CHANGE_SECONDS - alone.seconds;
      if (!isLost && lacking > 0) {
        absent.push(name);
        leftSeconds = Math.max(leftSeconds, lacking / (1 - RAN_SHARE));
      }
      const wanted = (before.frames / arrivedOf(before)) * arrivedOf(alone);
      const usual = (before.frames / before.seconds) * alone.seconds;
      if (alone.frames + FRAMES_SLACK < wanted * (1 - PASS_LOSS)) slow.push(name);
      else if (alone.frames + FRAMES_SLACK < usual * (1 - PASS_LOSS)) slowSources.push(name);
      if (alone.late > LATE_SHARE * alone.timed) late.push(name);
      attained += Math.min(alone.frames, wanted);
      expected += wanted;
      frames += alone.frames;
      seconds = Math.max(seconds, alone.seconds);
    }
    const loss = seconds === 0 ? null : expected === 0 ? 0 : 1 - attained / expected;
    const all = { guard: FULL_LOAD, kind: 'statistical', estimate: loss, low: null, high: null } as const;
    const report = (verdict: GuardReport['verdict'], reason: string, leftMs: number | null = null): GuardReport => ({
      ...{ ...all, verdict, margin: PASS_LOSS, frames, reason, leftMs },
    });
    const leftMs = leftSeconds * 1000;
    if (loss === null) {
      const none = 'The candidate has not carried any stream alone for 5 s yet.';
      return report('no-data', none, waiting > 0 ? leftMs : null);
    }
    const lost = percent(loss);
    if (loss > FAIL_LOSS && seconds >= FAIL_SECONDS)
      return report('fail', `Alone, the candidate drops ${lost} of the frames that arrive and were published before.`);
    const boxes = this.#boxes();
    if (boxes.isBlind && seconds >= FAIL_SECONDS) return report('fail', boxes.finding!);
    if (waiting > 0) return report('undecided', `${counted(waiting, 'stream')} did not run alone for 5 s yet.`, leftMs);
    if (slow.length > 0)
      return report('undecided', `Alone, more frames of ${named(slow)} are lost than before; a person decides.`);
    if (slowSources.length > 0) {
      const why =
        'without the candidate dropping them: the sources send fewer, or the machine is too busy to read them';
      return report(
        'undecided',
        `Alone, fewer frames of ${named(slowSources)} arrive than before, ${why}; a person decides.`,
      );
    }
    if (uncompared.length > 0)
      return report('undecided', `Not compared before this step: ${named(uncompared)}; a person decides.`);
    if (late.length > 0) {
      const size = `most frames of ${named(late)} take more than ${LATE_FACTOR} times as long as usual`;
      return report('undecided', `Alone, ${size}; a person decides.`);
    }
    if (absent.length > 0)
      return report(
        'undecided',
        `Alone, ${named(absent)} ran for less than ${percent(RAN_SHARE)} of the step.`,
        leftMs,
      );
    if (boxes.finding !== null) return report('undecided', `${boxes.finding.slice(0, -1)}; a person decides.`);
    return report(
      'pass',
      `Alone, the candidate carries every stream: it drops ${lost} more of the frames than before.`,
    );
  }

  /** Describes which boxes the candidate no longer reports, in a sentence. Blind: it reports hardly any on several streams. */
  #boxes(): { readonly finding: string | null; readonly isBlind: boolean } {
    let [reported, expected, streams] = [0, 0, 0];
    const empty: string[] = [];
    for (const [name, { turns, alone }] of this.#streams) {
      if (turns.frames === 0) continue;
      const rate = turns.boxes / turns.frames;
      const wanted = rate * alone.frames;
      reported += alone.boxes;
      expected += wanted;
      if (rate < FEWEST_BOXES_A_FRAME || wanted < FEWEST_BOXES) continue;
      streams += 1;
      if (alone.boxes < (1 - MOST_STREAM_BOXES_LOST) * wanted) empty.push(name);
    }
    const loss = expected < FEWEST_BOXES ? 0 : 1 - reported / expected;
    const where = loss > MOST_BOXES_LOST ? '' : ` on ${named(empty)}`;
    if (where !== '' && empty.length === 0) return { finding: null, isBlind: false };
    const share = where === '' ? percent(1 - loss) : `less than ${percent(1 - MOST_STREAM_BOXES_LOST)}`;
    return {
      finding: `Alone, the candidate reports ${share} of the boxes that it reported in its turns${where}.`,
      isBlind: loss > BLIND_LOSS && streams >= BLIND_STREAMS,
    };
  }
}

function nothing(): Tally {
  return { frames: 0, dropped: 0, seconds: 0, boxes: 0 };
}

function nothingAlone(): StreamState['alone'] {
  return { ...nothing(), timed: 0, late: 0 };
}

function opened(nowMs: number): StreamState {
  return {
    ...{ before: nothing(), turns: nothing(), isOld: { before: false, turns: false }, alone: nothingAlone() },
    seenMs: nowMs,
  };
}

/** Every frame that arrives is published or dropped. */
function arrivedOf({ frames, dropped }: Tally): number {
  return frames + dropped;
}

function addTo(sum: Tally, { frames, dropped, seconds, boxes }: SideObservation): void {
  sum.frames += frames;
  sum.dropped += dropped;
  sum.seconds += seconds;
  sum.boxes += boxes;
}

/** Adds to a sum of the newest step. */
function addNewest(stream: StreamState, which: 'before' | 'turns', observation: SideObservation): void {
  if (stream.isOld[which]) {
    stream[which] = nothing();
    stream.isOld[which] = false;
  }
  addTo(stream[which], observation);
}

function named(streams: readonly string[]): string {
  const more = streams.length - 3;
  return `${streams.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
