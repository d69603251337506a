/** A token bucket of one second's worth, so that a rate of moves holds over any pattern of calls. */
export class MoveBudget {
  #tokens: number;

  private constructor(tokens: number) {
    this.#tokens = tokens;
  }

  static full(perSecond: number): MoveBudget {
    return new MoveBudget(Math.max(1, perSecond));
  }

  /** What was left of an earlier budget, and what has come since. */
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
