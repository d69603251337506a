import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { f32Values, i64Tensor, intValues, type Tensor } from '../graph.ts';
import { GraphBuilder } from '../graph-builder.ts';
import { invalid } from '../refusals.ts';
import type { TfAttribute, TfGraph, TfNode } from './read-tfjs.ts';

/** Marks the batch dimension, whose size is unknown. */
export const FREE_BATCH = -1;

export interface SizePx {
  readonly width: number;
  readonly height: number;
}

/** A lowered value. */
export interface LoweredValue {
  readonly name: string;
  /** Shape in TensorFlow: rank 4 is N, H, W, C. In the emitted graph every rank-4 value is N, C, H, W. */
  readonly shape: readonly number[];
}

export type OperatorRule = (lowering: Lowering, node: TfNode) => LoweredValue;

/**
 * Converts a TensorFlow graph to ONNX operators, from an output back to the input.
 *
 * Layout: TensorFlow.js stores pictures as N, H, W, C and ONNX Runtime's convolutions require N, C, H, W. Every rank-4 value is
 * N, C, H, W from the first convolution to the last, and constants are transposed at compile time, so the graph contains no
 * transpose.
 */
export class Lowering {
  readonly builder = new GraphBuilder('');
  readonly graph: TfGraph;
  /** The input size to compile for. */
  readonly input: SizePx;
  /** The published input size; sizes inside the graph were computed for it. */
  readonly publishedInput: SizePx;
  readonly #rules: ReadonlyMap<string, OperatorRule>;
  readonly #values = new Map<string, LoweredValue>();

  constructor(graph: TfGraph, input: SizePx, published: SizePx, rules: ReadonlyMap<string, OperatorRule>) {
    this.graph = graph;
    this.input = input;
    this.publishedInput = published;
    this.#rules = rules;
  }

  /** Lowers the value of a reference once. Throws COMPILE_UNSUPPORTED for an operator without a rule. */
  value(reference: string): LoweredValue {
    const known = this.#values.get(reference);
    if (known !== undefined) return known;
    const node = this.node(reference);
    const rule = this.#rules.get(node.op);
    if (rule === undefined) throw this.unsupported(node, 'this operator is not supported');
    const value = rule(this, node);
    this.#values.set(reference, value);
    return value;
  }

  node(reference: string): TfNode {
    const node = this.graph.nodes.get(nodeName(reference));
    if (node === undefined) throw invalid(`the graph has no node ${reference}`);
    return node;
  }

  inputReference(node: TfNode, index: number): string {
    const reference = node.input?.[index];
    if (reference === undefined) throw this.unsupported(node, `it has no input ${index}`);
    return reference;
  }

  /** Returns the constant of a reference, following identities; undefined if it is computed at run time. */
  constant(reference: string): Tensor | undefined {
    const node = this.node(reference);
    if (node.op === 'Identity') return this.constant(this.inputReference(node, 0));
    return node.op === 'Const' ? this.graph.constants.get(node.name) : undefined;
  }

  floats(node: TfNode, index: number): { dims: readonly number[]; values: Float32Array } {
    const tensor = this.#constantInput(node, index);
    return { dims: tensor.dims, values: f32Values(tensor, node.name) };
  }

  integers(node: TfNode, index: number): number[] {
    return intValues(this.#constantInput(node, index), node.name);
  }

  attribute(node: TfNode, name: string): TfAttribute {
    return node.attr?.[name] ?? {};
  }

  text(node: TfNode, name: string): string {
    return decodeText(this.attribute(node, name).s ?? '');
  }

  texts(node: TfNode, name: string): string[] {
    return (this.attribute(node, name).list?.s ?? []).map(decodeText);
  }

  /** Returns the H and W entries of an N, H, W, C list such as `strides`. Throws if N or C is not 1. */
  spatialPair(node: TfNode, name: string): [number, number] {
    const list = (this.attribute(node, name).list?.i ?? [1, 1, 1, 1]).map(Number);
    if (list.length !== 4 || list[0] !== 1 || list[3] !== 1) throw this.unsupported(node, `${name} is [${list}]`);
    return [list[1]!, list[2]!];
  }

  constantValues(name: string, values: readonly number[]): string {
    return this.builder.constant(name, i64Tensor([values.length], values));
  }

  unsupported(node: TfNode, reason: string): SightlineError {
    return new SightlineError('COMPILE_UNSUPPORTED', `operator ${node.op} at node ${node.name}: ${reason}`, {
      operator: node.op,
      node: node.name,
    });
  }

  #constantInput(node: TfNode, index: number): Tensor {
    const tensor = this.constant(this.inputReference(node, index));
    if (tensor === undefined) throw this.unsupported(node, `input ${index} is not a constant`);
    return tensor;
  }
}

/** Returns the node of a reference: `^name` is a control dependency and `name:1` the second output of a node. */
function nodeName(reference: string): string {
  return reference.replace(/^\^/, '').replace(/:\d+$/, '');
}

function decodeText(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}
