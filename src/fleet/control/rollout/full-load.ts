import { z } from 'zod';
import { counted } from '../../../base/core/counted.ts';
import { isDisturbed } from '../../../frame/telemetry/interference.ts';
import type { GuardReport, GuardSettings, SideObservation } from '../../../wire/protocol/rollout-records.ts';
import { countAbove, countsIn, countsOf, othersRatioOf, percent } from './observed.ts';
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

/** While others take more of the CPU than before, this much of the other time is needed: nearly all of a step of a minute. */
const FEWEST_CALM_SECONDS = 45;
/** If so much of the step passes without it, only a comparison with the control at the same time decides. */
const DISTURBED_SECONDS = 600;

const BEFORE = countsOf('frames', 'dropped', 'seconds', 'boxes', 'othersSeconds');
type Tally = ReturnType<typeof BEFORE.none>;
/**
 * Frames with a known latency, and the late ones among them; frames that should have been published of those that arrived, and
 * those that the rate of before would give.
 */
const ALONE = countsOf('frames', 'seconds', 'dropped', 'boxes', 'othersSeconds', 'timed', 'late', 'wanted', 'usual');
const streamState = z.object({
  /** The reference before the step, and in those of its seconds in which others took much of the CPU. */
  before: BEFORE.state,
  disturbedBefore: BEFORE.state,
  /** The candidate in its turns before the step. */
  turns: BEFORE.state,
  /** `before` and `turns` are of an earlier step. */
  isOld: z.object({ before: z.boolean(), disturbedBefore: z.boolean(), turns: z.boolean() }),
  alone: ALONE.state,
  /** The part of `alone` in which others took no more of the CPU than before. */
  calm: ALONE.state,
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
 *
 * Seconds in which others took more of the CPU than before do not count against the candidate. If it carries the streams all the same, they
 * count for it. Seconds with as much use by others as before are compared with those.
 */
export class FullLoad {
  readonly #guards: GuardSettings;
  readonly #streams: Map<string, StreamState>;
  #fromMs: number | null;

  /** @param guards - settings of the roll-out: what a guard that is off judges does not count here either. */
  constructor(guards: GuardSettings, state?: FullLoadState) {
    this.#guards = guards;
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
    const { stream, side, latenciesMs, othersRatio } = observation;
    const known = this.#streams.get(stream) ?? opened(nowMs);
    this.#streams.set(stream, known);
    known.seenMs = nowMs;
    if (isAlone) {
      if (side !== 'candidate') return;
      const like = likeNow(known, othersRatio);
      const [timed, late] =
        usualMs === null ? [0, 0] : [latenciesMs.length, countAbove(latenciesMs, LATE_FACTOR * usualMs)];
      const seen = { ...countsIn(observation), timed, late };
      ALONE.add(known.alone, { ...seen, ...expectedBy(like ?? usualOf(known), seen) });
      if (like !== null) ALONE.add(known.calm, { ...seen, ...expectedBy(like, seen) });
      return;
    }
    if (side === reference) addNewest(known, isDisturbed(othersRatio) ? 'disturbedBefore' : 'before', observation);
    if (side === 'candidate') addNewest(known, 'turns', observation);
  }

  /** Begins a step. Figures of earlier steps count until there are newer ones. */
  begin(isAlone: boolean, nowMs: number): void {
    this.#fromMs = isAlone ? nowMs : null;
    for (const [name, stream] of this.#streams) {
      stream.alone = ALONE.none();
      stream.calm = ALONE.none();
      if (!isAlone) stream.isOld = { before: true, disturbedBefore: true, turns: true };
      else if (nowMs - stream.seenMs > GONE_MS) this.#streams.delete(name);
      else stream.seenMs = nowMs;
    }
  }

  /**
   * True if others have taken so much more of the CPU than before, for so long, that nothing can be said without a control at the same
   * time.
   */
  get needsControl(): boolean {
    const { calmSeconds, disturbedSeconds } = this.#others();
    return disturbedSeconds >= DISTURBED_SECONDS && calmSeconds < FEWEST_CALM_SECONDS;
  }

  report(nowMs: number): GuardReport {
    const all = this.#judge('alone', nowMs);
    const { calmSeconds, disturbedSeconds, ratio } = this.#others();
    // Which boxes a frame has does not depend on the CPU.
    if (disturbedSeconds === 0 || all.verdict === 'pass' || this.#boxes().isBlind) return all;
    const calm = this.#judge('calm', nowMs);
    if (calm.verdict === 'fail' || calmSeconds >= FEWEST_CALM_SECONDS) return calm;
    const time = `for ${Math.round(disturbedSeconds)} s of this step`;
    const reason = `Other processes took ${percent(ratio)} of the CPU ${time}, more than before, which does not count against the candidate; it needs ${FEWEST_CALM_SECONDS} s without: stop them, or promote by hand. After ${DISTURBED_SECONDS / 60} minutes both versions take turns again.`;
    const leftSeconds = Math.min(
      DISTURBED_SECONDS - disturbedSeconds,
      (FEWEST_CALM_SECONDS - calmSeconds) * (1 + disturbedSeconds / calmSeconds),
    );
    return { ...all, verdict: 'undecided', reason, leftMs: 1000 * Math.max(0, leftSeconds) };
  }

  /** Time in which others took more of the CPU than before, their share of it then, and the other time; of the stream with most. */
  #others(): { readonly calmSeconds: number; readonly disturbedSeconds: number; readonly ratio: number } {
    const of = [...this.#streams.values()].map(({ alone, calm }) => {
      const disturbedSeconds = alone.seconds - calm.seconds;
      const othersSeconds = alone.othersSeconds - calm.othersSeconds;
      const ratio = othersRatioOf({ othersSeconds, seconds: disturbedSeconds });
      return { calmSeconds: calm.seconds, disturbedSeconds, ratio };
    });
    const none = { calmSeconds: 0, disturbedSeconds: 0, ratio: 0 };
    return of.reduce((most, one) => (one.disturbedSeconds > most.disturbedSeconds ? one : most), none);
  }

  /** @param which - the seconds that count. */
  #judge(which: 'alone' | 'calm', nowMs: number): GuardReport {
    const elapsedSeconds = (nowMs - (this.#fromMs ?? nowMs)) / 1000;
    let [attained, expected, seconds, frames] = [0, 0, 0, 0];
    const slow: string[] = [];
    const slowSources: string[] = [];
    const uncompared: string[] = [];
    const absent: string[] = [];
    const late: string[] = [];
    let [waiting, leftSeconds] = [0, 0];
    for (const [name, stream] of this.#streams) {
      const { turns, seenMs, [which]: alone } = stream;
      const isLost = nowMs - seenMs >= LOST_MS;
      const hasReference = usualOf(stream).frames > 0;
      const isCompared = hasReference && turns.frames > 0;
      if (!isCompared && !isLost && arrivedOf(alone) > 0) uncompared.push(name);
      if (!hasReference) continue;
      if (alone.seconds < FEWEST_SECONDS) {
        if (isLost) continue;
        waiting += 1;
        leftSeconds = Math.max(leftSeconds, FEWEST_SECONDS - alone.seconds);
        continue;
      }
      const lacking = RAN_SHARE * elapsedSeconds - CHANGE_SECONDS - stream.alone.seconds;
      if (!isLost && lacking > 0) {
        absent.push(name);
        leftSeconds = Math.max(leftSeconds, lacking / (1 - RAN_SHARE));
      }
      const { wanted, usual } = alone;
      if (alone.frames + FRAMES_SLACK < wanted * (1 - PASS_LOSS)) slow.push(name);
      else if (alone.frames + FRAMES_SLACK < usual * (1 - PASS_LOSS) && this.#isOn('fps')) slowSources.push(name);
      if (alone.late > LATE_SHARE * alone.timed && this.#isOn('p99')) late.push(name);
      attained += Math.min(alone.frames, wanted);
      expected += wanted;
      frames += alone.frames;
      seconds = Math.max(seconds, alone.seconds);
    }
    const loss = seconds === 0 ? null : expected === 0 ? 0 : 1 - attained / expected;
    const all = { guard: FULL_LOAD, kind: 'statistical', estimate: loss, low: null, high: null } as const;
    const report = (verdict: GuardReport['verdict'], reason: string, leftMs: number | null = null): GuardReport => ({
      ...all,
      verdict,
      margin: PASS_LOSS,
      frames,
      reason,
      leftMs,
    });
    const leftMs = leftSeconds * 1000;
    if (loss === null) {
      const none = 'The candidate has not carried any stream alone for 5 s yet.';
      return report('no-data', none, waiting > 0 ? leftMs : null);
    }
    const lost = percent(loss);
    if (loss > FAIL_LOSS && seconds >= FAIL_SECONDS && this.#isOn('drops'))
      return report('fail', `Alone, the candidate drops ${lost} of the frames that arrive and were published before.`);
    const boxes = this.#boxes();
    if (boxes.isBlind && seconds >= FAIL_SECONDS) return report('fail', boxes.finding!);
    if (waiting > 0) return report('undecided', `${counted(waiting, 'stream')} did not run alone for 5 s yet.`, leftMs);
    const forPerson = (finding: string): GuardReport => report('undecided', `${finding}; a person decides.`);
    if (slow.length > 0 && this.#isOn('drops'))
      return forPerson(`Alone, more frames of ${named(slow)} are lost than before`);
    if (slowSources.length > 0) {
      const why =
        'without the candidate dropping them: the sources send fewer, or the machine is too busy to read them';
      return forPerson(`Alone, fewer frames of ${named(slowSources)} arrive than before, ${why}`);
    }
    if (uncompared.length > 0) return forPerson(`Not compared before this step: ${named(uncompared)}`);
    if (late.length > 0)
      return forPerson(`Alone, most frames of ${named(late)} take more than ${LATE_FACTOR} times as long as usual`);
    const ran = `Alone, ${named(absent)} ran for less than ${percent(RAN_SHARE)} of the step.`;
    if (absent.length > 0) return report('undecided', ran, leftMs);
    if (boxes.finding !== null) return forPerson(boxes.finding.slice(0, -1));
    return report(
      'pass',
      `Alone, the candidate carries every stream: it drops ${lost} more of the frames than before.`,
    );
  }

  #isOn(guard: 'fps' | 'drops' | 'p99' | 'boxes'): boolean {
    return (this.#guards[guard] as { readonly isOn?: boolean } | undefined)?.isOn !== false;
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
    if ((where !== '' && empty.length === 0) || !this.#isOn('boxes')) return { finding: null, isBlind: false };
    const share = where === '' ? percent(1 - loss) : `less than ${percent(1 - MOST_STREAM_BOXES_LOST)}`;
    return {
      finding: `Alone, the candidate reports ${share} of the boxes that it reported in its turns${where}.`,
      isBlind: loss > BLIND_LOSS && streams >= BLIND_STREAMS,
    };
  }
}

/** The time before with which seconds of the candidate are compared at all. */
function usualOf({ before, disturbedBefore }: StreamState): Tally {
  const isEnough = before.frames > 0 && before.seconds >= Math.min(FEWEST_SECONDS, disturbedBefore.seconds);
  return isEnough ? before : disturbedBefore;
}

/** The time before in which others took about as much of the CPU as now, or more; null if there was none. */
function likeNow(stream: StreamState, othersRatio: number | undefined): Tally | null {
  if (!isDisturbed(othersRatio)) return usualOf(stream);
  const like = stream.disturbedBefore;
  return like.seconds < FEWEST_SECONDS || isDisturbed(othersRatio, othersRatioOf(like)) ? null : like;
}

function opened(nowMs: number): StreamState {
  return {
    before: BEFORE.none(),
    disturbedBefore: BEFORE.none(),
    turns: BEFORE.none(),
    isOld: { before: false, disturbedBefore: false, turns: false },
    alone: ALONE.none(),
    calm: ALONE.none(),
    seenMs: nowMs,
  };
}

/** Every frame that arrives is published or dropped. */
function arrivedOf({ frames, dropped }: Pick<Tally, 'frames' | 'dropped'>): number {
  return frames + dropped;
}

/** Frames that should have been published, by those that arrived and by the rate of a time before; 0 if there was none. */
function expectedBy(like: Tally, seen: Tally): { readonly wanted: number; readonly usual: number } {
  if (like.frames === 0) return { wanted: 0, usual: 0 };
  const wanted = (like.frames / arrivedOf(like)) * arrivedOf(seen);
  return { wanted, usual: (like.frames / like.seconds) * seen.seconds };
}

/** Adds to a sum of the newest step. */
function addNewest(stream: StreamState, which: keyof StreamState['isOld'], observation: SideObservation): void {
  if (stream.isOld[which]) {
    stream[which] = BEFORE.none();
    stream.isOld[which] = false;
  }
  BEFORE.add(stream[which], countsIn(observation));
}

function named(streams: readonly string[]): string {
  const more = streams.length - 3;
  return `${streams.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
