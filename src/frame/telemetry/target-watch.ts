import { RATE_WINDOW_MS } from './rate-meter.ts';

/** Share of the target rate that counts as reached, since camera clocks are not exact. */
const FPS_TOLERANCE = 0.95;

/**
 * Returns the rate from which on a target is reached. One frame less in the window of the rate is no miss: with one frame a second it comes
 * a little earlier or later by chance.
 */
export function leastFps(targetFps: number, windowMs = RATE_WINDOW_MS): number {
  return Math.min(targetFps * FPS_TOLERANCE, targetFps - 1000 / windowMs);
}

/** A miss must last this long before it is reported, so that single slow frames are ignored. */
const MISSED_MS = 5_000;
/** A recovery must last longer: a rate at its limit swings, and would be missed and met in turn. */
const MET_MS = 30_000;

export type TargetChange = 'missed' | 'met' | null;

/** Reduces a fluctuating measurement to two events: target missed, and target met again. */
export class TargetWatch {
  #isMissing = false;
  #differsSinceMs: number | null = null;
  #metMs = MET_MS;

  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Discards a pending change. Call while nothing is measured. */
  pause(): void {
    this.#differsSinceMs = null;
  }

  /** Somebody has changed what is expected, or how it is to be reached: the next recovery counts as soon as a miss would. */
  trustNext(): void {
    if (this.#isMissing) this.#metMs = MISSED_MS;
  }

  /** @returns the change, once, when it has lasted long enough; else null. */
  update(isMet: boolean, nowMs: number): TargetChange {
    if (isMet !== this.#isMissing) {
      this.#differsSinceMs = null;
      return null;
    }
    this.#differsSinceMs ??= nowMs;
    if (nowMs - this.#differsSinceMs < (this.#isMissing ? this.#metMs : MISSED_MS)) return null;
    this.#differsSinceMs = null;
    this.#metMs = MET_MS;
    this.#isMissing = !this.#isMissing;
    return this.#isMissing ? 'missed' : 'met';
  }
}
