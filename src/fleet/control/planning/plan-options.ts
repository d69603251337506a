export interface PlanOptions {
  /** Share of a host's capacity that live streams may fill. */
  readonly fillRatio: number;
  /** Most streams a second that get a host or change it; unused moves are kept for one second. */
  readonly movesPerSecond: number;
  /** A new leader lowers no rates and refuses no streams for this long: hosts may still be joining. */
  readonly settleMs: number;
  /** Shortest time from a change of rates to their next rise. */
  readonly restoreAfterMs: number;
  /** Rates rise only if this share of the room stays free, so that the next small change does not lower them again. */
  readonly restoreMargin: number;
  /** Time between two moves that only balance load. */
  readonly rebalanceEveryMs: number;
  /** Load is balanced if the relative loads of the fullest and the emptiest host differ by more than this. */
  readonly rebalanceGap: number;
}

export const PLAN_DEFAULTS = {
  settleMs: 2_000,
  restoreAfterMs: 10_000,
  restoreMargin: 0.05,
  rebalanceEveryMs: 5_000,
  rebalanceGap: 0.3,
} as const satisfies Partial<PlanOptions>;
