import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { backOffMs } from '../../../base/flow/back-off.ts';
import type { StreamState } from '../../../wire/protocol/report.ts';
import type { EventDetails } from './stream-port.ts';

/** Legal state transitions of a stream. */
export const STREAM_TRANSITIONS: Readonly<Record<StreamState, readonly StreamState[]>> = {
  starting: ['running', 'reconnecting', 'ended', 'failed', 'pausing', 'removing'],
  running: ['reconnecting', 'ended', 'failed', 'pausing', 'removing'],
  reconnecting: ['running', 'ended', 'failed', 'pausing', 'removing'],
  pausing: ['paused', 'removing'],
  paused: ['starting', 'removing'],
  ended: ['starting', 'removing'],
  failed: ['starting', 'removing'],
  removing: ['removed'],
  removed: [],
};

const SETTLED: ReadonlySet<StreamState> = new Set(['ended', 'failed', 'removed']);

/**
 * A stream that loses this many lanes in a row without a frame in between may be the cause, and fails. The growing waits
 * give the other streams of these lanes time to deliver a frame.
 */
const MAX_LOSSES = 6;
const LOSS_BACK_OFF = { firstMs: 500, maxMs: 4_000 } as const;

/** The state of one stream, and the lanes that it has lost. */
export class StreamLife {
  readonly #id: string;
  readonly #onChange: (message: string, details: EventDetails) => void;
  readonly #onSettled: (() => void)[] = [];
  #state: StreamState = 'starting';
  /** The state that the newest event has named. */
  #announced: StreamState = 'starting';
  /** Lanes lost in a row without a frame in between. */
  #losses = 0;
  #lastError: SightlineError | null = null;
  #lastErrorAtMs: number | null = null;

  constructor(id: string, onChange: (message: string, details: EventDetails) => void) {
    this.#id = id;
    this.#onChange = onChange;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** As others see it: a pause that nobody ordered, to open the source again, is a start. */
  get reported(): StreamState {
    const isHeld = this.#state === 'pausing' || this.#state === 'paused';
    return isHeld && this.#announced !== 'pausing' && this.#announced !== 'paused' ? 'starting' : this.#state;
  }

  /** Message of the newest error; null if there was none. */
  get lastError(): string | null {
    return this.#lastError?.message ?? null;
  }

  /** Since when it has that error, on the wall clock: attempts that end with the same one do not change it. */
  get lastErrorAtMs(): number | null {
    return this.#lastErrorAtMs;
  }

  /** Call it with each error, before the state that follows from it; with null to forget the last one. */
  noteError(error: SightlineError | null): void {
    const goesOn = this.#state !== 'running' && error !== null && error.code === this.#lastError?.code;
    if (!goesOn) this.#lastErrorAtMs = error === null ? null : Date.now();
    this.#lastError = error;
  }

  /**
   * @param message - of the event; null for none, because the next state follows at once.
   * @throws STREAM_STATE for an illegal transition.
   */
  enter(state: StreamState, error?: SightlineError, message?: string | null): void {
    const from = this.#state;
    if (!STREAM_TRANSITIONS[from].includes(state)) {
      throw new SightlineError('STREAM_STATE', `stream "${this.#id}" is ${from} and cannot become ${state}`, {
        from,
        to: state,
      });
    }
    if (error !== undefined) this.noteError(error);
    this.#state = state;
    const why = error === undefined ? '' : `: ${error.message}`;
    if (message !== null) {
      const details = { from: this.#announced, to: state, code: error?.code ?? null };
      this.#announced = state;
      this.#onChange(message ?? `${this.#id} is ${state}${why}`, details);
    }
    if (SETTLED.has(state)) for (const resolve of this.#onSettled.splice(0)) resolve();
  }

  /**
   * Call it when its lane is lost. @returns the wait before it is opened on another one; null if it must fail.
   *
   * @param hasDelivered - the lane had handed over a frame.
   */
  laneLost(hasDelivered: boolean): number | null {
    this.#losses = hasDelivered ? 1 : this.#losses + 1;
    if (this.#losses >= MAX_LOSSES) return null;
    return this.#losses === 1 ? 0 : backOffMs(this.#losses - 1, LOSS_BACK_OFF);
  }

  /** Resolves when the stream has ended, failed, or was removed. */
  settled(): Promise<void> {
    if (SETTLED.has(this.#state)) return Promise.resolve();
    return new Promise((resolve) => this.#onSettled.push(resolve));
  }
}
