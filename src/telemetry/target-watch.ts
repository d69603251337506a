/** A miss must last this long before it is told, and so must a recovery: single slow frames are no news. */
const PATIENCE_MS = 5_000;

export type TargetChange = 'missed' | 'met' | null;

/** Turns a measurement that goes up and down into the two moments an operator wants to know of. */
export class TargetWatch {
  #isMissing = false;
  #differsSinceMs: number | null = null;

  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Forgets a change that has not lasted yet: to be called where nothing is measured. */
  pause(): void {
    this.#differsSinceMs = null;
  }

  /** @returns what has just become true, once. */
  update(isMet: boolean, nowMs: number): TargetChange {
    if (isMet !== this.#isMissing) {
      this.#differsSinceMs = null;
      return null;
    }
    this.#differsSinceMs ??= nowMs;
    if (nowMs - this.#differsSinceMs < PATIENCE_MS) return null;
    this.#differsSinceMs = null;
    this.#isMissing = !this.#isMissing;
    return this.#isMissing ? 'missed' : 'met';
  }
}
