import { z } from 'zod';
import { TRACK_DEFAULTS } from '../../base/core/track-defaults.ts';
import { hasArea, isConvex } from '../../base/geometry/ground-plane.ts';
import { id } from './id.ts';
import { range, whole } from './number.ts';

/** A place as ratios of width and height, from the top left. */
export const point = z.tuple([range(0, 1), range(0, 1)]);
const polygon = z
  .array(point)
  .min(3)
  .max(1000)
  .refine(hasArea, {
    message: 'expected corners that are not all on one line: it has no area, so nothing is ever inside',
    when: ({ issues }) => issues.length === 0,
  })
  .describe('Corners as [x, y], 0 to 1 of the picture.');
export const labels = z
  .array(z.string().min(1).max(512))
  .min(1)
  .max(1000)
  .optional()
  .describe('Only objects with these labels; all if absent.');
const anchor = z
  .enum(['bottom-center', 'center'])
  .default('bottom-center')
  .describe('The point of a box that is tested.');

const scale = z
  .strictObject({
    corners: z
      .tuple([point, point, point, point])
      .describe('Corners of a rectangle on the ground, one after the other, as [x, y], 0 to 1 of the picture.'),
    metres: z
      .tuple([range(0.01, 10_000), range(0.01, 10_000)])
      .describe('Length of its sides: from the first corner to the second, and from the second to the third.'),
  })
  .refine(({ corners }) => isConvex(corners), {
    path: ['corners'],
    message: 'expected the corners of a convex shape, in order',
  });

export const zoneConfig = z.strictObject({
  id: id.describe('Name of the zone.'),
  polygon,
  anchor: z
    .enum(['bottom-center', 'center', 'mask-foot'])
    .default('bottom-center')
    .describe(
      'The point of an object that is tested. mask-foot: the middle of the lowest row of its mask, or bottom-center without one.',
    ),
  labels,
  minScore: range(0, 1).optional().describe('Only objects with at least this score; for rules, that have reached it.'),
  minSize: range(0, 1).optional().describe("Only objects at least this tall, as a ratio of the picture's height."),
  scale: scale
    .optional()
    .describe('How large things on the ground are, so that rules can give speeds in metres per second.'),
});

export const maskConfig = z.strictObject({
  id: id.describe('Name of the mask.'),
  polygon,
  fill: z
    .enum(['black', 'blur'])
    .default('black')
    .describe(
      'What is shown instead. blur leaves about 24 patches of colour across the picture: that somebody moves can be seen.',
    ),
});

export type MaskConfig = z.infer<typeof maskConfig>;

const lineKeys = z.strictObject({
  id: id.describe('Name of the line.'),
  from: point.describe('First end as [x, y], 0 to 1 of the picture.'),
  to: point.describe('Second end.'),
  anchor,
  labels,
  bandRatio: range(0, 0.5)
    .optional()
    .describe('An object is on neither side of the line within this distance, in picture heights (default 0.015).'),
  settleMs: whole(0, 60_000)
    .optional()
    .describe('Media time that an object must stay beyond the band to count (default 200).'),
  settleFrames: whole(1, 1000).optional().describe('Consecutive frames in which it must be seen there (default 2).'),
});

export const lineConfig = lineKeys.check(({ value: { from, to }, issues }) => {
  if (issues.length > 0 || from[0] !== to[0] || from[1] !== to[1]) return;
  issues.push({ code: 'custom', input: to, path: ['to'], message: 'expected a point other than from' });
});

const trackKeys = z.strictObject({
  highScore: range(0, 1)
    .optional()
    .describe('Detections with at least this score are matched first. If absent: 0.4, or `newScore` if that is lower.'),
  lowScore: range(0, 1)
    .default(TRACK_DEFAULTS.lowScore)
    .describe('Weaker detections with at least this score can still continue a track.'),
  newScore: range(0, 1)
    .optional()
    .describe(
      'An unmatched detection with at least this score starts a track. If absent: the threshold of reported boxes.',
    ),
  matchIou: range(0, 1)
    .default(TRACK_DEFAULTS.matchIou)
    .describe(
      'Smallest IoU of a detection with the predicted box of its track, both with a margin that grows with the uncertainty of the prediction.',
    ),
  lostMs: whole(0, 600_000)
    .optional()
    .describe(
      'A track that is unseen for longer, in media time, is deleted; at least the time between two frames. If absent: 2000, or 2.5 times that time with a small maxFps.',
    ),
  minHits: whole(1, 100)
    .optional()
    .describe(
      'Consecutive frames that a track needs before it gets its id. If absent: 3; with scores from 0.8 on 2, or 1 if frames are more than 150 ms apart.',
    ),
});

/** Its scores must rise: lowScore, highScore, newScore. */
export const trackConfig = trackKeys.check(({ value: { lowScore, highScore = lowScore, newScore = 1 }, issues }) => {
  if (issues.length > 0) return;
  const refuse = (key: string, input: number, least: string): void =>
    void issues.push({ code: 'custom', input, path: [key], message: `expected at least ${least}` });
  if (lowScore > highScore) refuse('highScore', highScore, `lowScore, ${lowScore}`);
  if (newScore < lowScore) refuse('newScore', newScore, `lowScore, ${lowScore}`);
  else if (newScore < highScore) refuse('newScore', newScore, `highScore, ${highScore}`);
});

/** Adds an issue for each entry of a list whose id an earlier entry has. @param noun - what an entry is. */
export function uniqueIds<T extends { readonly id: string }>(noun: string): z.core.CheckFn<T[]> {
  return ({ value, issues }) => {
    const seen = new Set<string>();
    for (const [i, { id: each }] of value.entries()) {
      if (seen.has(each))
        issues.push({
          code: 'custom',
          input: each,
          path: [i, 'id'],
          message: `expected an id that no other ${noun} has`,
        });
      seen.add(each);
    }
  };
}
