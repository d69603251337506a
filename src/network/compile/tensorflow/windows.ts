import { intOf, intsOf, textOf } from '../attributes.ts';
import { elementCount, type GraphNode, type Tensor } from '../graph.ts';
import { permuteTensor } from '../permute.ts';
import type { Dim } from './dims.ts';
import { type Emission, type EmissionRule, NHWC, type Value } from './emission.ts';
import type { AttributeInput } from './graph-def-builder.ts';

/** A window over rows and columns, as in ONNX. */
interface Window {
  readonly sizes: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
  /** Height and width of the result. */
  readonly out: readonly [number, number];
}

/** Conv: emits Conv2D or DepthwiseConv2dNative, and BiasAdd, a pattern that TensorFlow fuses with a following activation. */
export const emitConvolution: EmissionRule = (emission, node) => {
  const picture = emission.input(node, 0);
  const weights = emission.constant(node, 1);
  if (picture.dims.length !== 4)
    throw emission.unsupported(node, `it runs over ${picture.dims.length - 2} axes, not 2`);
  const [outChannels, perGroup, rows, columns] = weights.dims as [number, number, number, number];
  const channels = emission.sizes(node, picture)[1]!;
  const groups = intOf(node, 'group', 1);
  if (perGroup * groups !== channels) {
    throw emission.unsupported(node, `weights for ${perGroup * groups} channels meet an input of ${channels}`);
  }
  const isDepthwise = groups > 1;
  if (isDepthwise && perGroup !== 1)
    throw emission.unsupported(node, `it has ${groups} groups of ${perGroup} channels`);
  const window = windowOf(emission, node, picture, [rows, columns]);
  if (isDepthwise) requireEven(emission, node, window);
  const { type } = picture;
  const padding = paddingOf(picture, window);
  // A depthwise convolution with explicit padding aborts the process (TensorFlow 2.21, in its shape function).
  const isPadded = isDepthwise && 'explicit_paddings' in padding;
  const attributes = {
    T: type,
    strides: [1, ...window.strides, 1],
    dilations: [1, ...window.dilations, 1],
    ...(isPadded ? { padding: 'VALID' } : padding),
  };
  const permuted = isDepthwise ? depthwiseWeights(weights, groups) : permuteTensor(weights, [2, 3, 1, 0]);
  const filter = emission.builder.constant(`${node.name}/weights`, permuted);
  const input = isPadded ? pad(emission, node, picture, window, 0) : emission.arranged(picture, NHWC);
  const op = isDepthwise ? 'DepthwiseConv2dNative' : 'Conv2D';
  let reference = emission.node(node, op, [input.reference, filter], attributes);
  if (node.inputs[2]) {
    const bias = emission.builder.constant(`${node.name}/bias`, emission.constant(node, 2));
    reference = emission.node(node, 'BiasAdd', [reference, bias], { T: type }, '/biased');
  }
  return [picturesLike(picture, reference, outChannels, window)];
};

/** MaxPool. Padding other than TensorFlow's SAME is emitted as a separate pad with the lowest number. */
export const emitMaxPool: EmissionRule = (emission, node) => {
  const { window, picture, channels } = poolOf(emission, node);
  const padding = paddingOf(picture, window);
  const isSpelled = 'explicit_paddings' in padding;
  const padded = isSpelled ? pad(emission, node, picture, window, Number.NEGATIVE_INFINITY) : picture;
  const reference = emission.node(node, 'MaxPool', [emission.arranged(padded, NHWC).reference], {
    ...poolAttributes(picture, window),
    padding: isSpelled ? 'VALID' : padding.padding!,
  });
  return [picturesLike(picture, reference, channels, window)];
};

/** AveragePool. TensorFlow never counts padding, so if ONNX does, the zeros are emitted as a separate pad. */
export const emitAveragePool: EmissionRule = (emission, node) => {
  const { window, picture, channels } = poolOf(emission, node);
  const padding = paddingOf(picture, window);
  const isCounted = intOf(node, 'count_include_pad', 0) === 1 && window.pads.some((size) => size > 0);
  if (!isCounted && 'explicit_paddings' in padding) {
    throw emission.unsupported(node, `its padding [${window.pads}] is not counted and is not TensorFlow's`);
  }
  const padded = isCounted ? pad(emission, node, picture, window, 0) : picture;
  const reference = emission.node(node, 'AvgPool', [emission.arranged(padded, NHWC).reference], {
    ...poolAttributes(picture, window),
    padding: isCounted ? 'VALID' : padding.padding!,
  });
  return [picturesLike(picture, reference, channels, window)];
};

export const emitGlobalAveragePool: EmissionRule = (emission, node) => {
  const picture = emission.arranged(emission.input(node, 0), NHWC);
  const axes = emission.integerVector(`${node.name}/axes`, [1, 2]);
  const { type, dims } = picture;
  const reference = emission.node(node, 'Mean', [picture.reference, axes], { T: type, Tidx: 'i32', keep_dims: true });
  return [{ reference, type, dims: [dims[0]!, dims[1]!, 1, 1], order: NHWC }];
};

