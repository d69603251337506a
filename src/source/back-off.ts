export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/**
 * Exponential back-off with equal jitter: the n-th wait is between half and the whole of `firstMs * 2^n`, at most
 * `maxMs`, so that a hundred cameras behind one switch do not come back in the same instant.
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

  /** To be called once something worked. */
  reset(): void {
    this.#attempts = 0;
  }
}
