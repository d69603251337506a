import type { Attribute, Graph, GraphValue, Tensor } from '../graph.ts';
import { ONNX_ATTRIBUTE_TYPES, ONNX_ELEMENT_TYPES } from './onnx-numbers.ts';
import { encodeOnnx, type OnnxAttribute, type OnnxTensor, type OnnxValueInfo } from './onnx-schema.ts';

/** Oldest file version that supports every operator set up to 17; runtimes refuse versions newer than they know. */
const IR_VERSION = 8;

/** Encodes a graph as an ONNX file. The bytes only depend on the graph, so their hash is reproducible. */
export function emitOnnx(graph: Graph): Uint8Array {
  return encodeOnnx({
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
  });
}

function emitValue(value: GraphValue): OnnxValueInfo {
  const dim = value.dims.map((size) => (typeof size === 'number' ? { dim_value: size } : { dim_param: size }));
  return { name: value.name, type: { tensor_type: { elem_type: ONNX_ELEMENT_TYPES[value.type], shape: { dim } } } };
}

function emitTensor(name: string, tensor: Tensor): OnnxTensor {
  return { dims: [...tensor.dims], data_type: ONNX_ELEMENT_TYPES[tensor.type], name, raw_data: tensor.bytes };
}

function emitAttribute(name: string, attribute: Attribute): OnnxAttribute {
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
