/** What a tracker uses for settings that are absent. Those of `highScore` and `newScore` follow from the threshold of reported boxes. */
export const TRACK_DEFAULTS = {
  lowScore: 0.1,
  matchIou: 0.25,
  lostMs: 2000,
  minHits: 3,
} as const;
