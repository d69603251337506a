import type { Graph, GraphNode, Tensor } from './graph.ts';
import { f32Values } from './graph.ts';

/** Who makes and who reads each value of a graph. Made once for each pass; holds no state of its own. */
export class GraphIndex {
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #outputs: ReadonlySet<string>;
  readonly #makers = new Map<string, GraphNode>();
  readonly #readers = new Map<string, GraphNode[]>();

  constructor(graph: Graph) {
    this.#constants = graph.constants;
    this.#outputs = new Set(graph.outputs.map(({ name }) => name));
    for (const node of graph.nodes) {
      for (const output of node.outputs) this.#makers.set(output, node);
      for (const input of node.inputs) {
        const readers = this.#readers.get(input);
        if (readers === undefined) this.#readers.set(input, [node]);
        else readers.push(node);
      }
    }
  }

  maker(value: string | undefined): GraphNode | undefined {
    return this.#makers.get(value ?? '');
  }

  readers(value: string): readonly GraphNode[] {
    return this.#readers.get(value) ?? [];
  }

  /** The node that alone reads a value; undefined where several do, none does, or the value is an output of the graph. */
  soleReader(value: string): GraphNode | undefined {
    const readers = this.readers(value);
    return readers.length === 1 && !this.#outputs.has(value) ? readers[0] : undefined;
  }

  constant(name: string | undefined): Tensor | undefined {
    return this.#constants.get(name ?? '');
  }

  /** The number that a constant of one element holds; undefined for anything else. */
  scalar(name: string | undefined): number | undefined {
    const tensor = this.constant(name);
    if (tensor?.type !== 'f32' || tensor.bytes.length !== 4) return undefined;
    return f32Values(tensor, name!)[0];
  }

  /**
   * Splits the inputs of a binary operator into the one scalar constant, with the number of its axes, and the other;
   * undefined where there is none.
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

/** Drops nodes whose outputs nobody reads, and constants that are left over. */
export function removeUnused(graph: Graph): Graph {
  const wanted = new Set(graph.outputs.map(({ name }) => name));
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    nodes.push(node);
    for (const input of node.inputs) wanted.add(input);
  }
  const constants = new Map([...graph.constants].filter(([name]) => wanted.has(name)));
  return { ...graph, nodes: nodes.reverse(), constants };
}
