import { type Attribute, ELEMENTS, type Graph, type GraphNode, type Tensor } from '../graph.ts';
import { castNode } from '../graph-builder.ts';
import { GraphIndex, removeUnused, renameValues } from '../graph-index.ts';
import { floatValues, HALF_MAX, toHalfTensor, widenTensor } from '../half.ts';
import { traceElements } from './trace-elements.ts';

/** Layers with weights: they take most of the time, and a GPU runs them in half on its tensor cores with f32 sums. */
const LAYERS: ReadonlySet<string> = new Set(['Conv', 'Gemm', 'MatMul']);

/** Operators that can run in half between two layers: each result depends on few numbers, so errors do not accumulate. */
const FOLLOWERS: ReadonlySet<string> = new Set([
  ...['Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'Tanh', 'Add', 'Sub', 'Mul', 'MaxPool', 'AveragePool', 'Resize'],
  ...['Concat', 'Split', 'Slice', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose', 'Pad', 'Identity'],
]);

/** Operators whose first input is the only data; the other inputs keep their type. */
const ONE_DATA_INPUT: ReadonlySet<string> = new Set(['Resize']);

/**
 * Converts the weights and the arithmetic of a network to half precision. The input stays u8, outputs stay f32.
 *
 * Layers with weights run in half, and so do the operators after them if all their inputs are half. These stay in f32:
 * - the tail after the last layer. It computes boxes, exponents and rankings and costs little, and a half represents whole numbers
 *   exactly only up to 2048;
 * - sums over many numbers, and divisions by them: means, norms, softmax;
 * - every other operator and its consumers except layers, for example sampling coordinates and the sampling itself;
 * - nodes with a constant beyond 65504, the largest half.
 *
 * Casts are inserted between the two, one per value. Weights are rounded to the nearest half, ties to even.
 */
export function toHalf(graph: Graph): Graph {
  return removeUnused(rewritten(graph, halfNodes(graph)));
}

/** Chooses the nodes that run in half, in topological order, because the choice depends on the nodes before. */
function halfNodes(graph: Graph): ReadonlySet<GraphNode> {
  const types = traceElements(graph);
  const index = new GraphIndex(graph);
  const beforeLayers = nodesBeforeLayers(graph, index);
  const half = new Set<GraphNode>();
  for (const node of graph.nodes) {
    const data = dataInputs(node).filter((name) => types.get(name) === 'f32');
    const weights = data.map((name) => graph.constants.get(name)).filter((tensor) => tensor !== undefined);
    if (data.length === 0 || types.get(node.outputs[0]!) !== 'f32' || !weights.every(fitsHalf)) continue;
    const values = data.filter((name) => !graph.constants.has(name));
    const isFollowing = FOLLOWERS.has(node.op) && values.length > 0 && values.every((name) => isHalf(name));
    if (isLayer(graph, node) || (beforeLayers.has(node) && isFollowing)) half.add(node);
  }
  return half;

  function isHalf(name: string): boolean {
    const producer = index.producer(name);
    return producer !== undefined && (half.has(producer) || isPicture(producer));
  }

  /** Levels of 0 to 255 are exact in half. */
  function isPicture(producer: GraphNode): boolean {
    return producer.op === 'Cast' && types.get(producer.inputs[0]!) === 'u8';
  }
}

/** A product of two computed matrices is not a layer; nor is one with a vector, which averages a distribution to a coordinate. */
function isLayer(graph: Graph, node: GraphNode): boolean {
  if (!LAYERS.has(node.op)) return false;
  return node.inputs.some((name) => (graph.constants.get(name)?.dims.length ?? 0) >= 2);
}

function fitsHalf(tensor: Tensor): boolean {
  return floatValues(tensor, 'weights').every((value) => Math.abs(value) <= HALF_MAX);
}

function nodesBeforeLayers(graph: Graph, index: GraphIndex): ReadonlySet<GraphNode> {
  const before = new Set<GraphNode>();
  for (const node of graph.nodes.toReversed()) {
    const consumers = node.outputs.flatMap((output) => index.consumers(output));
    if (consumers.some((consumer) => before.has(consumer) || isLayer(graph, consumer))) before.add(node);
  }
  return before;
}

function dataInputs(node: GraphNode): readonly string[] {
  return ONE_DATA_INPUT.has(node.op) ? node.inputs.slice(0, 1) : node.inputs;
}

/** Rewrites the chosen nodes. The half of a value `x` is always named `x/half`. */
function rewritten(graph: Graph, chosen: ReadonlySet<GraphNode>): Graph {
  const types = traceElements(graph);
  const index = new GraphIndex(graph);
  const nodes: GraphNode[] = [];
  const constants = new Map(graph.constants);
  /** Values in the new graph so far. */
  const made = new Set<string>();
  const write = (node: GraphNode): void => {
    nodes.push(node);
    for (const output of node.outputs) made.add(output);
  };
  /** Returns the name of a value in half; adds a cast if it only exists in f32. */
  const half = (name: string): string => {
    const ofHalf = halfName(name);
    const tensor = graph.constants.get(name);
    if (tensor !== undefined) {
      if (!constants.has(ofHalf)) constants.set(ofHalf, toHalfTensor(tensor, name));
    } else if (!made.has(ofHalf)) {
      const producer = index.producer(name);
      // A value that is itself a cast to f32 is cast from its source instead.
      write(castNode(producer?.op === 'Cast' ? producer.inputs[0]! : name, ofHalf, 'f16'));
    }
    return ofHalf;
  };
  /** Returns the name of a value in its own type; adds a cast if it only exists in half. */
  const full = (name: string): string => {
    if (made.has(halfName(name)) && !made.has(name)) write(castNode(halfName(name), name, 'f32'));
    return name;
  };
  for (const node of graph.nodes) {
    if (chosen.has(node)) {
      const data = new Set(dataInputs(node));
      const inputs = node.inputs.map((name) => (data.has(name) && types.get(name) === 'f32' ? half(name) : name));
      const outputs = node.outputs.map((name) => (types.get(name) === 'f32' ? halfName(name) : name));
      write({ ...node, inputs, outputs });
    } else write({ ...node, inputs: node.inputs.map(full) });
  }
  for (const { name } of graph.outputs) full(name);
  return { ...graph, nodes, constants };
}

function halfName(name: string): string {
  return `${name}/half`;
}

/**
 * Rounds the outputs of a widened network to half if they were f16 in the published one, or cast from f16. Then scores tie as they
 * do in the published network, and suppression keeps the same boxes.
 *
 * @param published - the network before `widenHalf`.
 * @param widened - the network after it.
 */
export function roundHalfOutputs(published: Graph, widened: Graph): Graph {
  if (published === widened) return widened;
  const types = traceElements(published);
  const index = new GraphIndex(published);
  const isHalf = (name: string): boolean => {
    const producer = index.producer(name);
    return types.get(name) === 'f16' || (producer?.op === 'Cast' && types.get(producer.inputs[0]!) === 'f16');
  };
  const halves = new Set(widened.outputs.map(({ name }) => name).filter(isHalf));
  const rename = (name: string) => (halves.has(name) ? `${name}/full` : name);
  const renamed = renameValues(widened, rename);
  const rounding = [...halves].flatMap((name) => [
    castNode(rename(name), `${name}/rounded`, 'f16'),
    castNode(`${name}/rounded`, name, 'f32'),
  ]);
  return { ...renamed, nodes: [...renamed.nodes, ...rounding] };
}

/** Attributes that set the element type of a result. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype', 'output_dtype']);

/**
 * Converts a network that was published in half precision to f32: weights, inputs, outputs and casts. Results are the same or more
 * exact, all other passes work on it, and `toHalf` can convert it back. (On CPUs ONNX Runtime computes halves in f32 too.)
 *
 * Returns a graph without halves unchanged.
 */
export function widenHalf(graph: Graph): Graph {
  const isHalf = ({ type }: { readonly type: string }) => type === 'f16';
  const castsToHalf = (node: GraphNode) =>
    node.domain === '' && [...node.attributes].some(([name, a]) => isToHalf(name, a));
  const values = [...graph.inputs, ...graph.outputs, ...graph.constants.values()];
  if (!values.some(isHalf) && !graph.nodes.some(castsToHalf)) return graph;
  const widen = <T extends { readonly type: Tensor['type'] }>(value: T): T =>
    isHalf(value) ? { ...value, type: 'f32' } : value;
  return {
    ...graph,
    inputs: graph.inputs.map(widen),
    outputs: graph.outputs.map(widen),
    constants: new Map(Array.from(graph.constants, ([name, tensor]) => [name, widenTensor(tensor)])),
    nodes: graph.nodes.map((node) => ({
      ...node,
      attributes: new Map(Array.from(node.attributes, ([name, value]) => [name, widenAttribute(node, name, value)])),
    })),
  };
}

function isToHalf(name: string, attribute: Attribute): boolean {
  return TYPE_ATTRIBUTES.has(name) && attribute.kind === 'int' && attribute.value === ELEMENTS.f16.onnx;
}

function widenAttribute({ domain }: GraphNode, name: string, attribute: Attribute): Attribute {
  if (attribute.kind === 'tensor') return { kind: 'tensor', value: widenTensor(attribute.value) };
  return domain === '' && isToHalf(name, attribute) ? { kind: 'int', value: ELEMENTS.f32.onnx } : attribute;
}
