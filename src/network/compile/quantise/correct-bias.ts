import { intOf } from '../attributes.ts';
import { f32Values } from '../graph.ts';
import type { QuantisableLayer } from './layers.ts';
import { dequantised, quantiseWeights } from './quantise-weights.ts';
import { levelOf, type Quantiser } from './ranges.ts';

/** The mean of each input channel of a layer over the calibration pictures, before and after 8 bits. */
export interface ChannelMeans {
  readonly real: Float64Array;
  readonly quantised: Float64Array;
}

/** Adds up channel means over pictures. */
export class ChannelMeter {
  readonly #real: Float64Array;
  readonly #quantised: Float64Array;
  readonly #quantiser: Quantiser;
  #count = 0;

  /** @param quantiser - of the value; for a picture that of its levels. */
  constructor(channels: number, quantiser: Quantiser) {
    this.#real = new Float64Array(channels);
    this.#quantised = new Float64Array(channels);
    this.#quantiser = quantiser;
  }

  /** @param numbers - f32 [channels, ...] of one picture. */
  add(numbers: Float32Array): void {
    const channels = this.#real.length;
    const inner = numbers.length / channels;
    const { scale, zero } = this.#quantiser;
    for (let channel = 0; channel < channels; channel += 1) {
      let real = 0;
      let quantised = 0;
      for (let at = channel * inner; at < (channel + 1) * inner; at += 1) {
        real += numbers[at]!;
        quantised += (levelOf(numbers[at]!, this.#quantiser) - zero) * scale;
      }
      this.#real[channel] = this.#real[channel]! + real / inner;
      this.#quantised[channel] = this.#quantised[channel]! + quantised / inner;
    }
    this.#count += 1;
  }

  means(): ChannelMeans {
    const mean = (sum: number): number => (this.#count === 0 ? 0 : sum / this.#count);
    return { real: this.#real.map(mean), quantised: this.#quantised.map(mean) };
  }
}

/**
 * Computes by how much the rounding of weights and inputs lowers the mean of each output channel of a convolution, so that it can
 * be added to the bias. Padding is ignored: border pixels are treated like the others. (Nagel et al., section 4.2.)
 *
 * @returns f32, one number for each output channel.
 */
export function biasShiftOf(layer: QuantisableLayer, { real, quantised }: ChannelMeans): Float32Array {
  const { weights, axis, name } = layer;
  const exact = f32Values(weights, name);
  const rounded = dequantised(quantiseWeights(weights, axis), axis);
  const [outputs, inputs] = weights.dims as [number, number];
  const taps = exact.length / (outputs * inputs);
  const groups = real.length / inputs;
  const shift = new Float32Array(outputs);
  for (let output = 0; output < outputs; output += 1) {
    const firstChannel = Math.floor((output * groups) / outputs) * inputs;
    let sum = 0;
    for (let input = 0; input < inputs; input += 1) {
      const channel = firstChannel + input;
      for (let tap = 0; tap < taps; tap += 1) {
        const at = (output * inputs + input) * taps + tap;
        sum += exact[at]! * real[channel]! - rounded[at]! * quantised[channel]!;
      }
    }
    shift[output] = sum;
  }
  return shift;
}

/** Returns the number of channels of a convolution's input. */
export function inputChannelCount({ weights, node }: QuantisableLayer): number {
  return weights.dims[1]! * intOf(node, 'group', 1);
}
