import type { Decode } from '../decoder.ts';
import { findOutput, indexOfLargest } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/**
 * RTMPose and other networks with SimCC heads, for one object that fills the picture: `x` f32 [n, points, columns] and `y` f32
 * [n, points, rows], how likely each point is in each column and row, several to a pixel of the input. A point has the smaller of both
 * as its score (Li et al., "SimCC", 2022; Jiang et al., "RTMPose", 2023); the object has the mean of its points, and the input as its box.
 */
export const decodeRtmpose: Decode = (outputs, batchSize, { input: { width, height } }, scoreThreshold) => {
  const [across, down] = [findOutput(outputs, 'x'), findOutput(outputs, 'y')];
  const [, count, columns] = across.dims as [number, number, number];
  const lines = down.dims[2]!;
  const [xs, ys] = [across.data as Float32Array, down.data as Float32Array];
  const rows = new RowList(1, 6 + 3 * count);
  const points = new Float32Array(3 * count);
  return Array.from({ length: batchSize }, (_, image) => {
    let sum = 0;
    for (let point = 0; point < count; point += 1) {
      const [firstX, firstY] = [(image * count + point) * columns, (image * count + point) * lines];
      const bestX = indexOfLargest(xs, firstX, firstX + columns);
      const bestY = indexOfLargest(ys, firstY, firstY + lines);
      const score = Math.min(1, Math.max(0, Math.min(xs[bestX]!, ys[bestY]!)));
      points.set([((bestX - firstX) * width) / columns, ((bestY - firstY) * height) / lines, score], 3 * point);
      sum += score;
    }
    if (sum / count >= scoreThreshold) {
      rows.add(0, 0, width, height, sum / count, 0);
      rows.extend(points, 0, 1);
    }
    return rows.take();
  });
};
