import type { Tensor } from 'onnxruntime-node';
import { onnxRuntime } from '../../../base/process/fetched-packages.ts';

/**
 * Makes an ONNX Runtime tensor of f16 values.
 *
 * From Node 24 on, the library converts the bits to a `Float16Array`, which its native part (1.30) rejects ("not enough space"), so
 * the original bits are put back.
 *
 * @param bits - IEEE 754 half precision; not copied.
 */
export function halfTensor(bits: Uint16Array, dims: readonly number[]): Tensor {
  const tensor = new (onnxRuntime().Tensor)('float16', bits, dims);
  if (!(tensor.data instanceof Uint16Array)) Object.defineProperty(tensor, 'data', { value: bits });
  return tensor;
}
