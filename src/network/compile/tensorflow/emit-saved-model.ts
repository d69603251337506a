import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { ElementType, Graph, GraphNode } from '../graph.ts';
import { unsupported } from '../refusals.ts';
import { BATCH, type Dim } from './dims.ts';
import { cast } from './elementwise.ts';
import { Emission, type KnownIntegers, plainValue, type Value } from './emission.ts';
import { EMISSION_RULES } from './emission-rules.ts';
import { tensorInfo } from './graph-def-builder.ts';
import { encodeSavedModel, type TensorInfo } from './graph-def-schema.ts';
import { foldIntegers } from './known-integers.ts';

/** Version of the graph's semantics: TensorFlow 2.9, the oldest version that must load it. */
const GRAPH_VERSION = 1087;
const TENSORFLOW_VERSION = '2.9.1';
/** Maximum size of a protobuf message. */
const MAX_BYTES = 2 ** 31 - 1;

/**
 * Encodes a graph as the `saved_model.pb` of a TensorFlow SavedModel: a frozen graph (weights are constants) with the tag `serve` and
 * the signature `serving_default`, which has the graph's inputs and outputs under their names. Outputs are f32 or i32.
 *
 * Throws COMPILE_UNSUPPORTED naming the operator and the node, or if the weights are too large for one file.
 */
export function emitSavedModel(graph: Graph): Uint8Array {
  const emission = new Emission(graph);
  const inputs: Record<string, TensorInfo> = {};
  for (const { name, type, dims } of graph.inputs) {
    const sizes = dims.map((dim): Dim => (typeof dim === 'number' ? dim : BATCH));
    const reference = emission.builder.placeholder(name, type, sizes);
    inputs[name] = tensorInfo(reference, type, sizes);
    emission.setResult(name, plainValue(reference, type, sizes));
  }
  for (const node of graph.nodes) {
    for (const [index, result] of emitNode(emission, node).entries()) {
      const name = node.outputs[index];
      if (name !== undefined) emission.setResult(name, result);
    }
  }
  const outputs: Record<string, TensorInfo> = {};
  for (const { name } of graph.outputs) outputs[name] = emitOutput(emission, name);
  return encode(emission, inputs, outputs);
}

function emitNode(emission: Emission, node: GraphNode): readonly (Value | KnownIntegers)[] {
  try {
    const known = foldIntegers(emission, node);
    if (known !== null) return [known];
    const rule = EMISSION_RULES.get(node.op);
    if (rule === undefined) throw emission.unsupported(node, 'this operator is not supported');
    return rule(emission, node);
  } catch (error) {
    // The rules assume that a node has valid inputs and sizes for its operator. If not, the file is malformed.
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    const message = `operator ${node.op} of node ${node.name} does not fit its inputs (${error.message})`;
    throw new SightlineError('MODEL_INVALID', message, { operator: node.op, node: node.name }, { cause: error });
  }
}

/** Converts an output to the axis order of the ONNX graph and to a type that JavaScript supports. */
function emitOutput(emission: Emission, name: string): TensorInfo {
  const value = emission.plain(emission.value(name));
  const types: Partial<Record<ElementType, ElementType>> = { i64: 'i32', f16: 'f32' };
  const typed = cast(emission, value, types[value.type] ?? value.type, `${name}/typed`);
  const reference = emission.builder.node('Identity', name, [typed.reference], { T: typed.type });
  return tensorInfo(reference, typed.type, typed.dims);
}

function encode(
  emission: Emission,
  inputs: Record<string, TensorInfo>,
  outputs: Record<string, TensorInfo>,
): Uint8Array {
  const weights = [...emission.graph.constants.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (weights > MAX_BYTES) {
    throw unsupported(`${weights} bytes of weights do not fit into one SavedModel file`);
  }
  const signature = { inputs, outputs, method_name: 'tensorflow/serving/predict' };
  return encodeSavedModel({
    saved_model_schema_version: 1,
    meta_graphs: [
      {
        meta_info_def: { tags: ['serve'], tensorflow_version: TENSORFLOW_VERSION },
        graph_def: { node: emission.builder.nodes, versions: { producer: GRAPH_VERSION, min_consumer: 0 } },
        signature_def: { serving_default: signature },
      },
    ],
  });
}
