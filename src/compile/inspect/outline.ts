import { MOST_BYTES, readGiven } from '../../disk/given-file.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { ElementType } from '../graph.ts';
import { readValue, valueName } from '../onnx/import-onnx.ts';
import { MessageBudget, WireReader } from '../onnx/wire-reader.ts';
import { printable } from './printable.ts';

/** Field numbers. */
const MODEL = { graph: 7, metadata: 14 } as const;
const GRAPH = { node: 1, constant: 5, input: 11, output: 12 } as const;
const NODE = { input: 1, output: 2, operator: 4 } as const;
const CONSTANT_NAME = 8;

/** An input or output as the file declares it. */
export interface Port {
  readonly name: string;
  /** Null for text, sequences and other types that no detector has. */
  readonly type: ElementType | null;
  /** Sizes, or names of free axes; null if the file states no shape. */
  readonly dims: readonly (number | string)[] | null;
}

/** What an ONNX file declares, without its weights. */
export interface Outline {
  /** As the user wrote it, for messages. */
  readonly path: string;
  /** Inputs without a value in the file; initialisers that are listed as inputs are left out. */
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly metadata: ReadonlyMap<string, string>;
  /** Operator that produces the first output, and the one before it. */
  readonly lastOperators: readonly string[];
}

/**
 * Reads what an ONNX file declares: inputs, outputs, metadata. Does not read the weights.
 *
 * Throws MODEL_NOT_FOUND if the file cannot be read; MODEL_INVALID if it is not an ONNX file or is truncated. Messages are one line
 * and contain only printable characters.
 */
export async function readOutline(path: string): Promise<Outline> {
  const as = `${path}: the model cannot be read`;
  const bytes = await readGiven(path, { code: 'MODEL_NOT_FOUND', as, mostBytes: MOST_BYTES.model });
  if (bytes.length === 0) throw invalid(path, 'expected an ONNX file, received an empty one');
  const parts = readParts(bytes, path);
  if (parts.nodes.length === 0) {
    throw invalid(
      path,
      `expected an ONNX file, ${whatInstead(bytes) ?? 'received one without a graph; it may be cut off'}`,
    );
  }
  return {
    path,
    inputs: parts.inputs.filter(({ name }) => !parts.constants.has(name)).map(({ port }) => port()),
    outputs: parts.outputs.map(({ port }) => port()),
    metadata: parts.metadata,
    lastOperators: lastOperators(parts),
  };
}

/** Formats a port as `images f32 [1, 3, 640, 640]`. */
export function describePort({ name, type, dims }: Port): string {
  const shape = dims === null ? 'of unknown shape' : `[${dims.map((dim) => printable(`${dim}`)).join(', ')}]`;
  return `${printable(name)} ${type ?? 'of another type'} ${shape}`;
}

/** Recognises common mistakes by the first bytes of a file; null if it could be an ONNX file. */
function whatInstead(bytes: Uint8Array): string | null {
  const start = Buffer.from(bytes.subarray(0, 512)).toString('latin1');
  if (start.startsWith('version https://git-lfs'))
    return 'received a Git LFS pointer: fetch the file with git lfs pull';
  if (/^\s*(<!doctype|<html|<\?xml)/i.test(start)) return 'received a web page: the download failed';
  if (start.startsWith('PK\x03\x04')) return 'received a zip archive or a PyTorch file: export it to ONNX first';
  if (start.slice(4, 8) === 'TFL3') return 'received a TensorFlow Lite file: convert it to ONNX first';
  return /^[\x20-\x7e\s]+$/.test(start) ? 'received text' : null;
}

interface NamedPort {
  readonly name: string;
  readonly port: () => Port;
}

interface Parts {
  readonly nodes: WireReader[];
  readonly constants: Set<string>;
  readonly inputs: NamedPort[];
  readonly outputs: NamedPort[];
  readonly metadata: Map<string, string>;
}

