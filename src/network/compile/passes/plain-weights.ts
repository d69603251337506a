import { intOf } from '../attributes.ts';
import { elementCount, f32Tensor, f32Values, type Graph, type GraphNode, intValues, type Tensor } from '../graph.ts';
import { GraphIndex, removeUnused } from '../graph-index.ts';

/**
 * Computes the weights of a network that stores them as bytes, or biases as sums of their own: products of levels and scales, reshapes
 * of constants, and sums for each channel after a convolution become constants. Other passes, INT8 and OpenVINO then see plain weights.
 *
 * A network whose activations are quantised too stays as it is: engines fuse its levels.
 */
export function plainWeights(graph: Graph): Graph {
  const isQuantised = graph.nodes.some(({ op }) => op === 'QuantizeLinear');
  const constants = new Map(graph.constants);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const nodes = graph.nodes.filter((node) => {
    const known = isQuantised || outputs.has(node.outputs[0]!) ? null : computed(node, constants);
    if (known !== null) constants.set(node.outputs[0]!, known);
    return known === null;
  });
  return nodes.length === graph.nodes.length ? graph : removeUnused(foldBiases({ ...graph, nodes, constants }));
}

function computed(node: GraphNode, constants: ReadonlyMap<string, Tensor>): Tensor | null {
  const [value, second, third] = node.inputs.map((name) => constants.get(name));
  if (value === undefined || second === undefined || node.domain !== '') return null;
  if (node.op === 'Reshape') return value.type === 'f32' ? reshaped(value, intValues(second, node.name)) : null;
  if (node.op !== 'DequantizeLinear' || second.type !== 'f32') return null;
  const levels = levelsOf(value);
  const zeros = third === undefined ? [0] : levelsOf(third);
  const scales = f32Values(second, node.name);
  const axis = intOf(node, 'axis', 1);
  const at = axis < 0 ? axis + value.dims.length : axis;
  // Blocks along an axis are left to the engine.
  if (levels === null || zeros === null || (scales.length > 1 && scales.length !== value.dims[at])) return null;
  const step = scales.length === 1 ? levels.length : elementCount(value.dims.slice(at + 1));
  const channelOf = (i: number): number => Math.floor(i / step) % scales.length;
  return f32Tensor(
    value.dims,
    Array.from(levels, (level, i) => (level - zeros[channelOf(i) % zeros.length]!) * scales[channelOf(i)]!),
  );
}

function levelsOf({ type, bytes }: Tensor): ArrayLike<number> | null {
  if (type === 'u8') return bytes;
  const { buffer } = Uint8Array.from(bytes);
  if (type === 'i8') return new Int8Array(buffer);
  return type === 'i32' ? new Int32Array(buffer) : null;
}

/** @param shape - 0 keeps an axis, -1 takes what is left. */
function reshaped(value: Tensor, shape: readonly number[]): Tensor {
  const dims = shape.map((size, axis) => (size === 0 ? value.dims[axis]! : size));
  const rest = elementCount(value.dims) / elementCount(dims.filter((size) => size > 0));
  return { ...value, dims: dims.map((size) => (size < 0 ? rest : size)) };
}

/** Makes a sum for each channel, [1, c, 1, 1] or [c, 1, 1], after a convolution without bias its bias. */
function foldBiases(graph: Graph): Graph {
  const index = new GraphIndex(graph);
  const constants = new Map(graph.constants);
  const changed = new Map<GraphNode, GraphNode[]>();
  for (const add of graph.nodes) {
    if (add.op !== 'Add') continue;
    const conv = add.inputs.map((input) => index.producer(input)).find((node) => node?.op === 'Conv');
    const [from, weights] = conv?.inputs ?? [];
    const bias = index.constant(add.inputs.find((input) => index.constant(input) !== undefined));
    const [channels] = index.constant(weights)?.dims ?? [];
    if (conv === undefined || conv.inputs.length > 2 || bias?.type !== 'f32') continue;
    const isForChannels =
      bias.dims.at(-3) === channels && elementCount(bias.dims) === channels && bias.dims.length <= 4;
    if (!isForChannels || index.soleConsumer(conv.outputs[0]!) !== add) continue;
    const name = `${add.outputs[0]!}/bias`;
    constants.set(name, { ...bias, dims: [channels!] });
    changed.set(conv, [{ ...conv, inputs: [from!, weights!, name], outputs: add.outputs }]);
    changed.set(add, []);
  }
  return { ...graph, constants, nodes: graph.nodes.flatMap((node) => changed.get(node) ?? [node]) };
}
