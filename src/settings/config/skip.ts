import { z } from 'zod';
import { range, whole } from './number.ts';

const unchanged = z.strictObject({
  lookEveryMs: whole(100, 600_000)
    .default(5_000)
    .describe('Longest media time without inference: after it a frame is inferred even if nothing has changed.'),
  minLevels: range(0.5, 50)
    .default(3)
    .describe(
      'Smallest change of the mean level of a small block that counts without noise, 0 to 255; noise raises it up to a bound.',
    ),
});

const adaptive = z
  .strictObject({
    min: whole(1, 60).default(1).describe('Smallest n, however much moves.'),
    max: whole(1, 60).default(8).describe('Largest n, however little moves.'),
  })
  .refine(({ min, max }) => min <= max, 'expected min up to max');

/** Work that need not be done for a stream. */
export const skipConfig = z.strictObject({
  unchanged: z
    .union([z.boolean(), unchanged])
    .default(false)
    .describe(
      'Repeat the result of the last inferred frame while the picture equals it up to noise; an uncertain result for 200 ms only. True, or settings.',
    ),
  trackBetween: z
    .union([whole(1, 60), z.literal('auto'), adaptive])
    .default(1)
    .describe(
      'Infer every n-th frame, and more if an object could else be missing for over 200 ms; the tracker predicts the boxes between. auto, or bounds: n follows how well it predicts.',
    ),
});

export type SkipConfig = z.infer<typeof skipConfig>;

/** Settings of the change gate; null if it is off. */
export function changeGateOf({ unchanged: value }: SkipConfig): z.infer<typeof unchanged> | null {
  if (value === false) return null;
  return value === true ? unchanged.parse({}) : value;
}

/** Bounds of n, of which every n-th frame is inferred; null if every frame is. */
export function detectEveryOf({ trackBetween }: SkipConfig): { readonly min: number; readonly max: number } | null {
  if (trackBetween === 1) return null;
  if (typeof trackBetween === 'number') return { min: trackBetween, max: trackBetween };
  return trackBetween === 'auto' ? adaptive.parse({}) : trackBetween;
}
