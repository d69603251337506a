import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';
import { decodeCells } from '../yolov8/decode.ts';

/**
 * YOLOv8, 11 and 12 with key points: `predictions` f32 [n, 4 + classes + 3 * points, cells] as `decodeYolov8`, with x, y in input
 * pixels and visibility after the sigmoid of each point behind the scores. Networks without visibility have two numbers a point:
 * the score of such a point is that of its box.
 */
export const decodeYolov8Pose: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const { classes, keypoints = 0 } = spec;
  const { dims } = findOutput(outputs, 'predictions', (shape) => shape.length === 3);
  const without = 2 * keypoints;
  const numbers = dims.includes(4 + classes.length + without) ? without : 3 * keypoints;
  const rows = new RowList(256, 6 + numbers);
  const images = decodeCells(outputs, batchSize, spec, scoreThreshold, rows, numbers);
  return numbers === without ? images.map((image) => withScores(image, keypoints)) : images;
};

function withScores(rows: Float32Array, keypoints: number): Float32Array {
  const columns = 6 + 2 * keypoints;
  const wider = new RowList(rows.length / columns, 6 + 3 * keypoints);
  for (let at = 0; at < rows.length; at += columns) {
    const [x, y, width, height, score, classId] = rows.subarray(at) as unknown as number[];
    wider.add(x!, y!, width!, height!, score!, classId!);
    const points = Array.from({ length: 3 * keypoints }, (_, i) =>
      i % 3 === 2 ? score! : rows[at + 6 + 2 * Math.floor(i / 3) + (i % 3)]!,
    );
    wider.extend(Float32Array.from(points), 0, 1);
  }
  return wider.take();
}
