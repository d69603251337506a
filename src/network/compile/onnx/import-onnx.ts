import { intOf, intsOf } from '../attributes.ts';
import {
  type Attribute,
  f32Tensor,
  type Graph,
  type GraphNode,
  type GraphValue,
  i64Tensor,
  type Tensor,
} from '../graph.ts';
import { invalid, unsupported } from '../refusals.ts';
import type { ExternalData } from './external-data.ts';
import { ELEMENT_TYPES, ONNX_ATTRIBUTE_TYPES } from './onnx-numbers.ts';
import { type OnnxParts, onnxParts } from './onnx-parts.ts';
import { orderNodes } from './order-nodes.ts';
import { readTensor } from './read-tensor.ts';
import type { MessageBudget, WireReader } from './wire-reader.ts';

const ATTRIBUTE_KINDS = new Map(
  Object.entries(ONNX_ATTRIBUTE_TYPES).map(([kind, code]) => [code, kind as Attribute['kind']]),
);

/**
 * Imports an ONNX file. Shapes of inner values are dropped: runtimes infer them, and they would be wrong after a pass frees the
 * batch dimension. Nodes are sorted topologically; `Constant` nodes become constants.
 *
 * The file is untrusted: every length and size is checked before use, nothing is recursive, and memory is proportional to the file
 * size.
 *
 * @param where - file name, for messages.
 * @param external - reads constants from other files; if absent, such constants are errors.
 * Throws MODEL_INVALID, with the position, if the file is malformed; COMPILE_UNSUPPORTED for features that the graph does not
 * support (control flow, sparse tensors, functions, some element types).
 */
export function importOnnx(bytes: Uint8Array, where: string, external: ExternalData | null = null): Graph {
  const parts = onnxParts(bytes, where);
  if (parts.functions.length > 0) throw unsupported(where, 'model-local functions are not supported');
  if (parts.sparseConstants.length > 0) throw unsupported(where, 'sparse tensors are not supported');
  const read = parts.nodes.map((node, index) => readNode(node, index, parts.budget, where));
  const constants = readConstants(parts, where, external);
  const outputs = parts.outputs.map((output) => readValue(output, where));
  if (parts.nodes.length === 0) throw invalid(where, 'expected an ONNX model, received a file without any node');
  const opsets = new Map(parts.opsets.map(readOpset));
  const opset = opsets.get('');
  if (opset === undefined) throw invalid(where, 'expected the version of the operator set, received none');
  opsets.delete('');
  const nodes = withUniqueNames(liftConstants(read, constants, where));
  // Older files also list every constant as an input, and those may have an unsupported type.
  const own = parts.inputs.filter((input) => !constants.has(input.textAt(1)));
  const inputs = own.map((input) => readValue(input, where));
  const name = parts.graphs.map((graph) => graph.textAt(2)).findLast((text) => text !== '') ?? 'graph';
  const graph = { name, opset, domains: opsets, inputs, outputs, nodes, constants };
  checkLayers(graph, where);
  return { ...graph, nodes: orderNodes(graph, where) };
}

function readOpset(reader: WireReader): [domain: string, version: number] {
  const domain = reader.textAt(1);
  let version = 0;
  while (reader.next()) {
    if (reader.field === 2) version = reader.integer();
    else reader.skip();
  }
  // Both are names of the standard operators.
  return [domain === 'ai.onnx' ? '' : domain, version];
}

function readConstants(parts: OnnxParts, where: string, external: ExternalData | null): Map<string, Tensor> {
  const constants = new Map<string, Tensor>();
  for (const message of parts.constants) {
    const { name, tensor } = readTensor(message, `${where}: constant`, external);
    if (name === '' || constants.has(name))
      throw invalid(where, `expected constants with unique names, received ${JSON.stringify(name)} twice or unnamed`);
    constants.set(name, tensor);
  }
  return constants;
}

