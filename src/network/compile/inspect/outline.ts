import { MOST_BYTES, readGiven } from '../../../base/disk/given-file.ts';
import type { ErrorCode } from '../../../base/errors/error-codes.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { ElementType } from '../graph.ts';
import { readValue } from '../onnx/import-onnx.ts';
import { onnxParts } from '../onnx/onnx-parts.ts';
import type { WireReader } from '../onnx/wire-reader.ts';

/** Field numbers of a node. */
const NODE = { input: 1, output: 2, operator: 4 } as const;

/** An input or output as the file declares it. */
export interface Port {
  readonly name: string;
  /** Null for text, sequences and other types that no detector has. */
  readonly type: ElementType | null;
  /** Sizes, or names of free axes; null if the file states no shape. */
  readonly dims: readonly (number | string)[] | null;
  /** Of an output: the operator that computes its numbers; those that only rearrange them are passed over. */
  readonly operator?: string;
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
  /** Present if its 8-bit ranges are those of a whole batch (`DynamicQuantizeLinear`): what it finds in a picture depends on the others. */
  readonly rangesOfBatch?: true;
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
  if (bytes.length === 0) throw fault('MODEL_INVALID', { path }, 'expected an ONNX file, received an empty one');
  const parts = readParts(bytes, path);
  if (parts.nodes.length === 0) {
    const instead = whatInstead(bytes) ?? 'received one without a graph; it may be cut off';
    throw fault('MODEL_INVALID', { path }, `expected an ONNX file, ${instead}`);
  }
  return {
    path,
    inputs: parts.inputs.filter(({ name }) => !parts.constants.has(name)).map(({ port }) => port()),
    outputs: parts.outputs.map(({ name, port }) => withOperator(port(), computedBy(parts, name))),
    metadata: parts.metadata,
    lastOperators: lastOperators(parts),
    ...(hasDynamicRanges(parts) ? { rangesOfBatch: true } : {}),
  };
}

const MAX_CHARACTERS = 80;

/** Cleans text from a file for a one-line message: removes control characters and line breaks, and limits the length. */
export function printable(text: string): string {
  const clean = text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?');
  return clean.length > MAX_CHARACTERS ? `${clean.slice(0, MAX_CHARACTERS - 3)}...` : clean;
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
  readonly nodes: readonly WireReader[];
  readonly constants: ReadonlySet<string>;
  readonly inputs: readonly NamedPort[];
  readonly outputs: readonly NamedPort[];
  readonly metadata: ReadonlyMap<string, string>;
}

function readParts(bytes: Uint8Array, path: string): Parts {
  try {
    const { nodes, constants, inputs, outputs, metadata } = onnxParts(bytes, path);
    return {
      nodes,
      constants: new Set(constants.map((constant) => constant.textAt(8))),
      inputs: inputs.map((input) => namedPort(input, path)),
      outputs: outputs.map((output) => namedPort(output, path)),
      metadata: new Map(metadata.map((entry) => [entry.textAt(1), entry.textAt(2)])),
    };
  } catch (error) {
    const [, reason = 'its parts do not fit together'] = /\(([^()]*)\)$/.exec((error as Error).message) ?? [];
    const instead = whatInstead(bytes) ?? `received one that was cut off or damaged, or no ONNX at all (${reason})`;
    throw fault('MODEL_INVALID', { path }, `expected an ONNX file, ${instead}`);
  }
}

/** Reads the type lazily: older files also list every constant as an input, and those may have an unsupported type. */
function namedPort(message: WireReader, path: string): NamedPort {
  const name = message.textAt(1);
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

/** Operators that leave the numbers of an output as they are. */
const REARRANGING = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose', 'Identity', 'Cast']);
const MOST_REARRANGED = 8;

function computedBy({ nodes }: Parts, output: string): string | undefined {
  let wanted: string | undefined = output;
  for (let step = 0; step < MOST_REARRANGED && wanted !== undefined; step += 1) {
    const value: string = wanted;
    const producer = nodes.find((node) => makes(node.again(), value));
    const operator = producer?.again().textAt(NODE.operator);
    if (operator === undefined || !REARRANGING.has(operator)) return operator;
    wanted = firstInput(producer!.again());
  }
  return undefined;
}

function withOperator(port: Port, operator: string | undefined): Port {
  return operator === undefined ? port : { ...port, operator };
}

function lastOperators({ nodes, outputs }: Parts): string[] {
  const operators: string[] = [];
  let wanted = outputs[0]?.name;
  for (let step = 0; step < 2 && wanted !== undefined; step += 1) {
    const value: string = wanted;
    const producer = nodes.find((node) => makes(node.again(), value));
    if (producer === undefined) break;
    operators.push(producer.textAt(NODE.operator));
    wanted = firstInput(producer.again());
  }
  return operators;
}

function hasDynamicRanges({ nodes }: Parts): boolean {
  return nodes.some((node) => node.again().textAt(NODE.operator) === 'DynamicQuantizeLinear');
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

/** Makes the error of a file that is no detector, or is not understood. */
export function fault(code: ErrorCode, { path }: Pick<Outline, 'path'>, problem: string): SightlineError {
  return new SightlineError(code, `${path}: ${problem}`, { path });
}
