import { f32Tensor } from '../graph.ts';
import type { LoweredValue, Lowering } from './lowering.ts';
import type { TfNode } from './read-tfjs.ts';

/** Padding and output size of a window operator along one axis. */
interface Window {
  readonly size: number;
  readonly stride: number;
  readonly dilation: number;
}

/**
 * Returns padding and output size of a window along one axis, as TensorFlow defines them: SAME distributes the padding over both
 * sides with the odd pixel at the end, so with stride 2 the two sides differ.
 * (TensorFlow API documentation, tf.nn.convolution, "Notes on padding based on data formats".)
 */
export function windowPadding(
  inputPx: number,
  window: Window,
  padding: string,
): [before: number, after: number, out: number] {
  const reach = (window.size - 1) * window.dilation + 1;
  if (padding === 'VALID') return [0, 0, Math.floor((inputPx - reach) / window.stride) + 1];
  const out = Math.ceil(inputPx / window.stride);
  const total = Math.max((out - 1) * window.stride + reach - inputPx, 0);
  const before = Math.floor(total / 2);
  return [before, total - before, out];
}

/** Returns the window over rows and columns; ONNX lists the starts of all axes before the ends. */
export function spatialWindow(
  lowering: Lowering,
  node: TfNode,
  shape: readonly number[],
  sizes: readonly [number, number],
): { attributes: Record<string, number[]>; height: number; width: number } {
  const strides = lowering.spatialPair(node, 'strides');
  const dilations = lowering.spatialPair(node, 'dilations');
  const padding = lowering.text(node, 'padding');
  if (padding !== 'SAME' && padding !== 'VALID') throw lowering.unsupported(node, `padding is ${padding}`);
  const axis = (index: 0 | 1) =>
    windowPadding(
      shape[1 + index]!,
      { size: sizes[index], stride: strides[index], dilation: dilations[index] },
      padding,
    );
  const [top, bottom, height] = axis(0);
  const [left, right, width] = axis(1);
  return {
    attributes: { kernel_shape: [...sizes], strides, dilations, pads: [top, left, bottom, right] },
    height,
    width,
  };
}

/** Conv2D and _FusedConv2D: weights [h, w, in, out] become [out, in, h, w]. */
export function lowerConvolution(lowering: Lowering, node: TfNode): LoweredValue {
  requireNhwc(lowering, node);
  const input = lowering.value(lowering.inputReference(node, 0));
  const { dims, values } = lowering.floats(node, 1);
  const [rows, columns, inChannels, outChannels] = dims as [number, number, number, number];
  if (input.shape[3] !== inChannels) {
    throw lowering.unsupported(node, `weights for ${inChannels} channels meet an input of ${input.shape[3]}`);
  }
  const turned = new Float32Array(values.length);
  let at = 0;
  for (let out = 0; out < outChannels; out += 1) {
    for (let channel = 0; channel < inChannels; channel += 1) {
      for (let tap = 0; tap < rows * columns; tap += 1) {
        turned[at++] = values[(tap * inChannels + channel) * outChannels + out]!;
      }
    }
  }
  const weights = f32Tensor([outChannels, inChannels, rows, columns], turned);
  return emitConvolution(lowering, node, input, weights, 1);
}

/** Depthwise convolutions: weights [h, w, in, multiplier] become [in * multiplier, 1, h, w], one group per channel. */
export function lowerDepthwise(lowering: Lowering, node: TfNode): LoweredValue {
  requireNhwc(lowering, node);
  const input = lowering.value(lowering.inputReference(node, 0));
  const { dims, values } = lowering.floats(node, 1);
  const [rows, columns, channels, multiplier] = dims as [number, number, number, number];
  const outChannels = channels * multiplier;
  const turned = new Float32Array(values.length);
  for (let tap = 0; tap < rows * columns; tap += 1) {
    for (let out = 0; out < outChannels; out += 1)
      turned[out * rows * columns + tap] = values[tap * outChannels + out]!;
  }
  return emitConvolution(lowering, node, input, f32Tensor([outChannels, 1, rows, columns], turned), channels);
}

function emitConvolution(
  lowering: Lowering,
  node: TfNode,
  input: LoweredValue,
  weights: ReturnType<typeof f32Tensor>,
  group: number,
): LoweredValue {
  const [outChannels, , rows, columns] = weights.dims as [number, number, number, number];
  const window = spatialWindow(lowering, node, input.shape, [rows, columns]);
  const inputs = [input.name, lowering.builder.constant(`${node.name}/weights`, weights)];
  const fused = lowering.texts(node, 'fused_ops');
  if (fused[0] === 'BiasAdd') {
    fused.shift();
    inputs.push(
      lowering.builder.constant(`${node.name}/bias`, f32Tensor([outChannels], lowering.floats(node, 2).values)),
    );
  }
  let name = lowering.builder.node('Conv', node.name, inputs, { ...window.attributes, group });
  for (const activation of fused) name = emitActivation(lowering, node, activation, name);
  return { name, shape: [input.shape[0]!, window.height, window.width, outChannels] };
}

/** Emits Relu or Relu6 after a node; both are bit-exact in ONNX. */
export function emitActivation(lowering: Lowering, node: TfNode, activation: string, input: string): string {
  if (activation === 'Relu') return lowering.builder.node('Relu', `${node.name}/relu`, [input]);
  if (activation !== 'Relu6') throw lowering.unsupported(node, `activation ${activation} is not supported`);
  const zero = lowering.builder.constant(`${node.name}/zero`, f32Tensor([], [0]));
  const six = lowering.builder.constant(`${node.name}/six`, f32Tensor([], [6]));
  return lowering.builder.node('Clip', `${node.name}/relu6`, [input, zero, six]);
}

function requireNhwc(lowering: Lowering, node: TfNode): void {
  const format = lowering.text(node, 'data_format') || 'NHWC';
  if (format !== 'NHWC') throw lowering.unsupported(node, `data_format is ${format}`);
}
