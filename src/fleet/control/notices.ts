import type { Clock } from '../../base/core/clock.ts';

const MIN_GAP_MS = 1000;

/** Reports at most one notice a second to the operator, for trouble that can repeat many times a second; counts the rest. */
export class Notices {
  readonly #report: (text: string) => void;
  readonly #clock: Clock;
  #nextNoticeMs = Number.NEGATIVE_INFINITY;
  #suppressedCount = 0;

  constructor(report: (text: string) => void, clock: Clock) {
    this.#report = report;
    this.#clock = clock;
  }

  add(text: string): void {
    const nowMs = this.#clock.now();
    if (nowMs < this.#nextNoticeMs) {
      this.#suppressedCount += 1;
      return;
    }
    this.#nextNoticeMs = nowMs + MIN_GAP_MS;
    this.#report(
      this.#suppressedCount === 0 ? text : `${text} (and ${this.#suppressedCount} more notices since the last)`,
    );
    this.#suppressedCount = 0;
  }
}