function poolOf(emission: Emission, node: GraphNode): { picture: Value; window: Window; channels: number } {
  const picture = emission.input(node, 0);
  if (picture.dims.length !== 4)
    throw emission.unsupported(node, `it runs over ${picture.dims.length - 2} axes, not 2`);
  const sizes = intsOf(node, 'kernel_shape', []) as [number, number];
  const window = windowOf(emission, node, picture, sizes);
  if (window.dilations.some((dilation) => dilation !== 1)) throw emission.unsupported(node, 'its window is dilated');
  return { picture, window, channels: emission.sizes(node, picture)[1]! };
}

function windowOf(emission: Emission, node: GraphNode, picture: Value, sizes: readonly [number, number]): Window {
  const autoPad = textOf(node, 'auto_pad', 'NOTSET');
  if (autoPad !== 'NOTSET') throw emission.unsupported(node, `auto_pad is ${autoPad}`);
  const strides = intsOf(node, 'strides', [1, 1]) as Window['strides'];
  const dilations = intsOf(node, 'dilations', [1, 1]) as Window['dilations'];
  const pads = intsOf(node, 'pads', [0, 0, 0, 0]) as Window['pads'];
  const [, , height, width] = emission.sizes(node, picture) as [number, number, number, number];
  const out = [height, width].map((size, axis) => {
    const room = size + pads[axis]! + pads[axis + 2]! - reachOf(sizes[axis]!, dilations[axis]!);
    // Rounding up only makes a difference if the last window is partial.
    if (intOf(node, 'ceil_mode', 0) === 1 && room % strides[axis]! !== 0) {
      throw emission.unsupported(node, 'ceil_mode adds a partial window');
    }
    return Math.floor(room / strides[axis]!) + 1;
  });
  return { sizes, strides, dilations, pads, out: out as unknown as Window['out'] };
}

/** Returns SAME if it gives the same padding (the odd pixel at the end), else explicit padding. */
function paddingOf(picture: Value, window: Window): { padding: string; explicit_paddings?: number[] } {
  const { pads, sizes, strides, dilations, out } = window;
  if (pads.every((size) => size === 0)) return { padding: 'VALID' };
  const isSame = [0, 1].every((axis) => {
    const size = picture.dims[2 + axis] as number;
    const total = Math.max((out[axis]! - 1) * strides[axis]! + reachOf(sizes[axis]!, dilations[axis]!) - size, 0);
    const before = Math.floor(total / 2);
    return out[axis] === Math.ceil(size / strides[axis]!) && pads[axis] === before && pads[axis + 2] === total - before;
  });
  if (isSame) return { padding: 'SAME' };
  const [top, left, bottom, right] = pads;
  return { padding: 'EXPLICIT', explicit_paddings: [0, 0, top, bottom, left, right, 0, 0] };
}

function reachOf(size: number, dilation: number): number {
  return (size - 1) * dilation + 1;
}

function poolAttributes(picture: Value, { sizes, strides }: Window): Record<string, AttributeInput> {
  return { T: picture.type, ksize: [1, ...sizes, 1], strides: [1, ...strides, 1] };
}

function pad(emission: Emission, node: GraphNode, picture: Value, window: Window, filling: number): Value {
  const [top, left, bottom, right] = window.pads;
  return padded(emission, node, emission.arranged(picture, NHWC), [0, 0, top, bottom, left, right, 0, 0], filling);
}

/** Pads a value before and after each axis, in memory order. Its `dims` stay unchanged. */
export function padded(
  emission: Emission,
  node: GraphNode,
  value: Value,
  pads: readonly number[],
  filling: number,
): Value {
  const table = emission.integerTable(`${node.name}/pads`, [pads.length / 2, 2], pads);
  const fill = emission.number(`${node.name}/filling`, value.type, filling);
  const reference = emission.node(
    node,
    'PadV2',
    [value.reference, table, fill],
    { T: value.type, Tpaddings: 'i32' },
    '/padded',
  );
  return { ...value, reference };
}

function picturesLike(picture: Value, reference: string, channels: number, window: Window): Value {
  const dims: Dim[] = [picture.dims[0]!, channels, ...window.out];
  return { reference, type: picture.type, dims, order: NHWC };
}

/** [channels * multiplier, 1, h, w] becomes [h, w, channels, multiplier]. */
function depthwiseWeights(weights: Tensor, channels: number): Tensor {
  const [, , rows, columns] = weights.dims as [number, number, number, number];
  const multiplier = elementCount(weights.dims) / (channels * rows * columns);
  return permuteTensor({ ...weights, dims: [channels, multiplier, rows, columns] }, [2, 3, 0, 1]);
}

/** Rejects what TensorFlow's depthwise kernels do not support. */
function requireEven(emission: Emission, node: GraphNode, { strides, dilations }: Window): void {
  if (strides[0] !== strides[1]) throw emission.unsupported(node, `its strides [${strides}] differ`);
  if (dilations.some((dilation) => dilation !== 1)) throw emission.unsupported(node, `its groups are dilated`);
}
