import type { NetworkInput } from '../network-input.ts';

/**
 * Converts a picture to the values that a published network takes, without changing the layout.
 *
 * @param frame - u8 [height, width, 3] RGB.
 * @returns f32 [height, width, 3] in the network's colour order.
 */
export function normalise(
  frame: Uint8Array,
  { colours, range: [black, white], mean = [0, 0, 0], deviation = [1, 1, 1] }: NetworkInput,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(frame, (_, at) => {
    const channel = (at % 3) as 0 | 1 | 2;
    const level = frame[colours === 'rgb' ? at : at - channel + 2 - channel]!;
    return (black + (level / 255) * (white - black) - mean[channel]) / deviation[channel];
  });
}
