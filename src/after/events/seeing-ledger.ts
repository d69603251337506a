import type { BlindReason } from '../../wire/protocol/blind-reasons.ts';
import type { SeeingReport } from '../../wire/protocol/report.ts';
import type { BlindBefore } from '../../wire/protocol/rule-event.ts';

/** A gap between two results that is shorter is no blindness, and neither are a few times the usual one. */
const LEAST_GAP_MS = 2000;
const USUAL_GAPS = 3;
/** Share of a new gap in the usual one: about the last ten. */
const GAP_SHARE = 0.1;
/** Events say how long their stream was blind within this time before them. */
const BEFORE_MS = 60_000;
/** Shorter times are not told. */
const LEAST_BLIND_MS = 100;
/** A frame that comes is noticed within this time. */
const NOTICED_MS = 1100;

/** A time in which a stream was watched, or was not. */
export interface SeeingSpan {
  /** Null: it was watched. */
  readonly reason: BlindReason | null;
  readonly fromMs: number;
  toMs: number;
}

/** A span in which nothing was seen. */
interface BlindSpan extends SeeingSpan {
  readonly reason: BlindReason;
}

/**
 * How long one live stream was watched, and how long it was not, by reason: watched + blind = time since its start, exactly, at any
 * moment. Watched is the time between two results that follow each other as usual, of a picture that shows something.
 */
export class SeeingLedger {
  readonly #startMs: number;
  /** Everything before has been counted. */
  #countedMs: number;
  #watchedMs = 0;
  readonly #blindMs = new Map<BlindReason, number>();
  #usualGapMs: number | null = null;
  /** Why no result comes; null while the stream runs. */
  #trouble: BlindReason | null = 'down';
  /** What hides the scene although results come. */
  #sign: BlindReason | null = null;
  /** Frames that had come, and when one was last noticed. */
  #framesIn = 0;
  #cameMs = 0;
  /** Its recording is over; null while it is not. */
  #endMs: number | null = null;
  /** Of the last minute. */
  #spans: BlindSpan[] = [];
  /** All that was counted since `take`, without a gap. */
  #taken: SeeingSpan[] = [];

  /** @param nowMs - of a clock that never goes back, as all times here. */
  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#countedMs = nowMs;
  }

  /** A result was published. */
  onResult(nowMs: number): void {
    const gapMs = nowMs - this.#countedMs;
    if (this.#trouble !== null) this.#count(nowMs, this.#trouble);
    else if (gapMs > this.#longestGapMs) this.#count(nowMs, this.#gapReason);
    else {
      this.#count(nowMs, this.#sign);
      this.#usualGapMs = this.#usualGapMs === null ? gapMs : this.#usualGapMs + GAP_SHARE * (gapMs - this.#usualGapMs);
    }
    this.#trouble = null;
  }

  /** There is nothing more to see. */
  end(nowMs: number): void {
    if (this.#endMs !== null) return;
    this.#count(Math.min(nowMs, this.#countedMs + this.#longestGapMs), this.#trouble ?? this.#sign);
    this.#endMs = this.#countedMs;
  }

  /**
   * What the stream does now, about once a second: why no result can come, and what hides the scene; null if nothing.
   *
   * @param framesIn - frames that have come so far.
   */
  onState(trouble: BlindReason | null, sign: BlindReason | null, nowMs: number, framesIn = 0): void {
    if (framesIn !== this.#framesIn) this.#cameMs = nowMs;
    this.#framesIn = framesIn;
    if (trouble !== this.#trouble && trouble !== null) {
      if (this.#trouble !== null) this.#count(nowMs, this.#trouble);
      // Until now it ran: the gap since the last result is as long as it may be, or nothing came for another reason.
      else this.#count(Math.min(nowMs, this.#countedMs + this.#longestGapMs), this.#sign);
      this.#trouble = trouble;
    }
    if (this.#trouble !== null && trouble !== null) this.#count(nowMs, trouble);
    if (sign === this.#sign) return;
    if (this.#trouble === null && nowMs - this.#countedMs <= this.#longestGapMs) this.#count(nowMs, this.#sign);
    this.#sign = sign;
  }

  /** Returns what was counted since the last call, oldest first. */
  take(): readonly SeeingSpan[] {
    const spans = this.#taken;
    this.#taken = [];
    return spans;
  }

  report(untilMs: number): SeeingReport {
    const nowMs = this.#endMs ?? untilMs;
    const blindMs = new Map(this.#blindMs);
    let watchedMs = this.#watchedMs;
    const openMs = Math.max(0, nowMs - this.#countedMs);
    const reason = this.#trouble ?? (openMs > this.#longestGapMs ? this.#gapReason : this.#sign);
    if (reason === null) watchedMs += openMs;
    else blindMs.set(reason, (blindMs.get(reason) ?? 0) + openMs);
    return {
      totalMs: Math.max(nowMs, this.#countedMs) - this.#startMs,
      watchedMs,
      blindMs: Object.fromEntries(blindMs),
    };
  }

  /** How long it was blind in the last minute, for the reason that took longest; null if it was not. */
  before(nowMs: number): BlindBefore | null {
    const byReason = new Map<BlindReason, number>();
    for (const { reason, fromMs, toMs } of this.#spans) {
      const ms = toMs - Math.max(fromMs, nowMs - BEFORE_MS);
      if (ms > 0) byReason.set(reason, (byReason.get(reason) ?? 0) + ms);
    }
    const [longest] = [...byReason].toSorted(([, a], [, b]) => b - a);
    if (longest === undefined) return null;
    const ms = [...byReason.values()].reduce((sum, each) => sum + each, 0);
    return ms < LEAST_BLIND_MS ? null : { seconds: Math.round(ms / 100) / 10, reason: longest[0] };
  }

  /** Why no result has come since the last one. Its own frame is noticed within a second. */
  get #gapReason(): BlindReason {
    return this.#cameMs > this.#countedMs + NOTICED_MS ? 'shed' : 'down';
  }

  get #longestGapMs(): number {
    return Math.max(LEAST_GAP_MS, USUAL_GAPS * (this.#usualGapMs ?? 0));
  }

  #count(toMs: number, reason: BlindReason | null): void {
    const fromMs = this.#countedMs;
    const ms = toMs - fromMs;
    if (ms <= 0) return;
    this.#countedMs = toMs;
    const newest = this.#taken.at(-1);
    if (newest?.reason === reason) newest.toMs = toMs;
    else this.#taken.push({ reason, fromMs, toMs });
    if (reason === null) {
      this.#watchedMs += ms;
      return;
    }
    this.#blindMs.set(reason, (this.#blindMs.get(reason) ?? 0) + ms);
    const last = this.#spans.at(-1);
    if (last?.reason === reason && last.toMs === fromMs) last.toMs = toMs;
    else this.#spans.push({ reason, fromMs, toMs });
    this.#spans = this.#spans.filter((span) => span.toMs > toMs - BEFORE_MS);
  }
}
