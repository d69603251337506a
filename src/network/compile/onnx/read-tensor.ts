import { ELEMENTS, type ElementType, type Tensor } from '../graph.ts';
import { invalid, unsupported } from '../refusals.ts';
import type { ExternalData, ExternalPlace } from './external-data.ts';
import { ELEMENT_TYPES } from './onnx-numbers.ts';
import type { WireReader } from './wire-reader.ts';

/** More axes than any operator supports. */
const MAX_AXES = 32;

/** Field numbers of a tensor. */
const FIELD = {
  dims: 1,
  type: 2,
  segment: 3,
  floats: 4,
  int32s: 5,
  int64s: 7,
  name: 8,
  raw: 9,
  doubles: 10,
  uint64s: 11,
  external: 13,
  location: 14,
} as const;

/** `data_location` of a tensor whose data is in another file. */
const EXTERNAL = 1;

interface Header {
  name: string;
  typeNumber: number;
  dims: number[];
  raw: Uint8Array | undefined;
  /** Keys and values of the external location. */
  external: Map<string, string> | undefined;
  isCut: boolean;
}

/**
 * Reads a constant. Its data must match its dimensions; memory is only allocated for data that exists.
 *
 * @param owner - describes the constant in messages, if it has no name.
 * @param external - reads data from other files; null if that is not supported.
 * Throws MODEL_INVALID, and COMPILE_UNSUPPORTED for an unsupported element type.
 */
export function readTensor(
  reader: WireReader,
  owner: string,
  external: ExternalData | null,
): { name: string; tensor: Tensor } {
  const header = readHeader(reader.again());
  const where = header.name === '' ? owner : `${owner} ${header.name}`;
  const type = ELEMENT_TYPES.get(header.typeNumber);
  if (type === undefined || header.isCut) {
    const problem = header.isCut ? 'is cut into segments' : `has element type ${header.typeNumber}`;
    throw unsupported(`${where} ${problem}, which is not supported`);
  }
  const count = countOf(header.dims, where);
  const wanted = count * ELEMENTS[type].bytes;
  const { name, dims } = header;
  if (header.external !== undefined) {
    if (external === null) throw unsupported(`${where} is in another file, which is not supported here`);
    return { name, tensor: { type, dims, bytes: external.read(placeOf(header.external, where), wanted, where) } };
  }
  const bytes = header.raw ?? listBytes(reader.again(), type, count, where);
  if (bytes.length !== wanted)
    throw invalid(where, `expected ${wanted} bytes for ${type} [${dims}], received ${bytes.length}`);
  return { name, tensor: { type, dims, bytes } };
}

/** Returns the external location of a tensor without reading its data, to find the files that a model needs. */
export function externalLocation(reader: WireReader): string | undefined {
  return readHeader(reader.again()).external?.get('location');
}

function readHeader(reader: WireReader): Header {
  const header: Header = { name: '', typeNumber: 0, dims: [], raw: undefined, external: undefined, isCut: false };
  const entries = new Map<string, string>();
  let location = 0;
  while (reader.next()) {
    if (reader.field === FIELD.dims) reader.integersInto(header.dims, MAX_AXES);
    else if (reader.field === FIELD.type) header.typeNumber = reader.integer();
    else if (reader.field === FIELD.name) header.name = reader.text();
    else if (reader.field === FIELD.location) location = reader.integer();
    else if (reader.field === FIELD.external) {
      const entry = reader.message();
      entries.set(entry.textAt(1), entry.textAt(2));
    } else if (reader.field === FIELD.raw) {
      const raw = reader.bytes();
      // Some exporters write empty raw data beside a list of numbers.
      if (raw.length > 0) header.raw = raw;
    } else {
      header.isCut ||= reader.field === FIELD.segment;
      reader.skip();
    }
  }
  if (location === EXTERNAL) header.external = entries;
  return header;
}

function placeOf(entries: ReadonlyMap<string, string>, where: string): ExternalPlace {
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
      throw invalid(where, `${key} of its data: expected a whole number, received ${JSON.stringify(text)}`);
    return value;
  };
  return { location: entries.get('location') ?? '', offset: number('offset') ?? 0, length: number('length') };
}

function countOf(dims: readonly number[], where: string): number {
  const bad = dims.find((dim) => dim < 0 || !Number.isSafeInteger(dim));
  if (bad !== undefined) throw invalid(where, `expected sizes of 0 or more, received [${dims}]`);
  // With an empty axis the constant is empty, so the other axes cannot overflow the product.
  const count = dims.includes(0) ? 0 : dims.reduce((product, dim) => product * dim, 1);
  if (!Number.isSafeInteger(count)) throw invalid(where, `expected sizes that can be held, received [${dims}]`);
  return count;
}

/** Reads a list of numbers, which exporters often write for small constants instead of raw bytes. */
function listBytes(reader: WireReader, type: ElementType, count: number, where: string): Uint8Array {
  // Each number takes at least one byte.
  if (count > reader.length)
    throw invalid(where, `expected ${count} numbers, received a constant of ${reader.length} bytes`);
  const width = ELEMENTS[type].bytes;
  const memory = new DataView(new ArrayBuffer(count * width));
  const field = listField(type);
  let filled = 0;
  const place = (): number => {
    filled += 1;
    if (filled > count) throw invalid(where, `expected ${count} numbers, received more`);
    return (filled - 1) * width;
  };
  while (reader.next()) {
    if (reader.field !== field) reader.skip();
    else if (type === 'f32')
      reader.eachFixed(4, (view, at) => memory.setUint32(place(), view.getUint32(at, true), true));
    else if (type === 'f64')
      reader.eachFixed(8, (view, at) => memory.setBigUint64(place(), view.getBigUint64(at, true), true));
    else reader.eachVarint((low, high) => setInteger(memory, place(), width, low, high));
  }
  if (filled !== count) throw invalid(where, `expected ${count} numbers, received ${filled}`);
  return new Uint8Array(memory.buffer);
}

function listField(type: ElementType): number {
  if (type === 'f32') return FIELD.floats;
  if (type === 'f64') return FIELD.doubles;
  if (type === 'i64') return FIELD.int64s;
  return type === 'u32' || type === 'u64' ? FIELD.uint64s : FIELD.int32s;
}

function setInteger(memory: DataView, at: number, width: number, low: number, high: number): void {
  if (width === 1) memory.setUint8(at, low & 0xff);
  else if (width === 2) memory.setUint16(at, low & 0xffff, true);
  else memory.setUint32(at, low, true);
  if (width === 8) memory.setInt32(at + 4, high, true);
}
