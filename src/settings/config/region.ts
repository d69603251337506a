import { z } from 'zod';
import { MOST_TILES, SMALLEST_REGION } from '../../base/geometry/views.ts';
import { range, whole } from './number.ts';

/** Sums of two decimal ratios may exceed 1 by a rounding error. */
const SUM_SLACK = 1e-9;

/** A rule about several keys is checked if each is valid by itself. */
const isValidSoFar = ({ issues }: z.core.ParsePayload): boolean => issues.length === 0;

const rectangle = z
  .strictObject({
    x: range(0, 1).describe('Left edge, 0 to 1 of the picture.'),
    y: range(0, 1).describe('Top edge, 0 to 1 of the picture.'),
    width: range(SMALLEST_REGION, 1).describe('Width, 0 to 1 of the picture.'),
    height: range(SMALLEST_REGION, 1).describe('Height, 0 to 1 of the picture.'),
  })
  .refine(({ x, y, width, height }) => x + width <= 1 + SUM_SLACK && y + height <= 1 + SUM_SLACK, {
    message: 'expected a rectangle inside the picture (x + width and y + height at most 1)',
    when: isValidSoFar,
  });

export const regionConfig = z.union([rectangle, z.literal('zones')]);

export const tilesConfig = z
  .strictObject({
    columns: whole(1, MOST_TILES).describe('Tiles side by side.'),
    rows: whole(1, MOST_TILES).describe('Tiles one below the other.'),
    overlap: range(0, 0.5).default(0.2).describe('Share of a tile that the next one shows as well.'),
    whole: z.boolean().default(true).describe('Infer the picture or region as a whole, too, for large objects.'),
  })
  .refine(({ columns, rows }) => columns * rows <= MOST_TILES, {
    message: `expected at most ${MOST_TILES} tiles (columns times rows)`,
    when: isValidSoFar,
  });
