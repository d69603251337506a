import { SightlineError } from '../../errors/sightline-error.ts';
import type { Attribute, ElementType, Graph, GraphNode, GraphValue, Tensor } from '../graph.ts';
import { ONNX_ATTRIBUTE_TYPES, ONNX_ELEMENT_TYPES } from './emit-onnx.ts';
import {
  decodeOnnx,
  type Int64,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from './onnx-schema.ts';

const ELEMENT_TYPES = new Map(Object.entries(ONNX_ELEMENT_TYPES).map(([type, code]) => [code, type as ElementType]));
const ATTRIBUTE_KINDS = new Map(
  Object.entries(ONNX_ATTRIBUTE_TYPES).map(([kind, code]) => [code, kind as Attribute['kind']]),
);

/**
 * Reads an ONNX file into a graph. Shapes of inner values are left behind: runtimes infer them, and they would be
 * wrong once a pass has freed the batch dimension.
 *
 * @param where - file name, for messages.
 * Throws MODEL_INVALID where the bytes are no ONNX file, COMPILE_UNSUPPORTED for what a graph here cannot hold
 * (control flow, sparse or external tensors, functions).
 */
export function importOnnx(bytes: Uint8Array, where: string): Graph {
  const model = decode(bytes, where);
  const graph = model.graph;
  if (graph?.node === undefined || graph.node.length === 0) {
    throw new SightlineError('MODEL_INVALID', `${where}: expected an ONNX model, received a file without any node`);
  }
  if ((model.functions?.length ?? 0) > 0 || (graph.sparse_initializer?.length ?? 0) > 0) {
    throw new SightlineError('COMPILE_UNSUPPORTED', `${where}: model-local functions and sparse tensors are unknown`);
  }
  const constants = new Map(
    (graph.initializer ?? []).map((tensor) => [tensor.name ?? '', importTensor(tensor, where)]),
  );
  const nodes: GraphNode[] = [];
  for (const [index, written] of graph.node.entries()) {
    const node = importNode(written, index, where);
    const value = node.op === 'Constant' ? node.attributes.get('value') : undefined;
    // Some exporters write weights as nodes; passes look for them among the constants.
    if (value?.kind === 'tensor') constants.set(node.outputs[0]!, value.value);
    else nodes.push(node);
  }
  const opset = model.opset_import?.find((entry) => (entry.domain ?? '') === '')?.version ?? 0;
  return {
    name: graph.name ?? 'graph',
    opset: Number(opset),
    inputs: (graph.input ?? []).filter((input) => !constants.has(input.name)).map((value) => importValue(value, where)),
    outputs: (graph.output ?? []).map((value) => importValue(value, where)),
    nodes,
    constants,
  };
}

function decode(bytes: Uint8Array, where: string): OnnxModel {
  try {
    return decodeOnnx(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SightlineError(
      'MODEL_INVALID',
      `${where}: expected an ONNX file, received bytes that are none (${reason})`,
    );
  }
}

function importNode(node: OnnxNode, index: number, where: string): GraphNode {
  const name = node.name || `${node.op_type}_${index}`;
  return {
    op: node.op_type,
    name,
    domain: node.domain ?? '',
    inputs: node.input ?? [],
    outputs: node.output ?? [],
    attributes: new Map((node.attribute ?? []).map((item) => [item.name, importAttribute(item, `${where}: ${name}`)])),
  };
}

function importAttribute(attribute: OnnxAttribute, where: string): Attribute {
  const kind = ATTRIBUTE_KINDS.get(attribute.type ?? 0);
  switch (kind) {
    case 'int':
      return { kind, value: Number(attribute.i ?? 0) };
    case 'float':
      return { kind, value: attribute.f ?? 0 };
    case 'string':
      return { kind, value: Buffer.from(attribute.s ?? []).toString() };
    case 'ints':
      return { kind, value: toNumbers(attribute.ints) };
    case 'floats':
      return { kind, value: attribute.floats ?? [] };
    case 'strings':
      return { kind, value: (attribute.strings ?? []).map((text) => Buffer.from(text).toString()) };
    case 'tensor':
      return { kind, value: importTensor(attribute.t ?? {}, where) };
    default:
      throw new SightlineError(
        'COMPILE_UNSUPPORTED',
        `${where}: attribute ${attribute.name} has type ${attribute.type}; graphs inside nodes are not supported`,
      );
  }
}

function importTensor(tensor: OnnxTensor, where: string): Tensor {
  const type = ELEMENT_TYPES.get(tensor.data_type ?? 0);
  if (type === undefined || tensor.data_location === 1) {
    const problem = type === undefined ? `element type ${tensor.data_type}` : 'data in another file';
    throw new SightlineError('COMPILE_UNSUPPORTED', `${where}: constant ${tensor.name ?? ''} has ${problem}`);
  }
  return { type, dims: toNumbers(tensor.dims), bytes: tensorBytes(tensor, type) };
}

/** Small constants are often written as lists of numbers in place of raw bytes. */
function tensorBytes(tensor: OnnxTensor, type: ElementType): Uint8Array {
  if ((tensor.raw_data?.length ?? 0) > 0) return tensor.raw_data!;
  switch (type) {
    case 'f32':
      return new Uint8Array(Float32Array.from(tensor.float_data ?? []).buffer);
    case 'f64':
      return new Uint8Array(Float64Array.from(tensor.double_data ?? []).buffer);
    case 'i64':
      return new Uint8Array(BigInt64Array.from(tensor.int64_data ?? [], toBigInt).buffer);
    case 'i32':
      return new Uint8Array(Int32Array.from(tensor.int32_data ?? []).buffer);
    case 'i16':
    case 'f16':
      return new Uint8Array(Uint16Array.from(tensor.int32_data ?? []).buffer);
    default:
      return Uint8Array.from(tensor.int32_data ?? []);
  }
}

function importValue(value: OnnxValueInfo, where: string): GraphValue {
  const tensor = value.type?.tensor_type;
  const type = ELEMENT_TYPES.get(tensor?.elem_type ?? 0);
  if (type === undefined) {
    throw new SightlineError('COMPILE_UNSUPPORTED', `${where}: ${value.name} is not a tensor of a known element type`);
  }
  const dims = (tensor?.shape?.dim ?? []).map((dim, axis) =>
    Object.hasOwn(dim, 'dim_value') ? Number(dim.dim_value) : dim.dim_param || `${value.name}_${axis}`,
  );
  return { name: value.name, type, dims };
}

/** Text keeps all 64 bits; a number would round the "to the end" of a slice. */
function toBigInt(value: Int64): bigint {
  return BigInt(value.toString());
}

function toNumbers(values: readonly Int64[] | undefined): number[] {
  return (values ?? []).map(Number);
}
