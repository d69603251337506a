import protobuf from 'protobufjs';
import { type Attribute, ELEMENTS, type Graph, type GraphValue, type Tensor } from '../graph.ts';
import { ONNX_ATTRIBUTE_TYPES } from './onnx-numbers.ts';

/** What the compiler writes of an ONNX file, with the published field numbers of the format; see the ONNX specification for their meaning. */
const SCHEMA = `
syntax = "proto2";
message Model {
  optional int64 ir_version = 1; repeated OperatorSetId opset_import = 8; optional string producer_name = 2;
  optional Graph graph = 7;
}
message OperatorSetId { optional string domain = 1; optional int64 version = 2; }
message Graph {
  repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5; repeated ValueInfo input = 11;
  repeated ValueInfo output = 12;
}
message Node {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  repeated Attribute attribute = 5; optional string domain = 7;
}
message Attribute {
  optional string name = 1; optional int32 type = 20; optional float f = 2; optional int64 i = 3; optional bytes s = 4;
  optional Tensor t = 5; repeated float floats = 7; repeated int64 ints = 8; repeated bytes strings = 9;
}
message Tensor {
  repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9;
}
message ValueInfo { optional string name = 1; optional Type type = 2; }
message Type { optional TensorType tensor_type = 1; }
message TensorType { optional int32 elem_type = 1; optional TensorShape shape = 2; }
message TensorShape { repeated Dimension dim = 1; }
message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } }
`;

const modelType = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Model');

/** Oldest file version that supports every operator set up to 17; runtimes refuse versions newer than they know. */
const IR_VERSION = 8;

/** Encodes a graph as an ONNX file. The bytes only depend on the graph, so their hash is reproducible. */
export function emitOnnx(graph: Graph): Uint8Array {
  const model = {
    ir_version: IR_VERSION,
    opset_import: Array.from([['', graph.opset] as const, ...(graph.domains ?? [])], ([domain, version]) => ({
      domain,
      version,
    })),
    producer_name: 'sightline',
    graph: {
      name: graph.name,
      node: graph.nodes.map((node) => ({
        input: [...node.inputs],
        output: [...node.outputs],
        name: node.name,
        op_type: node.domain === '' ? node.op : node.op.slice(node.domain.length + 1),
        domain: node.domain,
        attribute: Array.from(node.attributes, ([name, attribute]) => emitAttribute(name, attribute)),
      })),
      initializer: Array.from(graph.constants, ([name, tensor]) => emitTensor(name, tensor)),
      input: graph.inputs.map(emitValue),
      output: graph.outputs.map(emitValue),
    },
  };
  return modelType.encode(model).finish();
}

function emitValue(value: GraphValue): object {
  const dim = value.dims.map((size) => (typeof size === 'number' ? { dim_value: size } : { dim_param: size }));
  return { name: value.name, type: { tensor_type: { elem_type: ELEMENTS[value.type].onnx, shape: { dim } } } };
}

function emitTensor(name: string, tensor: Tensor): object {
  return { dims: [...tensor.dims], data_type: ELEMENTS[tensor.type].onnx, name, raw_data: tensor.bytes };
}

function emitAttribute(name: string, attribute: Attribute): object {
  const head = { name, type: ONNX_ATTRIBUTE_TYPES[attribute.kind] };
  switch (attribute.kind) {
    case 'int':
      return { ...head, i: attribute.value };
    case 'float':
      return { ...head, f: attribute.value };
    case 'string':
      return { ...head, s: Buffer.from(attribute.value) };
    case 'ints':
      return { ...head, ints: [...attribute.value] };
    case 'floats':
      return { ...head, floats: [...attribute.value] };
    case 'strings':
      return { ...head, strings: attribute.value.map((text) => Buffer.from(text)) };
    case 'tensor':
      return { ...head, t: emitTensor('', attribute.value) };
  }
}
