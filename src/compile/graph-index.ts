import { f32Values, type Graph, type GraphNode, type Tensor } from './graph.ts';

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
