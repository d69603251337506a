import type { PtsUs } from './units.ts';

/**
 * Signs that a camera sends pictures and sees nothing. frozen: the same picture again and again; black: a dark picture that shows
 * nothing; blurred: far less detail than the camera had; moved: it shows another scene.
 */
export const BLIND_SIGNS = ['frozen', 'black', 'blurred', 'moved'] as const;

/** A sign that a camera is blind, see `BLIND_SIGNS`. */
export type BlindSign = (typeof BLIND_SIGNS)[number];

/** A stream has got a sign, another sign, or has lost its sign. */
export interface StreamSign {
  readonly stream: string;
  /** Null: the camera sees again, or its stream is not read any more. */
  readonly sign: BlindSign | null;
  /** Since when, on the wall clock, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** Media time of the picture since which it is so. */
  readonly ptsUs: PtsUs;
}
