/** Settings of a tracker. Those left out have the value in `TRACK_DEFAULTS`. */
export interface TrackOptions {
  /** Detections with at least this score are matched first, 0 to 1. */
  readonly highScore?: number | undefined;
  /** Detections from here up to `highScore` may keep a known object alive, but never start one. Below: ignored. */
  readonly lowScore?: number | undefined;
  /** A detection that belongs to no known object starts a new one from this score on. */
  readonly newScore?: number | undefined;
  /**
   * Detections below this are used for tracking but not returned. A pipeline that tracks should ask its model for
   * boxes down to `lowScore` and set this to the threshold that its user wants.
   */
  readonly reportScore?: number | undefined;
  /** IoU that a predicted box and a detection of high score must exceed. Small, because objects move between frames. */
  readonly matchIou?: number | undefined;
  /** The same for a detection of low score: a weak box must lie where it is expected. */
  readonly lowMatchIou?: number | undefined;
  /** The same for an object that was seen too rarely to have an identity. */
  readonly newMatchIou?: number | undefined;
  /** Media time for which an object that is not seen keeps its identity. Not frames: right at any frame rate. */
  readonly lostMs?: number | undefined;
  /** Frames in a row in which an object must be found before it gets an identity. */
  readonly minHits?: number | undefined;
}

export type ResolvedTrackOptions = { readonly [K in keyof TrackOptions]-?: number };

export const TRACK_DEFAULTS: ResolvedTrackOptions = {
  highScore: 0.4,
  lowScore: 0.1,
  newScore: 0.5,
  reportScore: 0.3,
  matchIou: 0.2,
  lowMatchIou: 0.5,
  newMatchIou: 0.3,
  lostMs: 1000,
  minHits: 2,
};

const RATIOS = ['highScore', 'lowScore', 'newScore', 'reportScore', 'matchIou', 'lowMatchIou', 'newMatchIou'] as const;

/**
 * Fills in the defaults. What users write is checked by the configuration's schema; this guards against a caller's
 * mistake.
 *
 * @throws RangeError for a value out of range, or scores in the wrong order.
 */
export function resolveTrackOptions(options: TrackOptions): ResolvedTrackOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const resolved: ResolvedTrackOptions = { ...TRACK_DEFAULTS, ...Object.fromEntries(given) };
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
