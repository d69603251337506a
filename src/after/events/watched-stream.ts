import type { BlindReason } from '../../wire/protocol/blind-reasons.ts';
import type { EventFigures, SeeingReport, StreamState } from '../../wire/protocol/report.ts';
import type { EventEnd } from '../../wire/protocol/rule-event.ts';
import { SeeingLedger, type SeeingSpan } from './seeing-ledger.ts';
import { type EventSettings, type RuleFigures, StreamEvents, type WatchedFrame } from './stream-events.ts';

/** What rules read of the report of a stream. */
export interface WatchedState {
  readonly state: StreamState;
  /** It misses a target. */
  readonly isMissing: boolean;
  /** Frames that have come so far. */
  readonly framesIn: number;
}

/**
 * All that rules see of one stream: its results, its picture, its states, and for how long it was not watched. A stream that runs and
 * what is remembered of it are watched by the same code. `nowMs` is monotonic, `wallMs` since 1970.
 */
export class WatchedStream {
  readonly #events: StreamEvents;
  readonly #seeing: SeeingLedger;
  #nowMs: number;
  #isLive = false;
  /** What hides the scene from its camera. */
  #hiddenBy: BlindReason | null = null;
  /** Since when no result comes, and its target is missed. */
  #downSinceMs: number | null = null;
  #missedSinceMs: number | null = null;

  constructor(options: Omit<ConstructorParameters<typeof StreamEvents>[0], 'blindBefore'>, nowMs: number) {
    this.#nowMs = nowMs;
    this.#seeing = new SeeingLedger(nowMs);
    this.#events = new StreamEvents({ ...options, blindBefore: () => this.#seeing.before(this.#nowMs) });
  }

  change(settings: EventSettings, wallMs: number): void {
    this.#events.change(settings, wallMs);
  }

  /** Whether an event of a rule is open. */
  isOpen(rule: string): boolean {
    return this.#events.isOpen(rule);
  }

  /** Takes the next result. */
  onResult(frame: WatchedFrame, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#isLive = frame.capturedAtMs !== undefined;
    this.#seeing.onResult(nowMs);
    this.#events.onFrame(frame, this.#isLive ? nowMs : undefined);
  }

  /** Takes what is wrong with the picture now; empty if nothing is. */
  onPicture(signs: readonly string[]): void {
    this.#hiddenBy = (['black', 'frozen'] as const).find((sign) => signs.includes(sign)) ?? null;
    this.#events.onPicture(signs);
  }

  /** Takes its state, about once a second. */
  onState({ state, isMissing: isMissed, framesIn }: WatchedState, nowMs: number, wallMs: number): void {
    this.#nowMs = nowMs;
    const isPaused = state === 'pausing' || state === 'paused';
    const isDown = state === 'starting' || state === 'reconnecting' || state === 'failed';
    const trouble: BlindReason | null = isPaused ? 'paused' : isDown ? 'down' : null;
    if (state === 'ended') this.#seeing.end(nowMs);
    else this.#seeing.onState(trouble, this.#hiddenBy, nowMs, framesIn);
    if (isPaused || state === 'ended') this.end(isPaused ? 'stopped' : 'source-ended', wallMs);
    const wasInTrouble = this.#downSinceMs !== null || this.#missedSinceMs !== null;
    if (!this.#isLive && !isDown && !wasInTrouble) return;
    const isMissing = this.#isLive && isMissed;
    this.#downSinceMs = isDown ? (this.#downSinceMs ?? nowMs) : null;
    this.#missedSinceMs = isMissing ? (this.#missedSinceMs ?? nowMs) : null;
    const troubles = [
      ...(this.#downSinceMs === null ? [] : [{ sign: 'down', sinceMs: this.#downSinceMs }]),
      ...(this.#missedSinceMs === null ? [] : [{ sign: 'target-missed', sinceMs: this.#missedSinceMs }]),
    ];
    this.#events.onTick(troubles, nowMs, wallMs);
  }

  /** Ends all events. */
  end(reason: EventEnd, wallMs: number): void {
    this.#events.end(reason, wallMs);
  }

  /** What was counted as watched, or not, since the last call. @param isGone - there is nothing more to see. */
  takeSeeing(nowMs: number, isGone = false): readonly SeeingSpan[] {
    if (isGone) this.#seeing.end(nowMs);
    return this.#seeing.take();
  }

  seeing(nowMs: number): SeeingReport {
    return this.#seeing.report(nowMs);
  }

  get figures(): EventFigures {
    return this.#events.figures;
  }

  /** Of each rule that it has now. */
  get ruleFigures(): readonly RuleFigures[] {
    return this.#events.ruleFigures;
  }
}
