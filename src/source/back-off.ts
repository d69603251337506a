export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/**
 * Exponential back-off with equal jitter: the n-th wait is between half and all of `firstMs * 2^n`, at most `maxMs`.
 * The jitter keeps a hundred cameras behind one switch from reconnecting in the same instant.
 */
export class BackOff {
  readonly #options: BackOffOptions;
  #attempts = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  nextMs(): number {
    const { firstMs, maxMs, random = Math.random } = this.#options;
    const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return ceiling / 2 + (random() * ceiling) / 2;
  }

  /** Call it after a success. */
  reset(): void {
    this.#attempts = 0;
  }
}
