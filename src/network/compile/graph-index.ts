import { intOf, intsOf } from './attributes.ts';
import { f32Values, type Graph, type GraphNode, intValues, type Tensor } from './graph.ts';

/** Index of the producer and the consumers of each value of a graph. Created once per pass; immutable. */
export class GraphIndex {
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #outputs: ReadonlySet<string>;
  readonly #producers = new Map<string, GraphNode>();
  readonly #consumers = new Map<string, GraphNode[]>();

  constructor(graph: Graph) {
    this.#constants = graph.constants;
    this.#outputs = new Set(graph.outputs.map(({ name }) => name));
    for (const node of graph.nodes) {
      // An empty name is an omitted output or input: these do not belong together.
      for (const output of node.outputs) if (output !== '') this.#producers.set(output, node);
      for (const input of node.inputs) {
        if (input === '') continue;
        const consumers = this.#consumers.get(input);
        if (consumers === undefined) this.#consumers.set(input, [node]);
        else consumers.push(node);
      }
    }
  }

  producer(value: string | undefined): GraphNode | undefined {
    return this.#producers.get(value ?? '');
  }

  consumers(value: string): readonly GraphNode[] {
    return this.#consumers.get(value) ?? [];
  }

  /** Returns the only consumer of a value; undefined if there are several or none, or the value is an output of the graph. */
  soleConsumer(value: string): GraphNode | undefined {
    const consumers = this.consumers(value);
    return consumers.length === 1 && !this.#outputs.has(value) ? consumers[0] : undefined;
  }

  constant(name: string | undefined): Tensor | undefined {
    return this.#constants.get(name ?? '');
  }

  /** Returns the number in an f32 constant with one element; undefined for anything else. */
  scalar(name: string | undefined): number | undefined {
    const tensor = this.constant(name);
    if (tensor?.type !== 'f32' || tensor.bytes.length !== 4) return undefined;
    return f32Values(tensor, name!)[0];
  }

  /**
   * Splits the inputs of a binary operator into a scalar constant, with its number of axes, and the other input; undefined if
   * neither is a scalar constant.
   */
  scalarOperand(node: GraphNode): { scalar: number; rank: number; other: string } | undefined {
    for (const [index, input] of node.inputs.entries()) {
      const scalar = this.scalar(input);
      const other = node.inputs[1 - index];
      if (node.inputs.length === 2 && scalar !== undefined && other !== undefined) {
        return { scalar, rank: this.constant(input)!.dims.length, other };
      }
    }
    return undefined;
  }

  /** Returns the weights [out, in, 1, 1] of a pointwise (1x1) convolution; null for anything else. */
  pointwiseWeights(node: GraphNode | undefined): Tensor | null {
    const weights = node?.op === 'Conv' ? this.constant(node.inputs[1]) : undefined;
    if (node === undefined || weights?.type !== 'f32' || node.attributes.has('auto_pad')) return null;
    const isSingle = weights.dims.length === 4 && weights.dims[2] === 1 && weights.dims[3] === 1;
    const isPlain = intOf(node, 'group', 1) === 1 && intsOf(node, 'strides', [1, 1]).every((step) => step === 1);
    return isSingle && isPlain && intsOf(node, 'pads', [0, 0, 0, 0]).every((pad) => pad === 0) ? weights : null;
  }
}

/** Renames the values of nodes and the constants; inputs and outputs of the graph keep their names. */
export function renameValues(graph: Graph, rename: (name: string) => string): Graph {
  return {
    ...graph,
    constants: new Map(Array.from(graph.constants, ([name, tensor]) => [rename(name), tensor])),
    nodes: graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(rename),
      outputs: node.outputs.map(rename),
    })),
  };
}

/** Returns the shapes that reshapes take from constants, by the name of the constant. */
export function reshapeTargets({ nodes, constants }: Graph): Map<string, number[]> {
  const targets = new Map<string, number[]>();
  for (const { op, inputs } of nodes) {
    const [, name = ''] = inputs;
    const shape = op === 'Reshape' ? constants.get(name) : undefined;
    if (shape !== undefined) targets.set(name, intValues(shape, name));
  }
  return targets;
}

/** Removes nodes without consumers, and unused constants. */
export function removeUnused(graph: Graph): Graph {
  const wanted = new Set(graph.outputs.map(({ name }) => name));
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    nodes.push(node);
    for (const input of node.inputs) if (input !== '') wanted.add(input);
  }
  const constants = new Map([...graph.constants].filter(([name]) => wanted.has(name)));
  return { ...graph, nodes: nodes.reverse(), constants };
}