function readParts(bytes: Uint8Array, path: string): Parts {
  const parts: Parts = { nodes: [], constants: new Set(), inputs: [], outputs: [], metadata: new Map() };
  const budget = new MessageBudget(bytes.length, path);
  try {
    const reader = new WireReader(bytes, path);
    while (reader.next()) {
      if (reader.field === MODEL.graph) readGraph(reader.message(), parts, budget, path);
      else if (reader.field === MODEL.metadata) {
        budget.take();
        const { 1: key = '', 2: value = '' } = textsOf(reader.message(), [1, 2]);
        parts.metadata.set(key, value);
      } else reader.skip();
    }
  } catch (error) {
    const [, reason = 'its parts do not fit together'] = /\(([^()]*)\)$/.exec((error as Error).message) ?? [];
    const instead = whatInstead(bytes) ?? `received one that was cut off or damaged, or no ONNX at all (${reason})`;
    throw invalid(path, `expected an ONNX file, ${instead}`);
  }
  return parts;
}

function readGraph(reader: WireReader, parts: Parts, budget: MessageBudget, path: string): void {
  while (reader.next()) {
    const { field } = reader;
    if (field !== GRAPH.node && field !== GRAPH.constant && field !== GRAPH.input && field !== GRAPH.output) {
      reader.skip();
      continue;
    }
    budget.take();
    const message = reader.message();
    if (field === GRAPH.node) parts.nodes.push(message);
    else if (field === GRAPH.constant) parts.constants.add(textsOf(message, [CONSTANT_NAME])[CONSTANT_NAME] ?? '');
    else (field === GRAPH.input ? parts.inputs : parts.outputs).push(namedPort(message, path));
  }
}

/** Reads the type lazily: older files also list every constant as an input, and those may have an unsupported type. */
function namedPort(message: WireReader, path: string): NamedPort {
  const name = valueName(message.again());
  return { name, port: () => portOf(message.again(), name, path) };
}

function portOf(message: WireReader, name: string, path: string): Port {
  try {
    const { type, dims } = readValue(message, path);
    // Some exporters write free axes as a size of 0 or less.
    return {
      name,
      type,
      dims: dims.length === 0 ? null : dims.map((dim, axis) => (Number(dim) <= 0 ? `axis${axis}` : dim)),
    };
  } catch (error) {
    if (error instanceof SightlineError && error.code === 'COMPILE_UNSUPPORTED')
      return { name, type: null, dims: null };
    throw error;
  }
}

/** Reads the text fields with these numbers; the last one of each wins. */
function textsOf(reader: WireReader, fields: readonly number[]): Partial<Record<number, string>> {
  const texts: Partial<Record<number, string>> = {};
  while (reader.next()) {
    if (fields.includes(reader.field)) texts[reader.field] = reader.text();
    else reader.skip();
  }
  return texts;
}

function lastOperators({ nodes, outputs }: Parts): string[] {
  const operators: string[] = [];
  let wanted = outputs[0]?.name;
  for (let step = 0; step < 2 && wanted !== undefined; step += 1) {
    const value: string = wanted;
    const producer = nodes.find((node) => makes(node.again(), value));
    if (producer === undefined) break;
    operators.push(textsOf(producer.again(), [NODE.operator])[NODE.operator] ?? '');
    wanted = firstInput(producer.again());
  }
  return operators;
}

function makes(node: WireReader, value: string): boolean {
  while (node.next()) {
    if (node.field === NODE.output && node.text() === value) return true;
    if (node.field !== NODE.output) node.skip();
  }
  return false;
}

function firstInput(node: WireReader): string | undefined {
  while (node.next()) {
    if (node.field === NODE.input) return node.text();
    node.skip();
  }
  return undefined;
}

function invalid(path: string, problem: string): SightlineError {
  return new SightlineError('MODEL_INVALID', `${path}: ${problem}`, { path });
}
