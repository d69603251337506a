import { TRACK_DEFAULTS } from '../../base/core/track-defaults.ts';

/** Settings of a tracker. Defaults: `TRACK_DEFAULTS`, and those below. */
export interface TrackOptions {
  /** Detections with at least this score are matched first, 0 to 1. Default: 0.4, or `newScore` if that is lower. */
  readonly highScore?: number | undefined;
  /** Detections from here up to `highScore` can continue a track but never start one. Lower ones are ignored. */
  readonly lowScore?: number | undefined;
  /** An unmatched detection with at least this score starts a new track. Default: `reportScore`. */
  readonly newScore?: number | undefined;
  /**
   * Detections below this are used for tracking but not returned. A pipeline that tracks should request boxes down to
   * `lowScore` from its model and set this to the user's threshold.
   */
  readonly reportScore?: number | undefined;
  /** IoU that a predicted box and a detection of high score must exceed, both with the margin that the tracker gives them. */
  readonly matchIou?: number | undefined;
  /** IoU, without margin, for a detection of low score: a weak box must be close to its predicted place. */
  readonly lowMatchIou?: number | undefined;
  /** As `matchIou`, for a track that is not confirmed yet. */
  readonly newMatchIou?: number | undefined;
  /** Media time for which an unseen object keeps its identity. Not a frame count, so it holds at any frame rate. */
  readonly lostMs?: number | undefined;
  /**
   * Consecutive frames in which an object must be detected before it gets an identity. Default: 3, or fewer for an object that the detector
   * is certain of.
   */
  readonly minHits?: number | undefined;
}

export type ResolvedTrackOptions = { readonly [K in keyof TrackOptions]-?: number } & {
  /** Whether an object that the detector is certain of gets its identity earlier. */
  readonly isEarly: boolean;
};

/** Highest default of `highScore`. */
const HIGH_SCORE = 0.4;

/** The defaults that depend on no other option, those that users cannot set included. */
const OPTION_DEFAULTS = {
  ...TRACK_DEFAULTS,
  reportScore: 0.3,
  lowMatchIou: 0.5,
  newMatchIou: 0.25,
} satisfies TrackOptions;

const RATIOS = ['highScore', 'lowScore', 'newScore', 'reportScore', 'matchIou', 'lowMatchIou', 'newMatchIou'] as const;

/**
 * Fills in the defaults. The configuration's schema checks what users write; the checks here are for callers of the code.
 *
 * @throws RangeError if a value is out of range or the scores are in the wrong order.
 */
export function resolveTrackOptions(options: TrackOptions): ResolvedTrackOptions {
  const given: Partial<Record<keyof TrackOptions, number>> = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const known = { ...OPTION_DEFAULTS, ...given };
  // What is absent gives way to what was set.
  const startsAt = given.newScore ?? Math.max(known.reportScore, given.highScore ?? known.lowScore);
  const matchedFrom = given.highScore ?? Math.max(known.lowScore, Math.min(HIGH_SCORE, startsAt));
  const isEarly = given.minHits === undefined;
  const resolved: ResolvedTrackOptions = { ...known, highScore: matchedFrom, newScore: startsAt, isEarly };
  for (const key of RATIOS) {
    const value = resolved[key];
    if (!(value >= 0 && value <= 1)) throw new RangeError(`${key}: expected a number from 0 to 1, received ${value}`);
  }
  const { lowScore, highScore, newScore, lostMs, minHits } = resolved;
  if (lowScore > highScore || highScore > newScore) {
    throw new RangeError(
      `expected lowScore <= highScore <= newScore, received ${lowScore}, ${highScore} and ${newScore}`,
    );
  }
  if (!(lostMs >= 0)) throw new RangeError(`lostMs: expected a number from 0, received ${lostMs}`);
  if (!(Number.isInteger(minHits) && minHits >= 1)) {
    throw new RangeError(`minHits: expected a whole number from 1, received ${minHits}`);
  }
  return resolved;
}
