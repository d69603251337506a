import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/**
 * Networks that name the picture as a whole: `probabilities` f32 [n, classes], or `logits` before the softmax. A row for each class
 * that reaches the threshold, with the input as its box.
 */
export const decodeClassifier: Decode = (outputs, batchSize, { input: { width, height } }, scoreThreshold) => {
  const isSure = outputs.has('probabilities');
  const { data, dims } = findOutput(outputs, isSure ? 'probabilities' : 'logits', (shape) => shape.length === 2);
  const classes = dims[1]!;
  const rows = new RowList(classes);
  return Array.from({ length: batchSize }, (_, image) => {
    const values = (data as Float32Array).subarray(image * classes, (image + 1) * classes);
    const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = values.reduce((total, value) => total + Math.exp(value - most), 0);
    for (const [classId, value] of values.entries()) {
      const score = isSure ? value : Math.exp(value - most) / sum;
      if (score >= scoreThreshold) rows.add(0, 0, width, height, score, classId);
    }
    return rows.take();
  });
};
