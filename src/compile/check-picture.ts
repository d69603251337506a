import { SightlineError } from '../errors/sightline-error.ts';
import type { Graph } from './graph.ts';
import type { NetworkInput } from './network-input.ts';

/**
 * Checks that a network accepts a picture of the size it is compiled for. A free axis in the file is set to the requested size; a
 * fixed axis must match it, unless the network works at any size.
 *
 * @param anySize - ignore the size in the file, because nothing in the network depends on it.
 * Throws COMPILE_UNSUPPORTED with the expected and the actual input.
 */
export function checkPicture(graph: Graph, input: NetworkInput, anySize: boolean): void {
  const picture = graph.inputs.find(({ name }) => name === input.tensor);
  // `addFront` checks that the input exists. Old files may omit its shape.
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
