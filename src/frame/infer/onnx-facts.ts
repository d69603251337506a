import { MODEL_FILE, readGivenSync } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { EngineRequest } from '../../wire/protocol/threads.ts';
import { unavailable } from './inference-engine.ts';

/** What an engine needs to know about an ONNX file before a library loads it. */
export interface OnnxFacts {
  /** Names of the network's outputs, in the order of the file. */
  readonly outputs: readonly string[];
  /** Whether the network contains quantised operators (`QuantizeLinear` and similar). */
  readonly isQuantised: boolean;
}

/** Field numbers of `onnx.proto`. */
const GRAPH = 7;
const [NODE, OUTPUT] = [1, 12];
const OP_TYPE = 4;
const NAME = 1;
const TRUNCATED = 'the file ends in the middle of a field: it is truncated or not an ONNX file';
const QUANTISING = /^(?:Dynamic)?QuantizeLinear$|^QLinear|Integer$/;

/**
 * Reads output names and operators of an ONNX file. Walks the protobuf without reading the weights, so they cost nothing.
 *
 * @throws MODEL_INVALID if it cannot be read; RangeError for a file that is truncated or is not a protobuf.
 */
export function readOnnxFacts(path: string): OnnxFacts {
  const outputs: string[] = [];
  let isQuantised = false;
  for (const graph of fieldsOf(readGivenSync(path, MODEL_FILE), GRAPH)) {
    for (const output of fieldsOf(graph, OUTPUT)) outputs.push(...textsOf(output, NAME));
    for (const node of fieldsOf(graph, NODE)) isQuantised ||= textsOf(node, OP_TYPE).some((op) => QUANTISING.test(op));
  }
  return { outputs, isQuantised };
}

function textsOf(message: Buffer, wanted: number): string[] {
  return [...fieldsOf(message, wanted)].map((bytes) => bytes.toString('utf8'));
}

/** Yields the byte strings and messages of one field of a protobuf message. */
function* fieldsOf(message: Buffer, wanted: number): Generator<Buffer> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError(TRUNCATED);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (field === wanted) yield message.subarray(at, at + length);
      at += length;
    } else throw new RangeError(`wire type ${kind} at byte ${at}: this is not an ONNX file`);
  }
  if (at > message.length) throw new RangeError(TRUNCATED);
}

/**
 * Reads the facts of a model's file, and checks that the requested precision fits it: quantised files run in int8, and only those.
 *
 * @throws ENGINE_UNAVAILABLE
 */
export function checkedFacts(engine: string, { model, precision = 'auto' }: EngineRequest): OnnxFacts {
  let facts: OnnxFacts;
  try {
    facts = readOnnxFacts(model.path);
  } catch (error) {
    throw unavailable(engine, `cannot load ${model.path}: ${(error as Error).message}`, error);
  }
  requirePrecision(engine, model.spec.name, precision, facts.isQuantised);
  return facts;
}

/** @throws ENGINE_UNAVAILABLE for a quantised file that is to be computed in another number format, or the reverse. */
export function requirePrecision(engine: string, name: string, precision: string, isQuantised: boolean): void {
  if (precision === 'auto' || (precision === 'int8') === isQuantised) return;
  const why = isQuantised
    ? `${name} is quantised and computed in int8, received precision ${precision}; use auto or int8`
    : `${name} is not quantised, received precision int8. Use a manifest whose file was quantised to INT8 (operators ` +
      'QuantizeLinear and DequantizeLinear)';
  throw new SightlineError('ENGINE_UNAVAILABLE', `engine ${engine}: ${why}`, { precision });
}
