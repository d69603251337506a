import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';

const BOX_COLUMNS = 6;

/**
 * RTMDet and RTMDet-Ins as MMDeploy exports them, with suppression inside: `boxes` f32 [n, rows, 5], x1, y1, x2, y2 in input pixels,
 * score; `labels` i64 [n, rows]; of RTMDet-Ins also `prototypes` f32 [n, rows, height, width], the mask of each row in 0..1. A row's
 * coefficients choose its own mask: 1 there, else 0. Rows after the last box have a score of 0.
 */
export const decodeRtmdet: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const { data, dims } = findOutput(outputs, 'boxes', (shape) => shape.length === 3 && shape[2] === 5);
  const boxes = data as Float32Array;
  const labels = findOutput(outputs, 'labels', (shape) => shape.length === 2).data;
  const rows = dims[1]!;
  const columns = BOX_COLUMNS + (spec.task === 'masks' ? rows : 0);
  return Array.from({ length: batchSize }, (_, image) => {
    const packed = new Float32Array(rows * columns);
    let end = 0;
    for (let row = 0; row < rows; row += 1) {
      const at = (image * rows + row) * 5;
      const [score, label] = [boxes[at + 4]!, Number(labels[image * rows + row])];
      if (!(score >= scoreThreshold && score > 0 && label >= 0)) continue;
      packed[end] = boxes[at]!;
      packed[end + 1] = boxes[at + 1]!;
      packed[end + 2] = boxes[at + 2]! - boxes[at]!;
      packed[end + 3] = boxes[at + 3]! - boxes[at + 1]!;
      packed[end + 4] = score;
      packed[end + 5] = label;
      if (columns > BOX_COLUMNS) packed[end + BOX_COLUMNS + row] = 1;
      end += columns;
    }
    return packed.slice(0, end);
  });
};
