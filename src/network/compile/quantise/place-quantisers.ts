import type { NetworkForm } from '../../../settings/config/engines.ts';
import { textOf } from '../attributes.ts';
import type { Graph, GraphNode } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';
import { traceElements } from '../passes/trace-elements.ts';
import { endOf, findLayers, type QuantisableLayer } from './layers.ts';

/**
 * How a library recognises the INT8 operators of a graph.
 * - `whole`: ONNX Runtime computes an operator in INT8 if all its inputs and its output are quantised.
 * - `inputs`: OpenVINO needs quantised inputs of layers, and fuses the operators that follow a layer into it.
 */
export type QuantiseStyle = NonNullable<NetworkForm['quantisers']>;

/** Which values of a graph are quantised, and which nodes read them as quantised. */
export interface QuantiserPlacement {
  /** Values that are followed by a pair of quantiser and dequantiser. */
  readonly values: ReadonlySet<string>;
  /** Bytes of the picture, which need no quantiser, by the f32 value that is cast from them. */
  readonly pictures: ReadonlyMap<string, string>;
  /** Returns whether a node reads the quantised form of its inputs; otherwise it reads the original values. */
  readonly isReader: (node: GraphNode) => boolean;
  /** For each value that needs a range: the values that share one, itself among them. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

/** Operators that only move or select numbers, so they can also move bytes. */
const MOVING: ReadonlySet<string> = new Set([
  ...['MaxPool', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose', 'Slice', 'Split', 'Resize'],
]);

/** Other operators that ONNX Runtime computes in INT8, if they are between INT8 layers. */
const ONE_INPUT: ReadonlySet<string> = new Set(['Sigmoid', 'LeakyRelu', 'AveragePool', 'GlobalAveragePool']);
const SEVERAL_INPUTS: ReadonlySet<string> = new Set(['Add', 'Mul', 'Concat']);

/** Decides where quantisers are inserted, so that the given layers are computed in INT8. */
export function placeQuantisers(
  graph: Graph,
  layers: readonly QuantisableLayer[],
  style: QuantiseStyle,
): QuantiserPlacement {
  return style === 'whole' ? placeWhole(graph, layers) : placeInputs(graph, layers);
}

/**
 * Finds the layers that can be INT8 for a library, and those that cannot: OpenVINO always computes a layer that reads the bytes of
 * the picture in float, and would only convert its INT8 weights back.
 */
export function layersFor(
  graph: Graph,
  style: QuantiseStyle,
): { readonly able: readonly QuantisableLayer[]; readonly unable: readonly QuantisableLayer[] } {
  const all = findLayers(graph);
  const { pictures } = placeQuantisers(graph, all, style);
  const isUnable = ({ input }: QuantisableLayer): boolean => style === 'inputs' && pictures.has(input);
  return { able: all.filter((layer) => !isUnable(layer)), unable: all.filter(isUnable) };
}

/** Returns the u8 value that an f32 value is cast from; null if it is not. */
function pictureBytes(index: GraphIndex, types: ReturnType<typeof traceElements>, value: string): string | null {
  const maker = index.producer(value);
  const bytes = maker?.op === 'Cast' ? maker.inputs[0]! : null;
  return bytes !== null && types.get(bytes) === 'u8' && types.get(value) === 'f32' ? bytes : null;
}

function isMoving(node: GraphNode): boolean {
  return MOVING.has(node.op) && (node.op !== 'Resize' || textOf(node, 'mode', 'nearest') === 'nearest');
}

/** Returns the inputs that hold computed numbers, not shapes or weights. */
function dataInputs(graph: Graph, node: GraphNode): string[] {
  const inputs = SEVERAL_INPUTS.has(node.op) ? node.inputs : node.inputs.slice(0, 1);
  return inputs.filter((name) => !graph.constants.has(name));
}

/** Values that share a range. */
class Groups {
  readonly #groups = new Map<string, Set<string>>();

  add(value: string): Set<string> {
    const group = this.#groups.get(value) ?? new Set([value]);
    this.#groups.set(value, group);
    return group;
  }

  join(a: string, b: string): void {
    const merged = new Set([...this.add(a), ...this.add(b)]);
    for (const value of merged) this.#groups.set(value, merged);
  }

  get all(): ReadonlyMap<string, readonly string[]> {
    return new Map(Array.from(this.#groups, ([value, group]) => [value, [...group]]));
  }
}

/** For ONNX Runtime: quantises the inputs and outputs of layers, and the values between them. */
function placeWhole(graph: Graph, layers: readonly QuantisableLayer[]): QuantiserPlacement {
  const index = new GraphIndex(graph);
  const types = traceElements(graph);
  const values = new Set<string>();
  const pictures = new Map<string, string>();
  const groups = new Groups();
  const add = (value: string): void => {
    values.add(value);
    groups.add(value);
  };
  for (const { input, node } of layers) {
    const bytes = pictureBytes(index, types, input);
    if (bytes === null) add(input);
    else pictures.set(input, bytes);
    add(endOf(index, node));
  }
  const useful = usefulNodes(graph, index, layers);
  for (const node of graph.nodes) {
    if (!useful.has(node) || types.get(node.outputs[0]!) !== 'f32') continue;
    const inputs = dataInputs(graph, node);
    const isOwn = inputs.some((name) => values.has(name)) && !inputs.some((name) => pictures.has(name));
    const isFollower = isMoving(node) || ONE_INPUT.has(node.op) || inputs.length === node.inputs.length;
    if (!isOwn || !isFollower) continue;
    for (const name of [...inputs, ...node.outputs]) add(name);
    if (isMoving(node)) for (const output of node.outputs) groups.join(inputs[0]!, output);
  }
  return { values, pictures, isReader: () => true, groups: groups.all };
}

/** Returns the nodes whose results reach an INT8 layer through nodes that can be INT8 as well. */
function usefulNodes(graph: Graph, index: GraphIndex, layers: readonly QuantisableLayer[]): ReadonlySet<GraphNode> {
  const own = new Set(layers.map(({ node }) => node));
  const useful = new Set<GraphNode>();
  for (const node of graph.nodes.toReversed()) {
    const readers = node.outputs.flatMap((output) => index.consumers(output));
    if (!readers.some((reader) => own.has(reader) || useful.has(reader))) continue;
    if (isMoving(node) || ONE_INPUT.has(node.op) || SEVERAL_INPUTS.has(node.op)) useful.add(node);
  }
  return useful;
}

/**
 * For OpenVINO: quantises the inputs of layers. If a concatenation or a similar node produces one, its inputs instead, so that it
 * moves bytes.
 */
function placeInputs(graph: Graph, layers: readonly QuantisableLayer[]): QuantiserPlacement {
  const index = new GraphIndex(graph);
  const types = traceElements(graph);
  const values = new Set<string>();
  const pictures = new Map<string, string>();
  const groups = new Groups();
  const readers = new Set(layers.map(({ node }) => node));
  const inputs = new Set(layers.map(({ input }) => input));
  // Backwards, because whether a node can move bytes depends on its consumers.
  for (const node of graph.nodes.toReversed()) {
    const { outputs } = node;
    if (!outputs.some((output) => inputs.has(output)) || !movesBytes(node)) continue;
    readers.add(node);
    for (const name of dataInputs(graph, node)) {
      inputs.add(name);
      for (const output of outputs) groups.join(name, output);
    }
    for (const output of outputs) inputs.delete(output);
  }
  for (const value of inputs) {
    const bytes = pictureBytes(index, types, value);
    if (bytes !== null) pictures.set(value, bytes);
    else {
      values.add(value);
      groups.add(value);
    }
  }
  return { values, pictures, isReader: (node) => readers.has(node), groups: groups.all };

  /** Returns whether a node can move bytes: it only moves numbers, and all its consumers take bytes. */
  function movesBytes(node: GraphNode): boolean {
    const data = dataInputs(graph, node);
    const isMover = isMoving(node) || (node.op === 'Concat' && data.length === node.inputs.length);
    if (!isMover || data.some((name) => types.get(name) !== 'f32')) return false;
    if (data.some((name) => pictureBytes(index, types, name) !== null)) return false;
    return node.outputs.every((output) => {
      const consumers = index.consumers(output);
      return consumers.length > 0 && consumers.every((reader) => readers.has(reader));
    });
  }
}
