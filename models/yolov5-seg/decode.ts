import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';
import { decodeAnchors } from '../yolov5/decode.ts';

/**
 * YOLOv5 with masks: `predictions` f32 [n, anchors, 5 + classes + m] as `decodeYolov5`, with m coefficients behind the scores, and
 * `prototypes` f32 [n, m, height, width].
 */
export const decodeYolov5Seg: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const coefficients = findOutput(outputs, 'prototypes', (dims) => dims.length === 4).dims[1]!;
  return decodeAnchors(outputs, batchSize, spec, scoreThreshold, new RowList(256, 6 + coefficients), coefficients);
};
