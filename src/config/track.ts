import { z } from 'zod';
import { ID_PATTERN } from '../core/ids.ts';
import { range, whole } from './number.ts';

const id = z.string().regex(ID_PATTERN, 'expected letters, digits, dot, dash and underscore, at most 64');
const point = z.tuple([range(0, 1), range(0, 1)]);
const labels = z
  .array(z.string().min(1).max(512))
  .min(1)
  .max(1000)
  .optional()
  .describe('Only objects with these labels; all if absent.');
const anchor = z
  .enum(['bottom-center', 'center'])
  .default('bottom-center')
  .describe('The point of a box that is tested.');

export const zoneConfig = z.strictObject({
  id: id.describe('Name of the zone.'),
  polygon: z.array(point).min(3).max(1000).describe('Corners as [x, y], 0 to 1 of the picture.'),
  anchor,
  labels,
});

export const lineConfig = z.strictObject({
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

/** Absent keys take the tracker's own defaults, see `track/track-options.ts`. */
export const trackConfig = z.strictObject({
  highScore: range(0, 1).optional().describe('Detections with at least this score are matched first.'),
  lowScore: range(0, 1).optional().describe('Weaker detections with at least this score can still continue a track.'),
  newScore: range(0, 1).optional().describe('An unmatched detection with at least this score starts a track.'),
  matchIou: range(0, 1).optional().describe('Smallest IoU of a detection with the predicted box of its track.'),
  lostMs: whole(0, 600_000).optional().describe('A track that is unseen for longer, in media time, is deleted.'),
  minHits: whole(1, 100).optional().describe('Consecutive frames that a track needs before it gets its id.'),
});

export type ZoneConfig = z.infer<typeof zoneConfig>;
export type LineConfig = z.infer<typeof lineConfig>;
export type TrackConfig = z.infer<typeof trackConfig>;
