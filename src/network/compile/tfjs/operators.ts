import { f32Tensor } from '../graph.ts';
import { emitActivation, lowerConvolution, lowerDepthwise, spatialWindow } from './convolutions.ts';
import { FREE_BATCH, type LoweredValue, type Lowering, type OperatorRule } from './lowering.ts';
import type { TfNode } from './read-tfjs.ts';

/** Name of the picture input before the front is added: f32 N, C, H, W. */
export const IMAGES = 'images';

/** Index in N, C, H, W of each axis of N, H, W, C: TensorFlow's axis i becomes this axis of the emitted graph. */
const NCHW_AXIS = [0, 2, 3, 1] as const;

/** The rules of all supported TensorFlow operators. The tail of a detector is recognised as a whole, see `centernet-head.ts`. */
export const OPERATOR_RULES: ReadonlyMap<string, OperatorRule> = new Map<string, OperatorRule>([
  ['Placeholder', lowerPlaceholder],
  ['Identity', (lowering, node) => lowering.value(lowering.inputReference(node, 0))],
  ['Conv2D', lowerConvolution],
  ['_FusedConv2D', lowerConvolution],
  ['DepthwiseConv2dNative', lowerDepthwise],
  ['FusedDepthwiseConv2dNative', lowerDepthwise],
  ['Relu', unary((lowering, node, input) => emitActivation(lowering, node, 'Relu', input))],
  ['Relu6', unary((lowering, node, input) => emitActivation(lowering, node, 'Relu6', input))],
  ['Sigmoid', unary((lowering, node, input) => lowering.builder.node('Sigmoid', node.name, [input]))],
  ['Add', binary('Add')],
  ['AddV2', binary('Add')],
  ['BiasAdd', binary('Add')],
  ['Sub', binary('Sub')],
  ['Mul', binary('Mul')],
  ['Mean', lowerMean],
  ['ConcatV2', lowerConcat],
  ['ResizeBilinear', lowerResizeBilinear],
  ['MaxPool', lowerMaxPool],
]);

function lowerPlaceholder(lowering: Lowering): LoweredValue {
  return { name: IMAGES, shape: [FREE_BATCH, lowering.input.height, lowering.input.width, 3] };
}

function unary(emit: (lowering: Lowering, node: TfNode, input: string) => string): OperatorRule {
  return (lowering, node) => {
    const input = lowering.value(lowering.inputReference(node, 0));
    return { name: emit(lowering, node, input.name), shape: input.shape };
  };
}

function binary(op: string): OperatorRule {
  return (lowering, node) => {
    const operands = [0, 1].map((index) => operand(lowering, node, index));
    const rank = Math.max(...operands.map(({ shape }) => shape.length));
    const shape = Array.from({ length: rank }, (_, axis) =>
      operands.map((value) => value.shape[axis - rank + value.shape.length] ?? 1).reduce(broadcast),
    );
    const names = operands.map(({ name }) => name);
    return { name: lowering.builder.node(op, node.name, names), shape };
  };
}

function broadcast(a: number, b: number): number {
  return a === FREE_BATCH || b === FREE_BATCH ? FREE_BATCH : Math.max(a, b);
}

/** Returns an operand; a constant used with a picture is transposed to N, C, H, W, unless it is a scalar. */
function operand(lowering: Lowering, node: TfNode, index: number): LoweredValue {
  const reference = lowering.inputReference(node, index);
  if (lowering.constant(reference) === undefined) return lowering.value(reference);
  const { dims, values } = lowering.floats(node, index);
  const isScalar = dims.every((dim) => dim === 1);
  const isPerChannel = values.length === dims.at(-1);
  if (!isScalar && !isPerChannel)
    throw lowering.unsupported(node, `a constant of shape [${dims}] is not supported here`);
  const tensor = f32Tensor(isScalar ? [] : [values.length, 1, 1], values);
  return { name: lowering.builder.constant(`${node.name}/constant`, tensor), shape: isScalar ? [] : [values.length] };
}

function lowerMean(lowering: Lowering, node: TfNode): LoweredValue {
  const input = lowering.value(lowering.inputReference(node, 0));
  const axes = lowering.integers(node, 1).map((axis) => (axis < 0 ? axis + 4 : axis));
  const isGlobal = input.shape.length === 4 && axes.length === 2 && axes.includes(1) && axes.includes(2);
  const keepsDims = lowering.attribute(node, 'keep_dims').b ?? false;
  if (!isGlobal || !keepsDims)
    throw lowering.unsupported(node, 'only a mean over H and W that keeps both is supported');
  const name = lowering.builder.node('GlobalAveragePool', node.name, [input.name]);
  return { name, shape: [input.shape[0]!, 1, 1, input.shape[3]!] };
}

function lowerConcat(lowering: Lowering, node: TfNode): LoweredValue {
  const count = (node.input?.length ?? 0) - 1;
  const parts = Array.from({ length: count }, (_, index) => lowering.value(lowering.inputReference(node, index)));
  const shape = [...parts[0]!.shape];
  const axis = (lowering.integers(node, count)[0]! + shape.length) % shape.length;
  if (shape.length !== 4) throw lowering.unsupported(node, `only rank 4 is supported, received rank ${shape.length}`);
  shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  const names = parts.map((part) => part.name);
  return { name: lowering.builder.node('Concat', node.name, names, { axis: NCHW_AXIS[axis]! }), shape };
}

/**
 * Lowers a resize. The size in the graph was computed for the published input, so it is converted to a factor. Without half-pixel
 * centres TensorFlow uses source = target / factor, which ONNX calls asymmetric.
 */
function lowerResizeBilinear(lowering: Lowering, node: TfNode): LoweredValue {
  const input = lowering.value(lowering.inputReference(node, 0));
  const [targetHeight, targetWidth] = lowering.integers(node, 1) as [number, number];
  const [batch, height, width, channels] = input.shape as [number, number, number, number];
  const { input: size, publishedInput: published } = lowering;
  const rowFactor = (targetHeight * size.height) / (published.height * height);
  const columnFactor = (targetWidth * size.width) / (published.width * width);
  if (!Number.isInteger(rowFactor) || !Number.isInteger(columnFactor)) {
    throw lowering.unsupported(node, `the picture grows by ${rowFactor} and ${columnFactor}, which are not whole`);
  }
  if (lowering.attribute(node, 'align_corners').b) throw lowering.unsupported(node, 'align_corners is not supported');
  const isHalfPixel = lowering.attribute(node, 'half_pixel_centers').b ?? false;
  const scales = lowering.builder.constant(`${node.name}/scales`, f32Tensor([4], [1, 1, rowFactor, columnFactor]));
  const name = lowering.builder.node('Resize', node.name, [input.name, '', scales], {
    mode: 'linear',
    coordinate_transformation_mode: isHalfPixel ? 'half_pixel' : 'asymmetric',
  });
  return { name, shape: [batch, height * rowFactor, width * columnFactor, channels] };
}

function lowerMaxPool(lowering: Lowering, node: TfNode): LoweredValue {
  const input = lowering.value(lowering.inputReference(node, 0));
  const window = spatialWindow(lowering, node, input.shape, lowering.spatialPair(node, 'ksize'));
  const name = lowering.builder.node('MaxPool', node.name, [input.name], window.attributes);
  return { name, shape: [input.shape[0]!, window.height, window.width, input.shape[3]!] };
}
