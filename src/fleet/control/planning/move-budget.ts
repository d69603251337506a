/** A token bucket that holds the moves of one second, so that the rate of moves does not depend on how often rounds are planned. */
export class MoveBudget {
  #tokens: number;

  private constructor(tokens: number) {
    this.#tokens = tokens;
  }

  static full(perSecond: number): MoveBudget {
    return new MoveBudget(Math.max(1, perSecond));
  }

  /** Returns the rest of an earlier budget plus the tokens of the elapsed time. */
  static after(perSecond: number, tokens: number, elapsedMs: number): MoveBudget {
    return new MoveBudget(Math.min(Math.max(1, perSecond), tokens + (Math.max(0, elapsedMs) / 1000) * perSecond));
  }

  get tokens(): number {
    return this.#tokens;
  }

  get isEmpty(): boolean {
    return this.#tokens < 1;
  }

  take(): void {
    this.#tokens -= 1;
  }
}
