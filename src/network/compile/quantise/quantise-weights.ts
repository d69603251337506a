import { f32Values, type Tensor } from '../graph.ts';
import { roundToEven } from '../half.ts';

/** Signed and symmetric: zero is 0, and -128 is not used. */
const LARGEST = 127;

export interface QuantisedWeights {
  /** i8, in the shape of the weights. */
  readonly ints: Tensor;
  /** f32, one for each output channel. */
  readonly scales: Float32Array<ArrayBuffer>;
}

/**
 * Quantises weights to INT8 with one scale for each output channel.
 *
 * @param axis - of the output channels.
 * @param leastScales - lower bounds of the scales, so that a bias, which is an i32 multiple of its scale, fits; absent: none.
 */
export function quantiseWeights(weights: Tensor, axis: 0 | 1, leastScales?: Float32Array): QuantisedWeights {
  const values = f32Values(weights, 'weights');
  const channelOf = channelFinder(weights.dims, axis);
  const scales = new Float32Array(weights.dims[axis]!);
  for (const [at, value] of values.entries()) {
    const channel = channelOf(at);
    scales[channel] = Math.max(scales[channel]!, Math.abs(value) / LARGEST);
  }
  for (const [channel, scale] of scales.entries()) {
    const least = leastScales?.[channel] ?? 0;
    scales[channel] = Math.max(scale, least) || 1;
  }
  const bytes = Int8Array.from(values, (value, at) => {
    const level = roundToEven(value / scales[channelOf(at)]!);
    return Math.min(Math.max(level, -LARGEST), LARGEST);
  });
  return { ints: { type: 'i8', dims: weights.dims, bytes: new Uint8Array(bytes.buffer) }, scales };
}

/** Returns the real numbers that quantised weights represent. */
export function dequantised({ ints, scales }: QuantisedWeights, axis: 0 | 1): Float32Array<ArrayBuffer> {
  const levels = new Int8Array(Uint8Array.from(ints.bytes).buffer);
  const channelOf = channelFinder(ints.dims, axis);
  return Float32Array.from(levels, (level, at) => level * scales[channelOf(at)]!);
}

/** Returns a function from the place of an element in the weights to its output channel. */
function channelFinder(dims: readonly number[], axis: 0 | 1): (at: number) => number {
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const count = dims[axis]!;
  return (at) => Math.floor(at / inner) % count;
}
