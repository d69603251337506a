/** What a tracker uses for settings that are absent. The schema fills them in, so that it can check them together. */
export const TRACK_DEFAULTS = {
  highScore: 0.4,
  lowScore: 0.1,
  newScore: 0.5,
  matchIou: 0.2,
  lostMs: 1000,
  minHits: 2,
} as const;
