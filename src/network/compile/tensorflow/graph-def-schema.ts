import protobuf from 'protobufjs';

/**
 * The messages of a SavedModel that the compiler writes, with the published field numbers of the format. For their meaning see
 * TensorFlow's definitions (`saved_model.proto`, `meta_graph.proto`, `graph.proto`, `node_def.proto`, `attr_value.proto`,
 * `tensor.proto`).
 */
const SCHEMA = `
syntax = "proto3";
message SavedModel { int64 saved_model_schema_version = 1; repeated MetaGraph meta_graphs = 2; }
message MetaGraph { MetaInfo meta_info_def = 1; GraphDef graph_def = 2; map<string, Signature> signature_def = 5; }
message MetaInfo { repeated string tags = 4; string tensorflow_version = 5; bool stripped_default_attrs = 7; }
message Signature { map<string, TensorInfo> inputs = 1; map<string, TensorInfo> outputs = 2; string method_name = 3; }
message TensorInfo { string name = 1; int32 dtype = 2; TensorShape tensor_shape = 3; }
message GraphDef { repeated NodeDef node = 1; Versions versions = 4; }
message Versions { int32 producer = 1; int32 min_consumer = 2; }
message NodeDef { string name = 1; string op = 2; repeated string input = 3; map<string, AttrValue> attr = 5; }
message AttrValue {
  oneof value {
    AttrList list = 1; bytes s = 2; int64 i = 3; float f = 4; bool b = 5; int32 type = 6; TensorShape shape = 7;
    TensorValue tensor = 8;
  }
}
message AttrList { repeated int64 i = 3; }
message TensorShape { repeated TensorDim dim = 2; }
message TensorDim { int64 size = 1; }
message TensorValue { int32 dtype = 1; TensorShape tensor_shape = 2; bytes tensor_content = 4; }
`;

export interface TensorShape {
  readonly dim: readonly { readonly size: number }[];
}

/** Exactly one field is set. */
export interface AttrValue {
  readonly list?: { readonly i: readonly number[] };
  readonly s?: Uint8Array;
  readonly i?: number;
  readonly f?: number;
  readonly b?: boolean;
  readonly type?: number;
  readonly shape?: TensorShape;
  readonly tensor?: { readonly dtype: number; readonly tensor_shape: TensorShape; readonly tensor_content: Uint8Array };
}

export interface NodeDef {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr: Readonly<Record<string, AttrValue>>;
}

export interface TensorInfo {
  /** `node:output`. */
  readonly name: string;
  readonly dtype: number;
  readonly tensor_shape: TensorShape;
}

export interface SavedModel {
  readonly saved_model_schema_version: number;
  readonly meta_graphs: readonly {
    readonly meta_info_def: { readonly tags: readonly string[]; readonly tensorflow_version: string };
    readonly graph_def: {
      readonly node: readonly NodeDef[];
      readonly versions: { readonly producer: number; readonly min_consumer: number };
    };
    readonly signature_def: Readonly<
      Record<
        string,
        {
          readonly inputs: Readonly<Record<string, TensorInfo>>;
          readonly outputs: Readonly<Record<string, TensorInfo>>;
          readonly method_name: string;
        }
      >
    >;
  }[];
}

const savedModelType = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('SavedModel');

/** Encodes a `saved_model.pb`. */
export function encodeSavedModel(model: SavedModel): Uint8Array {
  return savedModelType.encode(model).finish();
}
