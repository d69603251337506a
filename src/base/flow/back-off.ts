export interface BackOffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * After a refusal that only a person can end, such as a wrong password: accounts are locked after a few attempts. The first wait is at
 * least 10 s, the longest two minutes.
 */
export const AFTER_REFUSAL: BackOffLimits = { firstMs: 20_000, maxMs: 120_000 };

export interface BackOffOptions extends BackOffLimits {
  /** Uniform in [0, 1). */
  readonly random?: (() => number) | undefined;
}

/**
 * Returns the wait before the next attempt: exponential with equal jitter, so between half and all of
 * `firstMs * 2^(failures - 1)`, at most `maxMs`. The jitter keeps a hundred cameras behind one switch, or tasks that failed
 * together, from retrying in the same instant.
 *
 * @param failures - failed attempts so far, from 1.
 * @param random - from 0 to 1: where in the upper half the wait lies.
 */
export function backOffMs(failures: number, { firstMs, maxMs }: BackOffLimits, random: number = Math.random()): number {
  const fullMs = Math.min(maxMs, firstMs * 2 ** (failures - 1));
  return fullMs / 2 + (random * fullMs) / 2;
}

/** Counts failures in a row and returns the wait after each, as `backOffMs`. */
export class BackOff {
  readonly #options: BackOffOptions;
  #failures = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  nextMs(): number {
    this.#failures += 1;
    return backOffMs(this.#failures, this.#options, this.#options.random?.());
  }

  /** Call it after a success. */
  reset(): void {
    this.#failures = 0;
  }
}
