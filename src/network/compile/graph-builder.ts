import {
  type Attribute,
  ELEMENTS,
  type ElementType,
  type Graph,
  type GraphNode,
  type GraphValue,
  type Tensor,
} from './graph.ts';

/** Accepted attribute values: a number is an int; a float is written as `{ float: 0.5 }`. */
export type AttributeInput = number | string | readonly number[] | { readonly float: number };

/** Builds a graph node by node; values are named after the node that produces them. */
export class GraphBuilder {
  readonly constants = new Map<string, Tensor>();
  readonly nodes: GraphNode[] = [];
  readonly #prefix: string;
  readonly #names = new Set<string>();

  /** @param prefix - of every name, so that new nodes cannot clash with those of an imported graph. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Adds a constant and returns its name. */
  constant(name: string, tensor: Tensor): string {
    const unique = this.#unique(name);
    this.constants.set(unique, tensor);
    return unique;
  }

  /** Adds a node with one output and returns the name of that output. */
  node(op: string, name: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}): string {
    return this.nodeWithOutputs(op, name, inputs, 1, attributes)[0]!;
  }

  /** Adds a node and returns the names of its outputs. */
  nodeWithOutputs(
    op: string,
    name: string,
    inputs: readonly string[],
    outputCount: number,
    attributes: Record<string, AttributeInput> = {},
  ): string[] {
    const unique = this.#unique(name);
    const outputs = Array.from({ length: outputCount }, (_, index) => (index === 0 ? unique : `${unique}:${index}`));
    const typed = new Map(Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)]));
    this.nodes.push({ op, name: unique, domain: '', inputs, outputs, attributes: typed });
    return outputs;
  }

  finish(graph: { name: string; opset: number; inputs: readonly GraphValue[]; outputs: readonly GraphValue[] }): Graph {
    return { ...graph, nodes: this.nodes, constants: this.constants };
  }

  #unique(name: string): string {
    let unique = `${this.#prefix}${name}`;
    for (let copy = 2; this.#names.has(unique); copy += 1) unique = `${this.#prefix}${name}.${copy}`;
    this.#names.add(unique);
    return unique;
  }
}

/** Makes a node that casts the value `from` to an element type, as the value `to`. */
export function castNode(from: string, to: string, type: ElementType): GraphNode {
  const attributes = new Map([['to', { kind: 'int', value: ELEMENTS[type].onnx } as const]]);
  return { op: 'Cast', name: `${to}/cast`, domain: '', inputs: [from], outputs: [to], attributes };
}

function toAttribute(value: AttributeInput): Attribute {
  if (typeof value === 'number') return { kind: 'int', value };
  if (typeof value === 'string') return { kind: 'string', value };
  if ('float' in value) return { kind: 'float', value: value.float };
  return { kind: 'ints', value };
}
