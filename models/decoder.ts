import type { ModelSpec, OutputTensor } from '../src/core/model.ts';

/**
 * Turns the raw outputs of one family of networks into boxes.
 *
 * @param outputs - by name; first axis the batch. Only read.
 * @param batchSize - how many pictures of the batch count; the rest is padding.
 * @param scoreThreshold - rows below it are left out.
 * @returns for each picture packed rows `[n, 6]` f32: x, y, width, height in pixels of the model's input (top-left and
 * size, not clipped), score, classId. Before non-maximum suppression, in no particular order; owned by the caller.
 *
 * On the path of every frame: no object for each box.
 */
export type Decode = (
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
) => Float32Array[];

/**
 * Finds an output by the name that compiled models give it, or else by its shape, where the family's outputs can be told
 * apart by that (a network that runs as it was published has names of its own).
 *
 * Throws `RangeError` where there is none: the manifest names the wrong family.
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
