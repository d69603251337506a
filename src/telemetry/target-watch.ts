/** A miss or a recovery must last this long before it is reported, so that single slow frames are ignored. */
const MIN_DURATION_MS = 5_000;

export type TargetChange = 'missed' | 'met' | null;

/** Reduces a fluctuating measurement to two events: target missed, and target met again. */
export class TargetWatch {
  #isMissing = false;
  #differsSinceMs: number | null = null;

  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Discards a pending change. Call while nothing is measured. */
  pause(): void {
    this.#differsSinceMs = null;
  }

  /** @returns the change, once, when it has lasted long enough; else null. */
  update(isMet: boolean, nowMs: number): TargetChange {
    if (isMet !== this.#isMissing) {
      this.#differsSinceMs = null;
      return null;
    }
    this.#differsSinceMs ??= nowMs;
    if (nowMs - this.#differsSinceMs < MIN_DURATION_MS) return null;
    this.#differsSinceMs = null;
    this.#isMissing = !this.#isMissing;
    return this.#isMissing ? 'missed' : 'met';
  }
}
