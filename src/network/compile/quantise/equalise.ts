import { f32Tensor, f32Values, type Graph, type GraphNode, type Tensor } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';
import { findLayers, type QuantisableLayer } from './layers.ts';

/** Passes over all pairs: a layer can be in two pairs, so one pass is not enough. Further ones change almost nothing. */
const ROUNDS = 4;

/** Limit of the factor of a channel, so that f32 stays exact enough and the weights of dead channels do not become huge. */
const MOST_FACTOR = 64;

/** Activations f with f(s x) = s f(x) for every s > 0. Not clips, SiLU or hard-swish. */
const HOMOGENEOUS: ReadonlySet<string> = new Set(['Relu', 'LeakyRelu', 'PRelu']);

interface Pair {
  readonly first: QuantisableLayer;
  readonly second: QuantisableLayer;
}

/**
 * Equalises the channels between two convolutions that follow each other: each output channel of the first is divided by a factor,
 * and the matching input channel of the second is multiplied by it, so that both have weights of the same size. In real numbers
 * the results stay the same; one scale for a whole activation then fits all its channels. (Nagel et al., "Data-Free Quantization
 * through Weight Equalization and Bias Correction", section 4.1.)
 *
 * Pairs have at most a relu between them, and one of the two is depthwise: other convolutions have a scale for each channel
 * already and would gain little.
 *
 * @returns the graph, and the names of the layers of each pair.
 */
export function equaliseLayers(graph: Graph): { graph: Graph; pairs: readonly (readonly [string, string])[] } {
  const pairs = findPairs(graph);
  const constants = new Map<string, Tensor>(graph.constants);
  for (let round = 0; round < ROUNDS; round += 1) for (const pair of pairs) equalisePair(pair, constants);
  return { graph: { ...graph, constants }, pairs: pairs.map(({ first, second }) => [first.name, second.name]) };
}

function findPairs(graph: Graph): Pair[] {
  const index = new GraphIndex(graph);
  const layers = new Map(findLayers(graph).map((layer) => [layer.node, layer]));
  const uses = new Map<string, number>();
  for (const node of graph.nodes) for (const input of node.inputs) uses.set(input, (uses.get(input) ?? 0) + 1);
  /** Weights with another consumer must not be changed. */
  const isOwn = ({ node }: QuantisableLayer): boolean => node.inputs.slice(1).every((name) => uses.get(name) === 1);
  return Array.from(layers.values()).flatMap((first): Pair[] => {
    let reader: GraphNode | undefined = index.soleConsumer(first.node.outputs[0]!);
    if (reader !== undefined && HOMOGENEOUS.has(reader.op)) reader = index.soleConsumer(reader.outputs[0]!);
    const second = layers.get(reader as GraphNode);
    if (second === undefined || first.kind === 'product' || second.kind === 'product') return [];
    const isWorthIt = first.kind === 'depthwise' || second.kind === 'depthwise';
    return isWorthIt && isOwn(first) && isOwn(second) && isMatched(first, second) ? [{ first, second }] : [];
  });
}

/** Returns whether the output channels of the first layer are the input channels of the second. */
function isMatched(first: QuantisableLayer, second: QuantisableLayer): boolean {
  const channels = first.weights.dims[0]!;
  return second.kind === 'depthwise' ? second.weights.dims[0] === channels : second.weights.dims[1] === channels;
}

function equalisePair({ first, second }: Pair, constants: Map<string, Tensor>): void {
  const before = f32Values(constants.get(first.weightsName)!, first.name);
  const after = f32Values(constants.get(second.weightsName)!, second.name);
  const channels = first.weights.dims[0]!;
  const inner = before.length / channels;
  const ofFirst = (at: number): number => Math.floor(at / inner);
  const ofSecond = inputChannels(second, after.length);
  const firstSizes = sizesOf(before, ofFirst, channels);
  const secondSizes = sizesOf(after, ofSecond, channels);
  const factors = firstSizes.map((size, channel) => {
    const factor = Math.sqrt(size / secondSizes[channel]!);
    return Number.isFinite(factor) && factor > 0 ? Math.min(Math.max(factor, 1 / MOST_FACTOR), MOST_FACTOR) : 1;
  });
  const divided = (_: number, at: number): number => before[at]! / factors[ofFirst(at)]!;
  constants.set(first.weightsName, f32Tensor(first.weights.dims, before.map(divided)));
  const multiplied = (_: number, at: number): number => after[at]! * factors[ofSecond(at)]!;
  constants.set(second.weightsName, f32Tensor(second.weights.dims, after.map(multiplied)));
  const biasName = first.node.inputs[2];
  if (!biasName) return;
  const bias = f32Values(constants.get(biasName)!, first.name);
  const dividedBias = bias.map((value, channel) => value / factors[channel]!);
  constants.set(biasName, f32Tensor([channels], dividedBias));
}

function inputChannels({ kind, weights }: QuantisableLayer, length: number): (at: number) => number {
  if (kind === 'depthwise') {
    const inner = length / weights.dims[0]!;
    return (at) => Math.floor(at / inner);
  }
  const [, channels, rows, columns] = weights.dims as [number, number, number, number];
  return (at) => Math.floor(at / (rows * columns)) % channels;
}

function sizesOf(values: Float32Array, channelOf: (at: number) => number, channels: number): Float64Array {
  const sizes = new Float64Array(channels);
  for (const [at, value] of values.entries()) {
    const channel = channelOf(at);
    sizes[channel] = Math.max(sizes[channel]!, Math.abs(value));
  }
  return sizes;
}
