import type { ModelSpec, OutputTensor } from '../src/base/core/model.ts';

/**
 * Converts the raw outputs of one family of networks to boxes.
 *
 * @param outputs - by name; the first axis is the batch. Read only.
 * @param batchSize - number of pictures in the batch; the rest is padding.
 * @param scoreThreshold - rows below it are left out.
 * @returns for each picture packed rows `[n, columns]` f32: x, y, width, height in pixels of the model's input (top-left and size,
 * not clipped), score, classId; then x, y and score of each key point, the clockwise angle in radians, or the coefficients of the
 * mask. Before non-maximum suppression, in no particular order; owned by the caller.
 *
 * Runs for every frame, so implementations must not allocate an object per box.
 */
export type Decode = (
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
) => Float32Array[];

/**
 * Finds an output by its name in compiled models, else by its shape: a network that runs as published has other names, but some
 * families' outputs can be distinguished by shape.
 *
 * Throws `RangeError` if there is none, which means that the manifest names the wrong family.
 */
export function findOutput(
  outputs: ReadonlyMap<string, OutputTensor>,
  name: string,
  fits: (dims: readonly number[]) => boolean = () => false,
): OutputTensor {
  const named = outputs.get(name);
  if (named !== undefined) return named;
  for (const output of outputs.values()) if (fits(output.dims)) return output;
  const seen = Array.from(outputs, ([key, { dims }]) => `${key} [${dims.join(', ')}]`).join('; ');
  throw new RangeError(`no output fits ${name}; received ${seen}`);
}

/** Index of the first largest value in [start, end): the best class of a row of scores. */
export function indexOfLargest(values: Float32Array, start: number, end: number): number {
  let best = start;
  for (let index = start + 1; index < end; index += 1) if (values[index]! > values[best]!) best = index;
  return best;
}