function readNode(reader: WireReader, index: number, budget: MessageBudget, where: string): GraphNode {
  const [inputs, outputs, attributes]: [string[], string[], WireReader[]] = [[], [], []];
  let [name, op, domain] = ['', '', ''];
  while (reader.next()) {
    const { field } = reader;
    if (field === 1 || field === 2 || field === 5) budget.take();
    if (field === 1) inputs.push(reader.text());
    else if (field === 2) outputs.push(reader.text());
    else if (field === 3) name = reader.text();
    else if (field === 4) op = reader.text();
    else if (field === 5) attributes.push(reader.message());
    else if (field === 7) domain = reader.text();
    else reader.skip();
  }
  if (op === '') throw invalid(where, `node ${name || index} has no operator`);
  name ||= `${op}_${index}`;
  const owner = `${where}: node ${name}`;
  domain = domain === 'ai.onnx' ? '' : domain;
  const read = attributes.map((attribute) => readAttribute(attribute, owner));
  return { op: domain === '' ? op : `${domain}:${op}`, name, domain, inputs, outputs, attributes: new Map(read) };
}

function readAttribute(reader: WireReader, owner: string): [string, Attribute] {
  let [name, type, int, float, text] = ['', 0, 0, 0, ''];
  const [ints, floats, strings]: [number[], number[], string[]] = [[], [], []];
  let tensor: WireReader | undefined;
  while (reader.next()) {
    const { field } = reader;
    if (field === 1) name = reader.text();
    else if (field === 2) float = reader.float();
    else if (field === 3) int = reader.integer();
    else if (field === 4) text = reader.text();
    else if (field === 5) tensor = reader.message();
    else if (field === 7) reader.eachFixed(4, (view, at) => floats.push(view.getFloat32(at, true)));
    else if (field === 8) reader.integersInto(ints);
    else if (field === 9) strings.push(reader.text());
    else if (field === 20) type = reader.integer();
    else reader.skip();
  }
  const kind = ATTRIBUTE_KINDS.get(type);
  if (kind === 'int') return [name, { kind, value: int }];
  if (kind === 'float') return [name, { kind, value: float }];
  if (kind === 'string') return [name, { kind, value: text }];
  if (kind === 'ints') return [name, { kind, value: ints }];
  if (kind === 'floats') return [name, { kind, value: floats }];
  if (kind === 'strings') return [name, { kind, value: strings }];
  if (kind === undefined)
    throw unsupported(owner, `attribute ${name} has type ${type}; graphs inside nodes are not supported`);
  if (tensor === undefined) throw invalid(owner, `attribute ${name} is a tensor without a value`);
  return [name, { kind, value: readTensor(tensor, `${owner}: attribute ${name}`, null).tensor }];
}

/** Reads name, element type and dimensions of an input or output. */
export function readValue(reader: WireReader, where: string): GraphValue {
  const name = reader.textAt(1);
  const tensor = reader.messageAt(2)?.messageAt(1);
  let typeNumber = 0;
  const dims: (number | string)[] = [];
  while (tensor?.next()) {
    if (tensor.field === 1) typeNumber = tensor.integer();
    else if (tensor.field === 2) readShape(tensor.message(), dims, `${where}: ${name}`, name);
    else tensor.skip();
  }
  const type = ELEMENT_TYPES.get(typeNumber);
  if (type === undefined) throw unsupported(where, `${name} is not a tensor of a known element type`);
  return { name, type, dims };
}

function readShape(reader: WireReader, dims: (number | string)[], owner: string, name: string): void {
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    // Without a size the axis is free: unnamed, named, or -1 from some exporters.
    let dim: number | string = `${name}_${dims.length}`;
    const message = reader.message();
    while (message.next()) {
      if (message.field === 1) {
        const size = message.integer();
        if (size >= 0) dim = size;
      } else if (message.field === 2) dim = message.text() || dim;
      else message.skip();
    }
    dims.push(dim);
    if (dims.length > 32) throw invalid(owner, 'expected at most 32 axes');
  }
}

