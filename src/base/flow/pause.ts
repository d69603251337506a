import type { Clock } from '../core/clock.ts';

/** A wait that another party can end early. */
export class Pause {
  readonly #clock: Clock;
  #end: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves after this time, or with `end()`. Null waits for `end()` alone. One call at a time. */
  wait(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const cancel = ms === null ? null : this.#clock.setTimer(() => this.end(), ms);
      this.#end = () => {
        this.#end = null;
        cancel?.();
        resolve();
      };
    });
  }

  /** Has no effect while nobody waits. */
  end(): void {
    this.#end?.();
  }
}
