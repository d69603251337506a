import { f32Tensor, type Graph, type GraphNode } from '../graph.ts';
import { GraphBuilder } from '../graph-builder.ts';
import { GraphIndex, removeUnused } from '../graph-index.ts';

/**
 * Rewrites operators that would make ONNX Runtime leave its blocked layout between two convolutions (see `emitChannelLine`):
 * hard-swish, and a scalar added after an activation. Run `foldScalars` first, because folded scalars cost nothing.
 */
export function keepBlocked(graph: Graph): Graph {
  const index = new GraphIndex(graph);
  const constants = new Map(graph.constants);
  const nodes = graph.nodes.flatMap((node) => {
    const builder = new GraphBuilder(`${node.name}/`);
    const last = rewriteHardSwish(index, node, builder) ?? rewriteShift(index, node, builder);
    for (const [name, tensor] of builder.constants) constants.set(name, tensor);
    return last === null ? [node] : [...builder.nodes, last];
  });
  return removeUnused({ ...graph, nodes, constants });
}

/**
 * Looks for Mul(Mul(x, c), Clip(Add(x, offset), 0, high)) in either order, where a convolution produces x. The gate
 * c * clip(x + offset, 0, high) = clip(c x + c offset, 0, c high) becomes a channel line with a fused clip.
 */
function rewriteHardSwish(index: GraphIndex, node: GraphNode, builder: GraphBuilder): GraphNode | null {
  if (node.op !== 'Mul') return null;
  const parts = node.inputs.map((input) => index.producer(input));
  const clip = parts.find((part) => part?.op === 'Clip');
  const product = parts.find((part) => part?.op === 'Mul');
  const sum = index.producer(clip?.inputs[0]);
  if (clip === undefined || product === undefined || sum?.op !== 'Add') return null;
  const factor = index.scalarOperand(product);
  const offset = index.scalarOperand(sum);
  const high = index.scalar(clip.inputs[2]);
  if (factor === undefined || offset === undefined || factor.other !== offset.other || factor.scalar <= 0) return null;
  const channels = channelsOf(index, index.producer(factor.other));
  if (channels === null || high === undefined || index.scalar(clip.inputs[1]) !== 0) return null;
  const line = { channels, factor: factor.scalar, offset: offset.scalar * factor.scalar };
  const straight = emitChannelLine(builder, factor.other, line);
  const bounds = [0, high * factor.scalar].map((bound) => builder.constant('bound', f32Tensor([], [bound])));
  const gate = builder.node('Clip', 'gate', [straight, ...bounds]);
  return { ...node, inputs: [factor.other, gate] };
}

/** Looks for Add(Relu(convolution), number). */
function rewriteShift(index: GraphIndex, node: GraphNode, builder: GraphBuilder): GraphNode | null {
  const operand = node.op === 'Add' ? index.scalarOperand(node) : undefined;
  const relu = index.producer(operand?.other);
  const channels = relu?.op === 'Relu' ? channelsOf(index, index.producer(relu.inputs[0])) : null;
  if (operand === undefined || channels === null) return null;
  emitChannelLine(builder, operand.other, { channels, factor: 1, offset: operand.scalar });
  const line = builder.nodes.pop()!;
  return { ...line, outputs: node.outputs };
}

/** Returns the output channels of a 2D convolution; null for anything else. */
function channelsOf(index: GraphIndex, node: GraphNode | undefined): number | null {
  const weights = node?.op === 'Conv' ? index.constant(node.inputs[1]) : undefined;
  return weights?.dims.length === 4 ? weights.dims[0]! : null;
}

/**
 * Emits `value * factor + offset` as a depthwise 1x1 convolution.
 *
 * ONNX Runtime's CPU provider keeps channels in blocks between convolutions, and reorders them for every operator that does not
 * support blocks, such as arithmetic with a scalar. As a convolution the value stays in blocks: two reorders of the whole value
 * cost more than the multiplication. Measured on one thread: CenterNet at 512x512 47 to 41 ms, DEIMv2-Femto 24 to 20.5 ms.
 */
function emitChannelLine(
  builder: GraphBuilder,
  value: string,
  line: { readonly channels: number; readonly factor: number; readonly offset: number },
): string {
  const { channels, factor, offset } = line;
  const inputs = [value, builder.constant('line-weights', filled([channels, 1, 1, 1], factor))];
  if (offset !== 0) inputs.push(builder.constant('line-bias', filled([channels], offset)));
  return builder.node('Conv', 'line', inputs, { kernel_shape: [1, 1], group: channels });
}

function filled(dims: readonly number[], value: number): ReturnType<typeof f32Tensor> {
  return f32Tensor(dims, new Float32Array(dims[0]!).fill(value));
}
