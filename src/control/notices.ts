import type { Clock } from '../core/clock.ts';

const QUIET_MS = 1000;

/** Tells an operator of trouble that may come many times a second, at most once a second; what was left out is counted. */
export class Notices {
  readonly #tell: (text: string) => void;
  readonly #clock: Clock;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #untoldCount = 0;

  constructor(tell: (text: string) => void, clock: Clock) {
    this.#tell = tell;
    this.#clock = clock;
  }

  add(text: string): void {
    const nowMs = this.#clock.now();
    if (nowMs < this.#quietUntilMs) {
      this.#untoldCount += 1;
      return;
    }
    this.#quietUntilMs = nowMs + QUIET_MS;
    this.#tell(this.#untoldCount === 0 ? text : `${text} (and ${this.#untoldCount} more notices since the last)`);
    this.#untoldCount = 0;
  }
}
