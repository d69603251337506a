import { f32Values, type Tensor } from './graph.ts';

/** Converts IEEE 754 binary16 to a number: 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits. */
export function halfToFloat(half: number): number {
  const sign = half >> 15 === 0 ? 1 : -1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Largest finite half. */
export const HALF_MAX = 65504;

/** Rounds a number to the nearest IEEE 754 binary16, ties to even, with subnormals; overflow becomes infinite. */
export function floatToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  // The exponent of the result; below 2^-14 all halves are 2^-24 apart.
  const exponent = Math.max(Math.floor(Math.log2(size || 2 ** -14)), -14);
  let steps = roundToEven(size / 2 ** (exponent - 10));
  let biased = exponent + 15;
  // A subnormal has no hidden bit. A carry out of the fraction increments the exponent automatically.
  if (steps < 1024) biased = 0;
  else steps -= 1024;
  const bits = biased === 0 ? steps : (biased << 10) + steps;
  return sign | Math.min(bits, 0x7c00);
}

/** Rounds to the nearest integer, ties to even, as IEEE 754 and ONNX do. */
export function roundToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Rounds an f32 constant to halves. Throws COMPILE_UNSUPPORTED for another type. */
export function toHalfTensor(tensor: Tensor, name: string): Tensor {
  const halves = Uint16Array.from(f32Values(tensor, name), floatToHalf);
  return { type: 'f16', dims: tensor.dims, bytes: new Uint8Array(halves.buffer) };
}

/** Copies the numbers of an f32 or f16 constant. Throws COMPILE_UNSUPPORTED for another type. */
export function floatValues(tensor: Tensor, name: string): Float32Array {
  if (tensor.type !== 'f16') return f32Values(tensor, name);
  return Float32Array.from(new Uint16Array(Uint8Array.from(tensor.bytes).buffer), halfToFloat);
}

/** Converts an f16 constant to f32; returns other constants unchanged. */
export function widenTensor(tensor: Tensor): Tensor {
  if (tensor.type !== 'f16') return tensor;
  return { type: 'f32', dims: tensor.dims, bytes: new Uint8Array(floatValues(tensor, '').buffer) };
}
