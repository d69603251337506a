import type { Decode } from '../decoder.ts';
import { findOutput, indexOfLargest } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/** Column of the first class score, after the box (centre x, centre y, width, height) and the objectness. */
const FIRST_CLASS = 5;

/** Reused for every picture on this thread. */
const boxRows = new RowList(256);

/**
 * YOLOv5 and other networks with boxes in pixels and an objectness (v6, v7): `predictions` f32 [n, anchors, 5 + classes], with
 * centre x, centre y, width, height in input pixels; objectness and class scores after the sigmoid. score = objectness * class.
 *
 * Objectness is an upper bound of the score, so the class scores of most anchors are never read.
 */
export const decodeYolov5: Decode = (outputs, batchSize, spec, scoreThreshold) =>
  decodeAnchors(outputs, batchSize, spec, scoreThreshold, boxRows, 0);

/**
 * As `decodeYolov5`, for networks with more columns behind the class scores.
 *
 * @param rows - gets the boxes, and behind each its `extra` columns.
 */
export function decodeAnchors(
  outputs: Parameters<Decode>[0],
  batchSize: number,
  { classesPerBox }: Parameters<Decode>[2],
  scoreThreshold: number,
  rows: RowList,
  extra: number,
): Float32Array[] {
  const { data, dims } = findOutput(outputs, 'predictions', (shape) => shape.length === 3 && shape[2]! > FIRST_CLASS);
  const [, anchors, width] = dims as [number, number, number];
  const values = data as Float32Array;
  const images: Float32Array[] = [];
  let at = 0;
  for (let image = 0; image < batchSize; image += 1) {
    for (let anchor = 0; anchor < anchors; anchor += 1, at += width) {
      const objectness = values[at + 4]!;
      if (!(objectness >= scoreThreshold)) continue;
      const first = at + FIRST_CLASS;
      const last = at + width - extra;
      const best = classesPerBox === 'best' ? indexOfLargest(values, first, last) : first;
      const end = classesPerBox === 'best' ? best + 1 : last;
      for (let index = best; index < end; index += 1) {
        const score = objectness * values[index]!;
        if (!(score >= scoreThreshold)) continue;
        const [boxWidth, boxHeight] = [values[at + 2]!, values[at + 3]!];
        rows.add(
          values[at]! - boxWidth / 2,
          values[at + 1]! - boxHeight / 2,
          boxWidth,
          boxHeight,
          score,
          index - first,
        );
        if (extra > 0) rows.extend(values, last, 1);
      }
    }
    images.push(rows.take());
  }
  return images;
}
