import { SightlineError } from '../../errors/sightline-error.ts';
import {
  type Attribute,
  f32Tensor,
  type Graph,
  type GraphNode,
  type GraphValue,
  i64Tensor,
  type Tensor,
} from '../graph.ts';
import { checkLayers } from './check-layers.ts';
import type { ExternalData } from './external-data.ts';
import { ELEMENT_TYPES, ONNX_ATTRIBUTE_TYPES } from './onnx-numbers.ts';
import { orderNodes } from './order-nodes.ts';
import { externalLocation, readTensor } from './read-tensor.ts';
import { MessageBudget, WireReader } from './wire-reader.ts';

const ATTRIBUTE_KINDS = new Map(
  Object.entries(ONNX_ATTRIBUTE_TYPES).map(([kind, code]) => [code, kind as Attribute['kind']]),
);

/** Field numbers of a model's graph, and of a graph's constants. */
const GRAPH_FIELD = 7;
const CONSTANT_FIELD = 5;

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
  const parts = readModel(bytes, where, external);
  if (parts.nodes.length === 0) {
    throw new SightlineError('MODEL_INVALID', `${where}: expected an ONNX model, received a file without any node`);
  }
  const opset = parts.opsets.get('');
  if (opset === undefined)
    throw new SightlineError('MODEL_INVALID', `${where}: expected the version of the operator set, received none`);
  const { name, constants, outputs } = parts;
  const nodes = withUniqueNames(liftConstants(parts.nodes, constants, where));
  const inputs = parts.inputs.filter((input) => !constants.has(input.name)).map(({ read }) => read());
  const domains = new Map([...parts.opsets].filter(([domain]) => domain !== ''));
  const graph = { name: name || 'graph', opset, domains, inputs, outputs, nodes, constants };
  checkLayers(graph, where);
  return { ...graph, nodes: orderNodes(graph, where) };
}

/**
 * Lists the external data files of an ONNX file, as written in the file, each once.
 *
 * Throws MODEL_INVALID if the bytes are not an ONNX file.
 */
export function externalFiles(bytes: Uint8Array, where: string): string[] {
  const locations = new Set<string>();
  const model = new WireReader(bytes, where);
  while (model.next()) {
    if (model.field !== GRAPH_FIELD) {
      model.skip();
      continue;
    }
    const graph = model.message();
    while (graph.next()) {
      const location = graph.field === CONSTANT_FIELD ? externalLocation(graph.message()) : undefined;
      if (graph.field !== CONSTANT_FIELD) graph.skip();
      if (location !== undefined) locations.add(location);
    }
  }
  return [...locations];
}

interface Parts {
  name: string;
  readonly opsets: Map<string, number>;
  readonly nodes: GraphNode[];
  readonly constants: Map<string, Tensor>;
  /** Read lazily: older files also list every constant as an input, and those may have an unsupported type. */
  readonly inputs: { readonly name: string; readonly read: () => GraphValue }[];
  readonly outputs: GraphValue[];
}

interface Context {
  readonly where: string;
  readonly budget: MessageBudget;
  readonly external: ExternalData | null;
}

function readModel(bytes: Uint8Array, where: string, external: ExternalData | null): Parts {
  const context = { where, budget: new MessageBudget(bytes.length, where), external };
  const parts: Parts = { name: '', opsets: new Map(), nodes: [], constants: new Map(), inputs: [], outputs: [] };
  const reader = new WireReader(bytes, where);
  while (reader.next()) {
    if (reader.field === GRAPH_FIELD) readGraph(reader.message(), parts, context);
    else if (reader.field === 8) {
      context.budget.take();
      readOpset(reader.message(), parts.opsets);
    } else {
      if (reader.field === 25) throw unsupported(where, 'model-local functions are not supported');
      reader.skip();
    }
  }
  return parts;
}

function readOpset(reader: WireReader, opsets: Map<string, number>): void {
  let [domain, version] = ['', 0];
  while (reader.next()) {
    if (reader.field === 1) domain = reader.text();
    else if (reader.field === 2) version = reader.integer();
    else reader.skip();
  }
  // Both are names of the standard operators.
  opsets.set(domain === 'ai.onnx' ? '' : domain, version);
}

