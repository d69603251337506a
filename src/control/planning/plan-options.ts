export interface PlanOptions {
  /** Share of a host's capacity that live streams may fill. */
  readonly fillRatio: number;
  /** Streams that get a host or change it in a second, at most; what was not used is kept for one second. */
  readonly movesPerSecond: number;
  /** A new leader lowers no rate and refuses nobody for this long: hosts may still be on their way. */
  readonly settleMs: number;
  /** Rates rise no sooner than this after they last changed. */
  readonly restoreAfterMs: number;
  /** Rates rise only if this share of the room stays free, so that the next small change does not lower them again. */
  readonly restoreMargin: number;
  /** Between two moves that only even out load. */
  readonly rebalanceEveryMs: number;
  /** Difference in relative load between the fullest and the emptiest host from which on load is evened out. */
  readonly rebalanceGap: number;
}

export const PLAN_DEFAULTS = {
  settleMs: 2_000,
  restoreAfterMs: 10_000,
  restoreMargin: 0.05,
  rebalanceEveryMs: 5_000,
  rebalanceGap: 0.3,
} as const satisfies Partial<PlanOptions>;
