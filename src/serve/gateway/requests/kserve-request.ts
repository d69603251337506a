import { z } from 'zod';
import type { RawPicture } from '../../../base/core/picture.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import { nestingFault } from '../../../settings/config/nesting-fault.ts';
import { requirePicture } from './picture-bytes.ts';

/** Reading as many bytes of nested numbers takes 5 to 10 ms of the main thread, 4 MiB took 180; larger pictures come as binary data. */
const MAX_JSON_BYTES = 512 * 1024;
/** A picture is one row of rows of pixels. */
const MOST_NESTING = 2;

const flag = z.boolean().optional();

/** The JSON part of `POST /v2/models/NAME/infer`. */
export const inferRequest = z.object({
  id: z.string().max(256).optional(),
  parameters: z
    .looseObject({ timeout: z.int().min(0).optional().describe('Microseconds.'), binary_data_output: flag })
    .optional(),
  inputs: z
    .array(
      z.object({
        name: z.string(),
        shape: z.array(z.int().min(0)).max(8),
        datatype: z.string(),
        parameters: z.looseObject({ binary_data_size: z.int().min(0).optional() }).optional(),
        data: z.array(z.unknown()).optional(),
      }),
    )
    .length(1),
  outputs: z
    .array(z.object({ name: z.string(), parameters: z.looseObject({ binary_data: flag }).optional() }))
    .max(16)
    .optional(),
});
type InferInput = z.infer<typeof inferRequest>['inputs'][number];

/** What a model takes, as its metadata says it: one of the two. */
export const INPUTS = [
  { name: 'image', datatype: 'UINT8', shape: [-1, -1, 3] },
  { name: 'encoded', datatype: 'BYTES', shape: [1] },
] as const;

export interface InferRequest extends Pick<z.infer<typeof inferRequest>, 'id' | 'outputs'> {
  readonly picture: Uint8Array | RawPicture;
  /** Absent: none is named. */
  readonly timeoutMs: number | undefined;
  /** Of outputs that do not say it themselves. */
  readonly isBinary: boolean;
}

/**
 * Reads a request of KServe v2 with the extension for binary tensors.
 *
 * @param jsonBytes - the header `Inference-Header-Content-Length`; absent: the body is all JSON.
 * @throws PROTOCOL_INVALID, CONFIG_INVALID, SOURCE_UNREADABLE
 */
export function readInferRequest(body: Uint8Array, jsonBytes: string | undefined): InferRequest {
  const length = jsonLengthOf(body, jsonBytes);
  const json = jsonOf(body.subarray(0, length));
  const { id, outputs, parameters, inputs } = check(inferRequest, json, 'body');
  const picture = pictureOf(inputs[0]!, body.subarray(length));
  const { timeout = 0, binary_data_output: isBinary = false } = parameters ?? {};
  // Clients send 0 for none.
  return { id, outputs, picture, timeoutMs: timeout === 0 ? undefined : timeout / 1000, isBinary };
}

function jsonLengthOf(body: Uint8Array, stated: string | undefined): number {
  const name = 'Inference-Header-Content-Length';
  if (stated !== undefined && !(/^\d{1,10}$/.test(stated) && Number(stated) <= body.length))
    throw new SightlineError(
      'PROTOCOL_INVALID',
      `${name}: expected a number of bytes up to ${body.length}, received ${JSON.stringify(stated.slice(0, 80))}`,
    );
  const length = stated === undefined ? body.length : Number(stated);
  if (length <= MAX_JSON_BYTES) return length;
  throw new SightlineError(
    'SOURCE_TOO_LARGE',
    `body: expected at most ${MAX_JSON_BYTES} bytes of JSON, received ${length}; send the tensor as binary data, with ${name}`,
  );
}

function jsonOf(bytes: Uint8Array): unknown {
  const value = parsed(bytes);
  const what = nestingFault(value);
  if (what === null) return value;
  throw new SightlineError('PROTOCOL_INVALID', `body: expected a request of KServe, received ${what}`);
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (error) {
    throw new SightlineError(
      'PROTOCOL_INVALID',
      `body: expected JSON, received other text (${(error as Error).message})`,
    );
  }
}

function pictureOf(input: InferInput, binary: Uint8Array): InferRequest['picture'] {
  const { name, shape, datatype } = input;
  const spec = INPUTS.find((each) => each.name === name);
  if (spec === undefined) throw wrongInput('name', 'image or encoded', name);
  if (datatype !== spec.datatype) throw wrongInput('datatype', spec.datatype, datatype);
  const isShape = shape.length === spec.shape.length && spec.shape.every((size, i) => size === -1 || size === shape[i]);
  if (!isShape) throw wrongInput('shape', JSON.stringify(spec.shape), JSON.stringify(shape));
  const size = input.parameters?.binary_data_size;
  const isJson = size === undefined;
  if ((size ?? 0) !== binary.length)
    throw wrongInput('parameters.binary_data_size', `${binary.length}, as follow the JSON`, String(size ?? 'none'));
  if (isJson && input.data === undefined)
    throw wrongInput('data', 'values, or parameters.binary_data_size', 'neither; shared memory is not supported');
  if (name === 'encoded') return requirePicture(isJson ? ofBase64(input.data!) : onlyElement(binary));
  const [height, width] = shape as [number, number];
  const data = isJson ? ofNumbers(input.data!) : binary;
  const expected = height * width * 3;
  if (expected === 0 || data.length !== expected)
    throw wrongInput('data', `${expected} bytes for ${JSON.stringify(shape)}, at least one pixel`, String(data.length));
  return { data, width, height };
}

/** One pass without copies: `flat` and a search took ten times as long. */
function ofNumbers(data: readonly unknown[]): Uint8Array {
  const bytes = new Uint8Array(MAX_JSON_BYTES);
  let at = 0;
  const add = (values: readonly unknown[], nesting: number): void => {
    for (const value of values)
      if (typeof value === 'number' && (value & 255) === value) bytes[at++] = value;
      else if (Array.isArray(value) && nesting < MOST_NESTING) add(value, nesting + 1);
      else {
        const received = typeof value === 'number' ? String(value) : typeof value;
        throw wrongInput(`data[${at}]`, 'a whole number from 0 to 255', received);
      }
  };
  add(data, 0);
  return bytes.subarray(0, at);
}

function ofBase64(data: readonly unknown[]): Uint8Array {
  const [text] = data;
  if (data.length === 1 && typeof text === 'string' && /^[A-Za-z0-9+/]+=*$/.test(text))
    return Buffer.from(text, 'base64');
  throw wrongInput('data', 'one text, the picture in base64', `${data.length} values`);
}

/** Elements of BYTES follow their length, 4 bytes, least significant first. */
function onlyElement(binary: Uint8Array): Uint8Array {
  const stated = binary.length < 4 ? -1 : Buffer.from(binary.buffer, binary.byteOffset, 4).readUInt32LE();
  if (stated === binary.length - 4) return binary.subarray(4);
  throw wrongInput(
    'data',
    `4 bytes with the length ${Math.max(0, binary.length - 4)}, then the picture`,
    String(stated),
  );
}

function wrongInput(where: string, expected: string, received: string): SightlineError {
  return new SightlineError(
    'CONFIG_INVALID',
    `body.inputs[0].${where}: expected ${expected}, received ${received.slice(0, 80)}`,
  );
}