function readGraph(reader: WireReader, parts: Parts, context: Context): void {
  const { where, budget, external } = context;
  while (reader.next()) {
    const { field } = reader;
    if (field === 1 || field === CONSTANT_FIELD || field === 11 || field === 12) budget.take();
    if (field === 1) parts.nodes.push(readNode(reader.message(), parts.nodes.length, context));
    else if (field === 2) parts.name = reader.text();
    else if (field === CONSTANT_FIELD) {
      const { name, tensor } = readTensor(reader.message(), `${where}: constant`, external);
      if (name === '' || parts.constants.has(name))
        throw invalid(where, `expected constants with unique names, received ${JSON.stringify(name)} twice or unnamed`);
      parts.constants.set(name, tensor);
    } else if (field === 11) {
      const message = reader.message();
      parts.inputs.push({ name: valueName(message.again()), read: () => readValue(message.again(), where) });
    } else if (field === 12) parts.outputs.push(readValue(reader.message(), where));
    else {
      if (field === 15) throw unsupported(where, 'sparse tensors are not supported');
      reader.skip();
    }
  }
}

function readNode(reader: WireReader, index: number, context: Context): GraphNode {
  const [inputs, outputs, attributes]: [string[], string[], WireReader[]] = [[], [], []];
  let [name, op, domain] = ['', '', ''];
  while (reader.next()) {
    const { field } = reader;
    if (field === 1 || field === 2 || field === 5) context.budget.take();
    if (field === 1) inputs.push(reader.text());
    else if (field === 2) outputs.push(reader.text());
    else if (field === 3) name = reader.text();
    else if (field === 4) op = reader.text();
    else if (field === 5) attributes.push(reader.message());
    else if (field === 7) domain = reader.text();
    else reader.skip();
  }
  if (op === '') throw invalid(context.where, `node ${name || index} has no operator`);
  name ||= `${op}_${index}`;
  const owner = `${context.where}: node ${name}`;
  domain = domain === 'ai.onnx' ? '' : domain;
  const read = attributes.map((attribute) => readAttribute(attribute, owner));
  return { op: domain === '' ? op : `${domain}:${op}`, name, domain, inputs, outputs, attributes: new Map(read) };
}

function readAttribute(reader: WireReader, owner: string): [string, Attribute] {
  let [name, type, int, float, text] = ['', 0, 0, 0, ''];
  const [ints, floats, strings]: [number[], number[], string[]] = [[], [], []];
  let tensor: WireReader | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.text();
        break;
      case 2:
        float = reader.float();
        break;
      case 3:
        int = reader.integer();
        break;
      case 4:
        text = reader.text();
        break;
      case 5:
        tensor = reader.message();
        break;
      case 7:
        reader.eachFixed(4, (view, at) => floats.push(view.getFloat32(at, true)));
        break;
      case 8:
        reader.integersInto(ints);
        break;
      case 9:
        strings.push(reader.text());
        break;
      case 20:
        type = reader.integer();
        break;
      default:
        reader.skip();
    }
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
  if (tensor === null) throw invalid(owner, `attribute ${name} is a tensor without a value`);
  return [name, { kind, value: readTensor(tensor, `${owner}: attribute ${name}`, null).tensor }];
}

/** Reads the name of an input or output. */
export function valueName(reader: WireReader): string {
  let name = '';
  while (reader.next()) {
    if (reader.field === 1) name = reader.text();
    else reader.skip();
  }
  return name;
}

/** Reads name, element type and dimensions of an input or output. */
export function readValue(reader: WireReader, where: string): GraphValue {
  const name = valueName(reader.again());
  const types = fieldOf(reader, 2);
  const tensor = types === null ? null : fieldOf(types, 1);
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

/** Returns the last message with this field number; null if there is none. */
function fieldOf(reader: WireReader, field: number): WireReader | null {
  let found: WireReader | null = null;
  while (reader.next()) {
    if (reader.field === field) found = reader.message();
    else reader.skip();
  }
  return found;
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

function invalid(where: string, what: string): SightlineError {
  return new SightlineError('MODEL_INVALID', `${where}: ${what}`);
}

function unsupported(where: string, what: string): SightlineError {
  return new SightlineError('COMPILE_UNSUPPORTED', `${where}: ${what}`);
}
