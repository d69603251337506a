import protobuf from 'protobufjs';

/**
 * The messages of an ONNX file, written from the published field numbers of the format; see the ONNX specification for their
 * meaning. `proto2` distinguishes "absent" from "zero", so that reading and writing a file loses nothing.
 */
const SCHEMA = `
syntax = "proto2";
message StringStringEntry { optional string key = 1; optional string value = 2; }
message Attribute {
  optional string name = 1; optional string ref_attr_name = 21; optional string doc_string = 13; optional int32 type = 20;
  optional float f = 2; optional int64 i = 3; optional bytes s = 4; optional Tensor t = 5; optional Graph g = 6;
  optional SparseTensor sparse_tensor = 22; optional Type tp = 14;
  repeated float floats = 7; repeated int64 ints = 8; repeated bytes strings = 9; repeated Tensor tensors = 10;
  repeated Graph graphs = 11; repeated SparseTensor sparse_tensors = 23; repeated Type type_protos = 15;
}
message ValueInfo {
  optional string name = 1; optional Type type = 2; optional string doc_string = 3;
  repeated StringStringEntry metadata_props = 4;
}
message Node {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  repeated Attribute attribute = 5; optional string doc_string = 6; optional string domain = 7;
  optional string overload = 8; repeated StringStringEntry metadata_props = 9;
  repeated NodeDeviceConfiguration device_configurations = 10;
}
message IntIntListEntry { optional int64 key = 1; repeated int64 value = 2; }
message NodeDeviceConfiguration {
  optional string configuration_id = 1; repeated ShardingSpec sharding_spec = 2; optional int32 pipeline_stage = 3;
}
message ShardingSpec {
  optional string tensor_name = 1; repeated int64 device = 2;
  repeated IntIntListEntry index_to_device_group_map = 3; repeated ShardedDim sharded_dim = 4;
}
message ShardedDim { optional int64 axis = 1; repeated SimpleShardedDim simple_sharding = 2; }
message SimpleShardedDim {
  oneof dim { int64 dim_value = 1; string dim_param = 2; }
  optional int64 num_shards = 3;
}
message TrainingInfo {
  optional Graph initialization = 1; optional Graph algorithm = 2;
  repeated StringStringEntry initialization_binding = 3; repeated StringStringEntry update_binding = 4;
}
message Model {
  optional int64 ir_version = 1; repeated OperatorSetId opset_import = 8; optional string producer_name = 2;
  optional string producer_version = 3; optional string domain = 4; optional int64 model_version = 5;
  optional string doc_string = 6; optional Graph graph = 7; repeated StringStringEntry metadata_props = 14;
  repeated TrainingInfo training_info = 20; repeated Function functions = 25;
  repeated DeviceConfiguration configuration = 26;
}
message DeviceConfiguration { optional string name = 1; optional int32 num_devices = 2; repeated string device = 3; }
message TensorAnnotation {
  optional string tensor_name = 1; repeated StringStringEntry quant_parameter_tensor_names = 2;
}
message Graph {
  repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5;
  repeated SparseTensor sparse_initializer = 15; optional string doc_string = 10; repeated ValueInfo input = 11;
  repeated ValueInfo output = 12; repeated ValueInfo value_info = 13;
  repeated TensorAnnotation quantization_annotation = 14; repeated StringStringEntry metadata_props = 16;
}
message Segment { optional int64 begin = 1; optional int64 end = 2; }
message Tensor {
  repeated int64 dims = 1; optional int32 data_type = 2; optional Segment segment = 3;
  repeated float float_data = 4 [packed = true]; repeated int32 int32_data = 5 [packed = true];
  repeated bytes string_data = 6; repeated int64 int64_data = 7 [packed = true]; optional string name = 8;
  optional string doc_string = 12; optional bytes raw_data = 9; repeated StringStringEntry external_data = 13;
  optional int32 data_location = 14; repeated double double_data = 10 [packed = true];
  repeated uint64 uint64_data = 11 [packed = true]; repeated StringStringEntry metadata_props = 16;
}
message SparseTensor { optional Tensor values = 1; optional Tensor indices = 2; repeated int64 dims = 3; }
message TensorShape { repeated Dimension dim = 1; }
message Dimension {
  oneof value { int64 dim_value = 1; string dim_param = 2; }
  optional string denotation = 3;
}
message Type {
  oneof value {
    TensorType tensor_type = 1; SequenceType sequence_type = 4; MapType map_type = 5; OptionalType optional_type = 9;
    SparseTensorType sparse_tensor_type = 8; OpaqueType opaque_type = 7;
  }
  optional string denotation = 6;
}
message TensorType { optional int32 elem_type = 1; optional TensorShape shape = 2; }
message SequenceType { optional Type elem_type = 1; }
message MapType { optional int32 key_type = 1; optional Type value_type = 2; }
message OptionalType { optional Type elem_type = 1; }
message SparseTensorType { optional int32 elem_type = 1; optional TensorShape shape = 2; }
message OpaqueType { optional string domain = 1; optional string name = 2; }
message OperatorSetId { optional string domain = 1; optional int64 version = 2; }
message Function {
  optional string name = 1; repeated string input = 4; repeated string output = 5; repeated string attribute = 6;
  repeated Attribute attribute_proto = 11; repeated Node node = 7; optional string doc_string = 8;
  repeated OperatorSetId opset_import = 9; optional string domain = 10; optional string overload = 13;
  repeated ValueInfo value_info = 12; repeated StringStringEntry metadata_props = 14;
}
`;

/** A 64-bit integer of protobufjs: read as a `Long`, written as a `Long` or a number. */
type Int64 = number | { toNumber(): number };

export interface OnnxTensor {
  dims?: Int64[];
  data_type?: number;
  float_data?: number[];
  int32_data?: number[];
  int64_data?: Int64[];
  double_data?: number[];
  uint64_data?: Int64[];
  string_data?: Uint8Array[];
  external_data?: { key: string; value: string }[];
  data_location?: number;
  raw_data?: Uint8Array;
  name?: string;
}

interface OnnxAttribute {
  name: string;
  type?: number;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: OnnxTensor;
  floats?: number[];
  ints?: Int64[];
  strings?: Uint8Array[];
}

export interface OnnxNode {
  input?: string[];
  output?: string[];
  name?: string;
  op_type: string;
  domain?: string;
  attribute?: OnnxAttribute[];
}

interface OnnxValueInfo {
  name: string;
  type?: {
    tensor_type?: { elem_type?: number; shape?: { dim?: { dim_value?: Int64; dim_param?: string }[] } };
  };
}

export interface OnnxGraph {
  node?: OnnxNode[];
  name?: string;
  initializer?: OnnxTensor[];
  sparse_initializer?: unknown[];
  input?: OnnxValueInfo[];
  output?: OnnxValueInfo[];
  value_info?: OnnxValueInfo[];
}

export interface OnnxModel {
  ir_version?: Int64;
  opset_import?: { domain?: string; version?: Int64 }[];
  producer_name?: string;
  metadata_props?: { key?: string; value?: string }[];
  graph?: OnnxGraph;
  functions?: unknown[];
}

const modelType = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Model');

/** Decodes an ONNX file; missing fields are absent in the result. Throws an `Error` if the bytes are not a protobuf. */
export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  return modelType.decode(bytes) as unknown as OnnxModel;
}

/** Encodes an ONNX file. */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  return modelType.encode(model).finish();
}
