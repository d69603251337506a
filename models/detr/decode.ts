import type { ModelSpec, OutputTensor } from '../../src/base/core/model.ts';
import type { Decode } from '../decoder.ts';
import { findOutput, indexOfLargest } from '../decoder.ts';
import { RowList } from '../row-list.ts';

const BOX_COLUMNS = 4;

/** Reused for every picture on this thread. */
const rows = new RowList(300);

/**
 * DETR family. Boxes are centre x, centre y, width, height as fractions of the input. The outputs are one of
 * - `boxes` f32 [n, queries, 4] and `logits` f32 [n, queries, classes] before the sigmoid: RT-DETR and D-FINE from Hugging Face,
 *   RF-DETR;
 * - `predictions` f32 [n, queries, 4 + classes], class scores after the sigmoid: RT-DETR from Ultralytics;
 * - `detections` f32 [n, queries, 6], box, score, class: RT-DETR from Ultralytics that selects the best boxes itself.
 *
 * One box per query, so suppression is not needed.
 */
export const decodeDetr: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const predictions = outputs.get('predictions');
  const detections = outputs.get('detections');
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    if (predictions !== undefined) addPredictions(predictions, image, spec, scoreThreshold);
    else if (detections !== undefined) addDetections(detections, image, spec, scoreThreshold);
    else addLogits(findOutput(outputs, 'boxes'), findOutput(outputs, 'logits'), image, spec, scoreThreshold);
    images.push(rows.take());
  }
  return images;
};

function addLogits(boxes: OutputTensor, logits: OutputTensor, image: number, spec: ModelSpec, minScore: number): void {
  const [, queries, classes] = logits.dims as [number, number, number];
  const [boxValues, values] = [boxes.data as Float32Array, logits.data as Float32Array];
  // Slightly below the threshold, so that rounding loses no box. Only logits above it need a sigmoid.
  const minLogit = Math.log(minScore / (1 - minScore)) - 1e-3;
  for (let query = image * queries; query < (image + 1) * queries; query += 1) {
    const first = query * classes;
    const best = spec.classesPerBox === 'best' ? indexOfLargest(values, first, first + classes) : first;
    const end = spec.classesPerBox === 'best' ? best + 1 : first + classes;
    for (let at = best; at < end; at += 1) {
      if (!(values[at]! >= minLogit)) continue;
      const score = 1 / (1 + Math.exp(-values[at]!));
      if (score >= minScore) addBox(boxValues, query * BOX_COLUMNS, spec, score, at - first);
    }
  }
}

function addPredictions({ data, dims }: OutputTensor, image: number, spec: ModelSpec, minScore: number): void {
  const [, queries, width] = dims as [number, number, number];
  const values = data as Float32Array;
  for (let row = image * queries; row < (image + 1) * queries; row += 1) {
    const first = row * width + BOX_COLUMNS;
    const best = spec.classesPerBox === 'best' ? indexOfLargest(values, first, (row + 1) * width) : first;
    const end = spec.classesPerBox === 'best' ? best + 1 : (row + 1) * width;
    for (let at = best; at < end; at += 1) {
      if (values[at]! >= minScore) addBox(values, row * width, spec, values[at]!, at - first);
    }
  }
}

function addDetections({ data, dims }: OutputTensor, image: number, spec: ModelSpec, minScore: number): void {
  const [, queries, width] = dims as [number, number, number];
  const values = data as Float32Array;
  for (let at = image * queries * width; at < (image + 1) * queries * width; at += width) {
    const score = values[at + 4]!;
    if (score >= minScore && score > 0) addBox(values, at, spec, score, values[at + 5]!);
  }
}

function addBox(values: Float32Array, at: number, { input }: ModelSpec, score: number, classId: number): void {
  const width = values[at + 2]! * input.width;
  const height = values[at + 3]! * input.height;
  rows.add(
    values[at]! * input.width - width / 2,
    values[at + 1]! * input.height - height / 2,
    width,
    height,
    score,
    classId,
  );
}
