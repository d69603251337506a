import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/** Number of the first class. Number 0 is the background, which is never reported. */
const FIRST_CLASS = 1;

/** Reused for every picture on this thread. */
const rows = new RowList(100);

/**
 * Detectors of TensorFlow's Object Detection API (SSD, EfficientDet, Faster R-CNN), with built-in suppression: `boxes` f32
 * [n, rows, 4] y1, x1, y2, x2 as fractions of the input, `classes` f32 [n, rows] from 1, `scores` f32 [n, rows], `count` f32
 * [n], the number of rows with a box for each picture.
 */
export const decodeSsd: Decode = (outputs, batchSize, { input }, scoreThreshold) => {
  const boxes = findOutput(outputs, 'boxes').data as Float32Array;
  const classes = findOutput(outputs, 'classes').data;
  const { data, dims } = findOutput(outputs, 'scores');
  const scores = data as Float32Array;
  const counts = findOutput(outputs, 'count').data;
  const rowsPerImage = dims[1]!;
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    const end = image * rowsPerImage + Math.min(rowsPerImage, Number(counts[image]!));
    for (let row = image * rowsPerImage; row < end; row += 1) {
      const score = scores[row]!;
      if (!(score >= scoreThreshold)) continue;
      const [top, left] = [boxes[row * 4]! * input.height, boxes[row * 4 + 1]! * input.width];
      const [bottom, right] = [boxes[row * 4 + 2]! * input.height, boxes[row * 4 + 3]! * input.width];
      rows.add(left, top, right - left, bottom - top, score, Number(classes[row]!) - FIRST_CLASS);
    }
    images.push(rows.take());
  }
  return images;
};
