import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { ElementType } from '../graph.ts';
import { ONNX_ELEMENT_TYPES } from '../onnx/emit-onnx.ts';
import { decodeOnnx, type OnnxGraph, type OnnxModel, type OnnxValueInfo } from '../onnx/onnx-schema.ts';
import { printable } from './printable.ts';

const ELEMENT_TYPES = new Map(Object.entries(ONNX_ELEMENT_TYPES).map(([type, code]) => [code, type as ElementType]));

/** An input or output as the file declares it. */
export interface Port {
  readonly name: string;
  /** Null for text, sequences and other types that no detector has. */
  readonly type: ElementType | null;
  /** A size, or the name of a free axis; null where the file states no shape. */
  readonly dims: readonly (number | string)[] | null;
}

/** What an ONNX file says of itself, without its weights. */
export interface Outline {
  /** As the user named it, for messages. */
  readonly path: string;
  /** Inputs that somebody must feed; initialisers that are listed as inputs are left out. */
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly metadata: ReadonlyMap<string, string>;
  /** Files beside this one that hold weights. */
  readonly dataFiles: readonly string[];
  /** Operator that makes the first output, and the one before it. */
  readonly lastOperators: readonly string[];
}

/**
 * Reads what an ONNX file declares: inputs, outputs, metadata.
 *
 * Throws MODEL_NOT_FOUND where the file cannot be read; MODEL_INVALID where it is no ONNX file, was cut off, or names
 * weights outside its folder. Messages are one line and quote nothing that cannot be printed.
 */
export async function readOutline(path: string): Promise<Outline> {
  const model = decode(await read(path), path);
  const { graph } = model;
  if (graph?.node === undefined || graph.node.length === 0)
    throw invalid(path, 'expected an ONNX model, received a file without a graph; it may be cut off');
  const constants = new Set((graph.initializer ?? []).map(({ name }) => name ?? ''));
  return {
    path,
    inputs: (graph.input ?? []).filter(({ name }) => !constants.has(name)).map(portOf),
    outputs: (graph.output ?? []).map(portOf),
    metadata: new Map((model.metadata_props ?? []).map(({ key, value }) => [key ?? '', value ?? ''])),
    dataFiles: dataFilesOf(graph, path),
    lastOperators: lastOperators(graph),
  };
}

/** Writes a port as `images f32 [1, 3, 640, 640]`. */
export function describePort({ name, type, dims }: Port): string {
  const shape = dims === null ? 'of unknown shape' : `[${dims.map((dim) => printable(`${dim}`)).join(', ')}]`;
  return `${printable(name)} ${type ?? 'of another type'} ${shape}`;
}

async function read(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: 'no such file',
      EISDIR: 'this is a folder',
      EACCES: 'permission denied',
      ERR_FS_FILE_TOO_LARGE: 'larger than 2 GiB, the most that an ONNX file can have',
    };
    const reason = reasons[code ?? ''] ?? message;
    throw new SightlineError('MODEL_NOT_FOUND', `${path}: the model cannot be read (${reason})`, { path });
  }
}

function decode(bytes: Uint8Array, path: string): OnnxModel {
  if (bytes.length === 0) throw invalid(path, 'expected an ONNX file, received an empty one');
  try {
    return decodeOnnx(bytes);
  } catch (error) {
    throw invalid(path, `expected an ONNX file, ${whatInstead(bytes)} (${printable((error as Error).message)})`);
  }
}

/** Names the usual mistakes by the first bytes of a file. */
function whatInstead(bytes: Uint8Array): string {
  const start = Buffer.from(bytes.subarray(0, 512)).toString('latin1');
  if (start.startsWith('version https://git-lfs'))
    return 'received a Git LFS pointer: fetch the file with git lfs pull';
  if (/^\s*(<!doctype|<html|<\?xml)/i.test(start)) return 'received a web page: the download failed';
  if (start.startsWith('PK\x03\x04')) return 'received a zip archive or a PyTorch file: export it to ONNX first';
  if (start.slice(4, 8) === 'TFL3') return 'received a TensorFlow Lite file: convert it to ONNX first';
  if (/^[\x20-\x7e\s]+$/.test(start)) return 'received text';
  return 'received bytes that are none, or a file that was cut off or damaged';
}

function portOf({ name, type }: OnnxValueInfo): Port {
  const tensor = type?.tensor_type;
  const dims = tensor?.shape?.dim?.map((dim, axis) =>
    Object.hasOwn(dim, 'dim_value') && Number(dim.dim_value) > 0
      ? Number(dim.dim_value)
      : dim.dim_param || `axis${axis}`,
  );
  return { name, type: ELEMENT_TYPES.get(tensor?.elem_type ?? 0) ?? null, dims: dims ?? null };
}

function dataFilesOf(graph: OnnxGraph, path: string): string[] {
  const files = new Set<string>();
  for (const tensor of graph.initializer ?? []) {
    if (tensor.data_location !== 1) continue;
    const location = tensor.external_data?.find(({ key }) => key === 'location')?.value ?? '';
    if (location === '' || location !== basename(location) || location.startsWith('.'))
      throw invalid(path, `expected weights in a file beside it, received the place "${printable(location)}"`);
    files.add(location);
  }
  return [...files];
}

function lastOperators({ node = [], output = [] }: OnnxGraph): string[] {
  const operators: string[] = [];
  let wanted = output[0]?.name;
  for (let step = 0; step < 2; step += 1) {
    const maker = node.find(({ output: made }) => wanted !== undefined && made?.includes(wanted));
    if (maker === undefined) break;
    operators.push(maker.op_type ?? '');
    wanted = maker.input?.[0];
  }
  return operators;
}

function invalid(path: string, problem: string): SightlineError {
  return new SightlineError('MODEL_INVALID', `${path}: ${problem}`, { path });
}
