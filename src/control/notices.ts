import type { Clock } from '../core/clock.ts';

const QUIET_MS = 1000;

/** Reports at most one notice a second to the operator, for trouble that can repeat many times a second; counts the rest. */
export class Notices {
  readonly #report: (text: string) => void;
  readonly #clock: Clock;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #suppressedCount = 0;

  constructor(report: (text: string) => void, clock: Clock) {
    this.#report = report;
    this.#clock = clock;
  }

  add(text: string): void {
    const nowMs = this.#clock.now();
    if (nowMs < this.#quietUntilMs) {
      this.#suppressedCount += 1;
      return;
    }
    this.#quietUntilMs = nowMs + QUIET_MS;
    this.#report(
      this.#suppressedCount === 0 ? text : `${text} (and ${this.#suppressedCount} more notices since the last)`,
    );
    this.#suppressedCount = 0;
  }
}
