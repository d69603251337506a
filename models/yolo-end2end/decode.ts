import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';

const COLUMNS = 6;

/** Reused for every picture on this thread. */
const rows = new RowList(300);

/**
 * YOLOv10, YOLO26 and exports with built-in suppression: `detections` f32 [n, rows, 6], x1, y1, x2, y2 in input pixels, score,
 * class. Rows after the last box are zeros.
 */
export const decodeYoloEnd2end: Decode = (outputs, batchSize, _spec, scoreThreshold) => {
  const { data, dims } = findOutput(outputs, 'detections', (shape) => shape.length === 3 && shape[2] === COLUMNS);
  const values = data as Float32Array;
  const size = dims[1]! * COLUMNS;
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    for (let at = image * size; at < (image + 1) * size; at += COLUMNS) {
      const score = values[at + 4]!;
      if (!(score >= scoreThreshold && score > 0)) continue;
      const [x, y] = [values[at]!, values[at + 1]!];
      rows.add(x, y, values[at + 2]! - x, values[at + 3]! - y, score, values[at + 5]!);
    }
    images.push(rows.take());
  }
  return images;
};
