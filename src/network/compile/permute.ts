import { ELEMENTS, type Tensor } from './graph.ts';

/** Reorders the axes of a constant: axis `i` of the result is axis `order[i]` of the tensor. */
export function permuteTensor(tensor: Tensor, order: readonly number[]): Tensor {
  const dims = order.map((axis) => tensor.dims[axis]!);
  if (order.every((axis, index) => axis === index)) return tensor;
  const width = ELEMENTS[tensor.type].bytes;
  const strides = stridesOf(tensor.dims);
  const sourceStrides = order.map((axis) => strides[axis]! * width);
  const bytes = new Uint8Array(tensor.bytes.length);
  const place = new Array<number>(dims.length).fill(0);
  let source = 0;
  for (let target = 0; target < bytes.length; target += width) {
    for (let byte = 0; byte < width; byte += 1) bytes[target + byte] = tensor.bytes[source + byte]!;
    // Increments the target index and moves to the matching place in the source.
    for (let axis = dims.length - 1; axis >= 0; axis -= 1) {
      place[axis] = place[axis]! + 1;
      source += sourceStrides[axis]!;
      if (place[axis]! < dims[axis]!) break;
      source -= sourceStrides[axis]! * dims[axis]!;
      place[axis] = 0;
    }
  }
  return { type: tensor.type, dims, bytes };
}

/** Returns the stride of each axis, in elements. */
function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let axis = dims.length - 2; axis >= 0; axis -= 1) strides[axis] = strides[axis + 1]! * dims[axis + 1]!;
  return strides;
}