/** Returns the value of a `Constant` node. */
function constantOf(node: GraphNode, where: string): Tensor {
  const [name, attribute] = [...node.attributes][0] ?? [];
  switch (attribute?.kind) {
    case 'tensor':
      return attribute.value;
    case 'int':
      return i64Tensor([], [attribute.value]);
    case 'ints':
      return i64Tensor([attribute.value.length], attribute.value);
    case 'float':
      return f32Tensor([], [attribute.value]);
    case 'floats':
      return f32Tensor([attribute.value.length], attribute.value);
    default:
      throw unsupported(`${where}: node ${node.name}`, `a constant given by ${name ?? 'nothing'} is not supported`);
  }
}

/** Removes `Constant` nodes from the list and adds their values to the constants. */
function liftConstants(nodes: readonly GraphNode[], constants: Map<string, Tensor>, where: string): GraphNode[] {
  return nodes.filter((node) => {
    if (node.op !== 'Constant') return true;
    const [output] = node.outputs;
    if (node.outputs.length !== 1 || !output || constants.has(output))
      throw invalid(
        where,
        `node ${node.name} makes ${node.outputs.join(', ') || 'nothing'}, expected one new constant`,
      );
    constants.set(output, constantOf(node, where));
    return false;
  });
}

/** Makes node names unique, because passes derive the names of new values from them. */
function withUniqueNames(nodes: readonly GraphNode[]): GraphNode[] {
  const taken = new Set<string>();
  return nodes.map((node, index) => {
    const name = taken.has(node.name) ? `${node.name}.${index}` : node.name;
    taken.add(name);
    return name === node.name ? node : { ...node, name };
  });
}

/**
 * Checks the layers whose weights are rewritten by passes: weights, bias, groups and windows of a convolution must be consistent.
 * Other errors in a graph are reported by the engine that loads it.
 *
 * Throws MODEL_INVALID, naming the node.
 */
function checkLayers(graph: Pick<Graph, 'nodes' | 'constants'>, where: string): void {
  for (const node of graph.nodes) {
    if (node.op !== 'Conv') continue;
    const problem = problemOf(
      node,
      graph.constants.get(node.inputs[1] ?? ''),
      graph.constants.get(node.inputs[2] ?? ''),
    );
    if (problem !== null) throw invalid(`${where}: convolution ${node.name}: ${problem}`);
  }
}

function problemOf(node: GraphNode, weights: Tensor | undefined, bias: Tensor | undefined): string | null {
  const group = intOf(node, 'group', 1);
  if (node.inputs.length < 2 || node.inputs.length > 3 || node.outputs.length !== 1)
    return `expected two or three inputs and one output, received ${node.inputs.length} and ${node.outputs.length}`;
  if (!Number.isSafeInteger(group) || group < 1) return `expected 1 group or more, received ${group}`;
  if (weights === undefined) return null;
  const { dims } = weights;
  if (dims.length < 3 || dims.includes(0)) return `expected weights [out, in, ...], received [${dims}]`;
  const [out, , ...kernel] = dims as [number, number, ...number[]];
  if (out % group !== 0) return `expected ${group} groups to share ${out} results evenly`;
  if (bias !== undefined && (bias.dims.length !== 1 || bias.dims[0] !== out))
    return `expected a bias of ${out} numbers, received [${bias.dims}]`;
  const stated = intsOf(node, 'kernel_shape', kernel);
  if (stated.length !== kernel.length || stated.some((size, axis) => size !== kernel[axis]))
    return `expected the kernel_shape [${kernel}] of its weights, received [${stated}]`;
  for (const [name, length, min] of WINDOWS) {
    const values = intsOf(node, name, new Array(length * kernel.length).fill(1));
    if (values.length !== length * kernel.length || values.some((value) => !Number.isSafeInteger(value) || value < min))
      return `expected ${length * kernel.length} ${name} of at least ${min}, received [${values}]`;
  }
  return null;
}

/** Attribute, numbers per axis, and their minimum. */
const WINDOWS = [
  ['strides', 1, 1],
  ['dilations', 1, 1],
  ['pads', 2, Number.MIN_SAFE_INTEGER],
] as const;
