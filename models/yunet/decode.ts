import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/** Of each grid, the finest first: pixels from cell to cell, and the sides of its priors in pixels. */
const GRIDS: readonly (readonly [stridePx: number, sidesPx: readonly number[]])[] = [
  [8, [10, 16, 24]],
  [16, [32, 48]],
  [32, [64, 96]],
  [64, [128, 192, 256]],
];
const PLACE_VARIANCE = 0.1;
const [WIDTH_VARIANCE, HEIGHT_VARIANCE] = [0.1, 0.2];
/** Numbers of a row of `predictions`: place, size, and x and y of five points. */
const NUMBERS = 14;
const POINTS = 5;

/**
 * YuNet of 2021 and 2022: faces with five points (eyes, nose, corners of the mouth, each from left to right in the picture), a row for
 * each prior of each cell, batch after batch: `predictions` f32 [n x priors, 14], offsets in sides of the prior; `scores` [n x priors, 2],
 * of which the second is that of a face; `ious` [n x priors, 1], how well the box fits. A face has the root of the product of both as
 * its score, and so have its points (Wu et al., "YuNet: a tiny millisecond-level face detector", 2023; `yunet.py` of OpenCV Zoo).
 */
export const decodeYunet: Decode = (outputs, batchSize, { input }, scoreThreshold) => {
  const [offsets, scores, ious] = ['predictions', 'scores', 'ious'].map(
    (name) => findOutput(outputs, name).data as Float32Array,
  ) as [Float32Array, Float32Array, Float32Array];
  const rows = new RowList(64, 6 + 3 * POINTS);
  const points = new Float32Array(3 * POINTS);
  let prior = 0;
  return Array.from({ length: batchSize }, () => {
    for (const [stride, sides] of GRIDS) {
      const [columns, lines] = [cellsOf(input.width, stride), cellsOf(input.height, stride)];
      for (let cell = 0; cell < columns * lines; cell += 1) {
        const centreX = ((cell % columns) + 0.5) * stride;
        const centreY = (Math.floor(cell / columns) + 0.5) * stride;
        for (const side of sides) {
          const score = Math.sqrt(Math.max(0, scores[2 * prior + 1]!) * Math.min(1, Math.max(0, ious[prior]!)));
          const at = NUMBERS * prior;
          prior += 1;
          if (score < scoreThreshold) continue;
          const place = (centre: number, index: number) => centre + offsets[at + index]! * PLACE_VARIANCE * side;
          const width = side * Math.exp(offsets[at + 2]! * WIDTH_VARIANCE);
          const height = side * Math.exp(offsets[at + 3]! * HEIGHT_VARIANCE);
          rows.add(place(centreX, 0) - width / 2, place(centreY, 1) - height / 2, width, height, score, 0);
          for (let i = 0; i < POINTS; i += 1)
            points.set([place(centreX, 4 + 2 * i), place(centreY, 5 + 2 * i), score], 3 * i);
          rows.extend(points, 0, 1);
        }
      }
    }
    return rows.take();
  });
};

/** Each halving of the picture rounds down, but for the first. */
function cellsOf(sidePx: number, stride: number): number {
  return Math.floor(Math.ceil(sidePx / 2) / (stride / 2));
}
