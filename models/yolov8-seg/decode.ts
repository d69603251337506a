import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';
import { decodeCells } from '../yolov8/decode.ts';

/**
 * YOLOv8, 11 and 12 with masks: `predictions` f32 [n, 4 + classes + m, cells] as `decodeYolov8`, with m coefficients behind the
 * scores, and `prototypes` f32 [n, m, height, width]. The logits of a mask are the sum of prototypes times coefficients.
 */
export const decodeYolov8Seg: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const coefficients = findOutput(outputs, 'prototypes', (dims) => dims.length === 4).dims[1]!;
  return decodeCells(outputs, batchSize, spec, scoreThreshold, new RowList(256, 6 + coefficients), coefficients);
};
