import type { OutputTensor } from '../../../base/core/model.ts';

type Outputs = ReadonlyMap<string, OutputTensor>;

/**
 * Converts the outputs of a gated network (see `gateClasses`) back to the output of its source, `predictions`
 * f32 [n, cells, 5 + classes]. Returns outputs of other networks unchanged.
 *
 * @param outputs - of a call in which every cell passed the gate.
 * @throws RangeError if a cell is missing.
 */
export function ungate(outputs: Outputs): Outputs {
  const cells = outputs.get('cells');
  const passing = outputs.get('passing');
  const classes = outputs.get('classes');
  if (cells === undefined || passing === undefined || classes === undefined) return outputs;
  const [batch, planes, count] = cells.dims as [number, number, number];
  const classCount = classes.dims[1]!;
  if (passing.dims[0] !== batch * count)
    throw new RangeError(`expected all ${batch * count} cells to pass, received ${passing.dims[0]}`);
  const width = planes + classCount;
  const predictions = new Float32Array(batch * count * width);
  for (let row = 0; row < batch * count; row += 1) {
    const [image, cell] = [Number(passing.data[row * 2]), Number(passing.data[row * 2 + 1])];
    const at = (image * count + cell) * width;
    for (let plane = 0; plane < planes; plane += 1)
      predictions[at + plane] = Number(cells.data[(image * planes + plane) * count + cell]);
    predictions[at + planes - 1] = sigmoid(predictions[at + planes - 1]!);
    for (let index = 0; index < classCount; index += 1)
      predictions[at + planes + index] = sigmoid(Number(classes.data[row * classCount + index]));
  }
  return new Map([['predictions', { data: predictions, dims: [batch, count, width] }]]);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
