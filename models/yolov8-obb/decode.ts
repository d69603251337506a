import type { Decode } from '../decoder.ts';
import { RowList } from '../row-list.ts';
import { decodeCells } from '../yolov8/decode.ts';

/**
 * YOLOv8, 11 and 12 with oriented boxes: `predictions` f32 [n, 4 + classes + 1, cells] as `decodeYolov8`, with the clockwise angle
 * in radians behind the scores, by which the box is turned about its centre.
 */
export const decodeYolov8Obb: Decode = (outputs, batchSize, spec, scoreThreshold) =>
  decodeCells(outputs, batchSize, spec, scoreThreshold, new RowList(256, 7), 1);
