import type { PtsUs } from './units.ts';

/**
 * Signs that a camera sends pictures and sees nothing. frozen: the same picture again and again; black: a dark picture that shows
 * nothing; covered: the contrast is gone at once; blurred: far less detail than the camera had; moved: it shows another scene.
 */
export const BLIND_SIGNS = ['frozen', 'black', 'covered', 'blurred', 'moved'] as const;

/** What rules on the picture can be about: signs, and that it is dark, as at night, which is nothing wrong. */
export const PICTURE_STATES = [...BLIND_SIGNS, 'dark'] as const;

/** A sign that a camera is blind, see `BLIND_SIGNS`. */
export type BlindSign = (typeof BLIND_SIGNS)[number];

/** As a lane says it, which does not know at its beginning whether it is dark: null. */
export type LaneSign = Omit<StreamSign, 'stream' | 'isDark'> & {
  readonly isDark: boolean | null;
  /** Whether a frozen picture can be told although each is written a bit differently; null while that is not known yet. */
  readonly canTellFrozen: boolean | null;
};

/** A stream has got a sign, another sign, has lost its sign, or has become dark or light. */
export interface StreamSign {
  readonly stream: string;
  /** Null: the camera sees again, or its stream is not read any more. */
  readonly sign: BlindSign | null;
  /** It is dark, as at night. */
  readonly isDark: boolean;
  /** Since when it has this sign, or none, on the wall clock, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** Media time of the picture since which it is so. */
  readonly ptsUs: PtsUs;
}
