import { ELEMENTS, type ElementType, type Tensor } from '../graph.ts';
import { type Dim, sizeOf } from './dims.ts';
import type { AttrValue, NodeDef, TensorInfo, TensorShape } from './graph-def-schema.ts';

/** Accepted attribute values: a number is an int, the name of an element type is that type, other text is bytes, a list is ints. */
export type AttributeInput = number | boolean | string | readonly number[] | { readonly float: number };

/** Builds the nodes of a TensorFlow graph. */
export class GraphDefBuilder {
  readonly nodes: NodeDef[] = [];
  readonly #names = new Set<string>();

  /** Adds a node and returns the reference of its first output; output i is `reference:i`. */
  node(op: string, name: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}): string {
    const attr = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, toAttrValue(value)]));
    return this.#add(op, name, inputs, attr);
  }

  constant(name: string, tensor: Tensor): string {
    const dtype = ELEMENTS[tensor.type].tensorflow;
    const value = { dtype, tensor_shape: shapeOf(tensor.dims), tensor_content: tensor.bytes };
    return this.#add('Const', name, [], { dtype: { type: dtype }, value: { tensor: value } });
  }

  placeholder(name: string, type: ElementType, dims: readonly Dim[]): string {
    return this.#add('Placeholder', name, [], {
      dtype: { type: ELEMENTS[type].tensorflow },
      shape: { shape: shapeOf(dims) },
    });
  }

  #add(op: string, name: string, input: readonly string[], attr: Record<string, AttrValue>): string {
    const unique = this.#unique(name);
    this.nodes.push({ name: unique, op, input, attr });
    return unique;
  }

  /** Makes a name legal: letters, digits and `_ . - / >`, starting with a letter, a digit or a dot. */
  #unique(name: string): string {
    const legal = name.replace(/[^\w.\-/>]/g, '_').replace(/^[^A-Za-z0-9.]+/, '') || 'node';
    let unique = legal;
    for (let copy = 2; this.#names.has(unique); copy += 1) unique = `${legal}.${copy}`;
    this.#names.add(unique);
    return unique;
  }
}

/** Creates a signature entry, which maps an input or output to a value of the graph. */
export function tensorInfo(reference: string, type: ElementType, dims: readonly Dim[]): TensorInfo {
  return { name: `${reference}:0`, dtype: ELEMENTS[type].tensorflow, tensor_shape: shapeOf(dims) };
}

function shapeOf(dims: readonly Dim[]): TensorShape {
  return { dim: dims.map((dim) => ({ size: sizeOf(dim) })) };
}

function toAttrValue(value: AttributeInput): AttrValue {
  if (typeof value === 'number') return { i: value };
  if (typeof value === 'boolean') return { b: value };
  if (typeof value === 'string')
    return isElementType(value) ? { type: ELEMENTS[value].tensorflow } : { s: Buffer.from(value) };
  if ('float' in value) return { f: value.float };
  return { list: { i: value } };
}

function isElementType(text: string): text is ElementType {
  return Object.hasOwn(ELEMENTS, text);
}
