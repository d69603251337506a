import { z } from 'zod';
import type { GuardReport, SideObservation } from '../../protocol/rollout-records.ts';
import { FULL_LOAD } from './rollout-machine.ts';

/** Largest share of its frames that a stream may lose when the candidate is alone. */
const PASS_LOSS = 0.05;
/** If all streams together lose more than this, the candidate cannot carry them. */
const FAIL_LOSS = 0.1;
/** A stream is judged after this time: before, its source may just have been opened again. */
const FEWEST_SECONDS = 5;
/** Losses shorter than this are those of the change. */
const FAIL_SECONDS = 20;
/** A count of frames in a short time is off by this many. */
const FRAMES_SLACK = 2;
/** A stream that was not seen for this long before the step has ended, or is paused. */
const GONE_MS = 30_000;
/** One that ran until the step began is waited for longer: it may be the candidate that it does not come back with. */
const LOST_MS = 600_000;

const tally = z.object({ frames: z.number(), seconds: z.number() });
const streamState = z.object({
  before: tally,
  /** `before` is of an earlier step. */
  isOld: z.boolean(),
  alone: tally,
  seenMs: z.number(),
});
export const fullLoadState = z.record(z.string(), streamState);
type StreamState = z.infer<typeof streamState>;
export type FullLoadState = z.infer<typeof fullLoadState>;

/**
 * Whether the candidate carries all streams alone: each must attain the rate that it had before. There is no control at the same
 * time, so the limits are wide, and what lies between them is left to a person.
 */
export class FullLoad {
  readonly #streams: Map<string, StreamState>;

  constructor(state: FullLoadState = {}) {
    this.#streams = new Map(Object.entries(structuredClone(state)));
  }

  get state(): FullLoadState {
    return structuredClone(Object.fromEntries(this.#streams));
  }

  /** @param reference - the side that has the rate which streams must attain. */
  add({ stream, side, frames, seconds }: SideObservation, isAlone: boolean, reference: string, nowMs: number): void {
    const known = this.#streams.get(stream) ?? { before: nothing(), isOld: false, alone: nothing(), seenMs: nowMs };
    this.#streams.set(stream, known);
    known.seenMs = nowMs;
    if (!isAlone && side === reference && known.isOld) Object.assign(known, { before: nothing(), isOld: false });
    const sum = isAlone ? (side === 'candidate' ? known.alone : null) : side === reference ? known.before : null;
    if (sum === null) return;
    sum.frames += frames;
    sum.seconds += seconds;
  }

  /** Begins a step. What was seen before counts until something newer is seen. */
  begin(isAlone: boolean, nowMs: number): void {
    for (const [name, stream] of this.#streams) {
      stream.alone = nothing();
      if (!isAlone) stream.isOld = true;
      else if (nowMs - stream.seenMs > GONE_MS) this.#streams.delete(name);
      else stream.seenMs = nowMs;
    }
  }

  report(nowMs: number): GuardReport {
    let [attained, expected, seconds, frames] = [0, 0, 0, 0];
    const slow: string[] = [];
    let waiting = 0;
    for (const [name, { before, alone, seenMs }] of this.#streams) {
      if (before.seconds === 0 || before.frames === 0) continue;
      if (alone.seconds < FEWEST_SECONDS) {
        if (nowMs - seenMs < LOST_MS) waiting += 1;
        continue;
      }
      const wanted = (before.frames / before.seconds) * alone.seconds;
      if (alone.frames + FRAMES_SLACK < wanted * (1 - PASS_LOSS)) slow.push(name);
      attained += Math.min(alone.frames, wanted);
      expected += wanted;
      frames += alone.frames;
      seconds = Math.max(seconds, alone.seconds);
    }
    const loss = expected === 0 ? null : 1 - attained / expected;
    const all = { guard: FULL_LOAD, kind: 'statistical', estimate: loss, low: null, high: null, leftMs: null } as const;
    const report = (verdict: GuardReport['verdict'], reason: string): GuardReport => ({
      ...{ ...all, verdict, margin: PASS_LOSS, frames, reason },
    });
    if (loss === null) return report('no-data', 'The candidate has not carried any stream alone for 5 s yet.');
    const percent = `${(100 * loss).toFixed(1)} %`;
    if (loss > FAIL_LOSS && seconds >= FAIL_SECONDS)
      return report('fail', `Alone, the candidate loses ${percent} of the frames that the streams had before.`);
    if (waiting > 0) return report('undecided', `${waiting} streams did not run alone for 5 s yet.`);
    if (slow.length > 0)
      return report(
        'undecided',
        `Alone, ${slow.slice(0, 3).join(', ')} attain less than their rate before; a person decides.`,
      );
    return report('pass', `Alone, the candidate carries every stream: ${percent} fewer frames than before.`);
  }
}

function nothing(): StreamState['before'] {
  return { frames: 0, seconds: 0 };
}
