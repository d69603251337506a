import { SightlineError } from '../errors/sightline-error.ts';
import type { Graph } from './graph.ts';
import type { NetworkInput } from './network-input.ts';

/**
 * Checks that a network takes a picture of the size it is compiled for. An axis that the file leaves free is fixed to what was
 * asked for; one that it states cannot be another, unless the network is known to work at any size.
 *
 * @param anySize - sides in the file do not bind: nothing behind them depends on the size.
 * Throws COMPILE_UNSUPPORTED with what was expected and what the network has.
 */
export function checkPicture(graph: Graph, input: NetworkInput, anySize: boolean): void {
  const picture = graph.inputs.find(({ name }) => name === input.tensor);
  // That the input is there, `addFront` checks. Old files may leave its shape out.
  if (picture === undefined || picture.dims.length === 0) return;
  const { width, height, layout, range } = input;
  const wanted = layout === 'nchw' ? ([null, 3, height, width] as const) : ([null, height, width, 3] as const);
  const isFitting = wanted.every((size, axis) => {
    const stated = picture.dims[axis];
    return size === null || typeof stated !== 'number' || stated === size || (anySize && size !== 3);
  });
  if (picture.dims.length !== 4 || !isFitting) {
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `expected the input ${picture.name} to take a picture ${layout === 'nchw' ? '[n, 3, height, width]' : '[n, height, width, 3]'} ` +
        `of ${width}x${height}; the network is published for [${picture.dims.join(', ')}]`,
    );
  }
  const isBytes = picture.type === 'u8';
  if (picture.type !== 'f32' && !isBytes)
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `expected the input ${picture.name} in f32, f16 or u8, received ${picture.type}`,
    );
  if (isBytes && (range[0] !== 0 || range[1] !== 255))
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `the input ${picture.name} takes bytes: expected the range 0 to 255, received ${range[0]} to ${range[1]}`,
    );
}
