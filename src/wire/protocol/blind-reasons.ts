// A file of its own: the thread of the history reads it, and has no use for the schemas of reports.

/**
 * Why a stream was not watched. down: its source gave no frames; paused: somebody paused it; shed: frames came, but no result, as when
 * the detector is overloaded or restarts; black, frozen: the picture showed nothing, see its signs.
 */
export const BLIND_REASONS = ['down', 'paused', 'shed', 'black', 'frozen'] as const;
/** One of `BLIND_REASONS`. */
export type BlindReason = (typeof BLIND_REASONS)[number];
