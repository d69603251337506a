import { intOf, textOf } from '../attributes.ts';
import { f32Tensor, f32Values, type Graph, type GraphNode, type Tensor } from '../graph.ts';
import { GraphBuilder } from '../graph-builder.ts';
import { GraphIndex, removeUnused } from '../graph-index.ts';

/**
 * Moves enlargements after 1x1 convolutions. A 1x1 convolution over a concatenation is the sum of 1x1 convolutions over its parts.
 * A part that is enlarged by copying pixels can be enlarged after its convolution, which then has a quarter of the work, and
 * nothing is concatenated. Results differ only by the order of summation. Measured on one thread: YOLOX-nano at 480x256 saves
 * 0.08 of 7.2 ms.
 *
 * Only if every consumer of the concatenation is such a convolution, and at least one part is enlarged: otherwise two convolutions
 * and a sum cost as much as the copy.
 */
export function delayEnlargements(graph: Graph): Graph {
  const index = new GraphIndex(graph);
  const channels = traceChannels(graph);
  const constants = new Map(graph.constants);
  const splits = new Map<GraphNode, GraphNode[]>();
  for (const concat of graph.nodes) {
    const parts = partsOf(index, channels, concat);
    const consumers = index.consumers(concat.outputs[0]!);
    if (parts === null || parts.length > MAX_PARTS || !parts.some(({ resize }) => resize !== null)) continue;
    if (!consumers.every((consumer) => index.pointwiseWeights(consumer) !== null)) continue;
    for (const consumer of consumers) splits.set(consumer, sumOfParts(constants, consumer, parts));
  }
  return removeUnused({ ...graph, constants, nodes: graph.nodes.flatMap((node) => splits.get(node) ?? [node]) });
}

/** Each consumer gets one convolution per part. */
const MAX_PARTS = 16;

interface Part {
  readonly value: string;
  readonly channels: number;
  /** The node that enlarges the value; it moves after the convolution. */
  readonly resize: GraphNode | null;
}

function partsOf(index: GraphIndex, channels: ReadonlyMap<string, number>, concat: GraphNode): Part[] | null {
  if (concat.op !== 'Concat' || intOf(concat, 'axis', 0) !== 1) return null;
  const parts: Part[] = [];
  for (const name of concat.inputs) {
    const count = channels.get(name);
    if (count === undefined) return null;
    const producer = index.producer(name);
    const resize = producer !== undefined && isEnlargement(index, producer) ? producer : null;
    parts.push({ value: resize?.inputs[0] ?? name, channels: count, resize });
  }
  return parts;
}

/** Returns true if each pixel of the result is a pixel of the input, and channels and batch stay the same. */
function isEnlargement(index: GraphIndex, node: GraphNode): boolean {
  const scales = index.constant(node.inputs[2]);
  if (node.op !== 'Resize' || textOf(node, 'mode', 'nearest') !== 'nearest' || scales?.type !== 'f32') return false;
  if (textOf(node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize') return false;
  const [batch, channels, ...sides] = f32Values(scales, node.name);
  return node.inputs.length === 3 && batch === 1 && channels === 1 && sides.every((scale) => scale >= 1);
}

function sumOfParts(constants: Map<string, Tensor>, convolution: GraphNode, parts: readonly Part[]): GraphNode[] {
  const builder = new GraphBuilder(`${convolution.name}/`);
  const weights = sliceInputs(convolution, constants, parts);
  // The bias must be added exactly once; preferably to a part that is not enlarged.
  const biased = Math.max(
    parts.findIndex(({ resize }) => resize === null),
    0,
  );
  let sum: string | null = null;
  for (const [at, { value, resize }] of parts.entries()) {
    const inputs = [value, builder.constant(`part-${at}-weights`, weights[at]!)];
    if (at === biased) inputs.push(...convolution.inputs.slice(2));
    let term = builder.node('Conv', `part-${at}`, inputs, { kernel_shape: [1, 1] });
    if (resize !== null) {
      const name = builder.node('Resize', `part-${at}-enlarged`, [term, ...resize.inputs.slice(1)]);
      builder.nodes.push({ ...builder.nodes.pop()!, attributes: resize.attributes });
      term = name;
    }
    sum = sum === null ? term : builder.node('Add', `sum-${at}`, [sum, term]);
  }
  const last = builder.nodes.pop()!;
  for (const [name, tensor] of builder.constants) constants.set(name, tensor);
  return [...builder.nodes, { ...last, outputs: convolution.outputs }];
}

/** Splits the weights [out, in, 1, 1] by the input channels of each part. */
function sliceInputs({ inputs, name }: GraphNode, constants: Map<string, Tensor>, parts: readonly Part[]): Tensor[] {
  const weights = constants.get(inputs[1]!)!;
  const values = f32Values(weights, name);
  const [out, width] = weights.dims as [number, number];
  let first = 0;
  return parts.map(({ channels }) => {
    const slice = new Float32Array(out * channels);
    for (let row = 0; row < out; row += 1) {
      const start = row * width + first;
      slice.set(values.subarray(start, start + channels), row * channels);
    }
    first += channels;
    return f32Tensor([out, channels, 1, 1], slice);
  });
}

/** Operators whose result has the same channels as their first input. */
const KEEPERS: ReadonlySet<string> = new Set([
  ...['Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'Tanh', 'HardSigmoid', 'Identity', 'Cast'],
  ...['MaxPool', 'AveragePool', 'Resize'],
]);

/** Derives the number of channels of each value [n, channels, ...] from the convolutions; other values are left out. */
function traceChannels(graph: Graph): ReadonlyMap<string, number> {
  const channels = new Map<string, number>();
  for (const node of graph.nodes) {
    const count = channelsOf(graph, node, channels);
    if (count !== undefined) channels.set(node.outputs[0]!, count);
  }
  return channels;
}

function channelsOf(graph: Graph, node: GraphNode, known: ReadonlyMap<string, number>): number | undefined {
  const counts = node.inputs.map((name) => known.get(name));
  if (node.op === 'Conv') return graph.constants.get(node.inputs[1]!)?.dims[0];
  if (KEEPERS.has(node.op)) return counts[0];
  // Only if both are known to be pictures: a constant could be broadcast over channels.
  if (node.op === 'Add' || node.op === 'Mul') return counts[0] === counts[1] ? counts[0] : undefined;
  if (node.op !== 'Concat' || intOf(node, 'axis', 0) !== 1) return undefined;
  return counts.reduce((sum, count) => (sum === undefined || count === undefined ? undefined : sum + count), 0);
}
