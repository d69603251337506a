export type WorkKind = 'probe' | 'trial' | 'pair' | 'compare' | 'screen' | 'confirm';

export const WORK_KINDS: readonly WorkKind[] = ['probe', 'trial', 'pair', 'compare', 'screen', 'confirm'];

/** Share by which a budget may be overrun. */
const OVERRUN_RATIO = 0.05;
/** What is planned for a measurement is this much more than the mean of those seen, and at least the longest of the last ones. */
const CAUTION = 1.1;
const REMEMBERED = 4;
/** A measurement that took less than this share of what is expected was not made, but read from the log. */
const LOGGED_RATIO = 0.02;

/** Share of a whole budget that the search gets at least: on a busy machine the rest alone may take all of it. */
const LEAST_SEARCH_RATIO = 0.2;

/**
 * Returns how long a search may take.
 *
 * @param spent - seconds of the budget that were used before it. @param reserved - seconds of it that are needed after it.
 */
export function searchSeconds(budget: number, spent: number, reserved: number): number {
  return Math.max(budget * LEAST_SEARCH_RATIO, budget - spent - reserved);
}

/** Plans with the durations of the measurements seen so far. */
export class TimeBudget {
  readonly #limitSeconds: number;
  readonly #nowSeconds: () => number;
  readonly #startSeconds: number;
  readonly #expected: Readonly<Record<WorkKind, number>>;
  readonly #seen = new Map<WorkKind, number[]>();

  /** @param expected - seconds of each kind of measurement, until the first one was seen. */
  constructor(limitSeconds: number, nowSeconds: () => number, expected: Readonly<Record<WorkKind, number>>) {
    this.#limitSeconds = limitSeconds;
    this.#nowSeconds = nowSeconds;
    this.#startSeconds = nowSeconds();
    this.#expected = expected;
  }

  get elapsedSeconds(): number {
    return this.#nowSeconds() - this.#startSeconds;
  }

  /** Seconds that all measurements of each kind have taken. */
  get spent(): Readonly<Record<WorkKind, number>> {
    const sums = WORK_KINDS.map((kind) => [kind, (this.#seen.get(kind) ?? []).reduce((sum, each) => sum + each, 0)]);
    return Object.fromEntries(sums) as Record<WorkKind, number>;
  }

  /** Seconds that a measurement of this kind will take, with caution. */
  secondsOf(kind: WorkKind): number {
    const seen = this.#seen.get(kind);
    if (seen === undefined) return this.#expected[kind] * CAUTION;
    const recent = seen.slice(-REMEMBERED);
    const mean = seen.reduce((sum, each) => sum + each, 0) / seen.length;
    return Math.max(mean * CAUTION, ...recent);
  }

  /** Whether these measurements still fit, and `reserved` after them. */
  fits(kinds: readonly WorkKind[], reserved: readonly WorkKind[] = []): boolean {
    const needed = [...kinds, ...reserved].reduce((sum, kind) => sum + this.secondsOf(kind), 0);
    return this.elapsedSeconds + needed <= this.#limitSeconds * (1 + OVERRUN_RATIO / 2);
  }

  /** @param seconds - that it took; nearly none for one that an interrupted run has logged, which says nothing about the next. */
  record(kind: WorkKind, seconds: number): void {
    if (seconds < this.#expected[kind] * LOGGED_RATIO) return;
    this.#seen.set(kind, [...(this.#seen.get(kind) ?? []), seconds]);
  }
}
