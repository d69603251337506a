import type { Detection } from '../../../base/core/detection.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { InferRequest } from './kserve-request.ts';
import type { DetectedPicture } from './request-port.ts';

interface OutputKind {
  readonly datatype: 'FP32' | 'INT32' | 'BYTES';
  /** Sizes of the dimensions behind the number of boxes. */
  readonly inner: readonly number[];
  valuesOf(detection: Detection): readonly (number | string)[];
}

const OUTPUTS: Readonly<Record<string, OutputKind>> = {
  /** x, y, width and height in pixels of the picture. */
  boxes: { datatype: 'FP32', inner: [4], valuesOf: ({ box }) => box },
  scores: { datatype: 'FP32', inner: [], valuesOf: ({ score }) => [score] },
  class_ids: { datatype: 'INT32', inner: [], valuesOf: ({ classId }) => [classId] },
  labels: { datatype: 'BYTES', inner: [], valuesOf: ({ label }) => [label] },
};

/** What a model gives, as its metadata says it. */
export const OUTPUT_METADATA = Object.entries(OUTPUTS).map(([name, { datatype, inner }]) => ({
  name,
  datatype,
  shape: [-1, ...inner],
}));

/** @throws CONFIG_INVALID for an output that there is not. Call it before the picture is inferred. */
export function requireOutputs({ outputs = [] }: InferRequest): void {
  for (const [i, { name }] of outputs.entries())
    if (!Object.hasOwn(OUTPUTS, name))
      throw new SightlineError(
        'CONFIG_INVALID',
        `body.outputs[${i}].name: expected one of ${Object.keys(OUTPUTS).join(', ')}, received ${JSON.stringify(name.slice(0, 80))}`,
      );
}

export interface InferReply {
  readonly body: Buffer;
  /** Bytes of JSON at the start of the body; null if it has no others. */
  readonly jsonBytes: number | null;
}

/** Makes the reply of KServe v2: tensors in JSON, and as binary data where the client wants them so. */
export function inferReply(model: string, request: InferRequest, found: DetectedPicture): InferReply {
  const { detections, width, height, warnings, isCached, version } = found;
  const binary: Buffer[] = [];
  const wanted: InferRequest['outputs'] = request.outputs?.length ? request.outputs : OUTPUT_METADATA;
  const outputs = wanted.map(({ name, parameters }) => {
    const { datatype, inner, valuesOf } = OUTPUTS[name]!;
    const values = detections.flatMap(valuesOf);
    const shape = [detections.length, ...inner];
    if (!(parameters?.binary_data ?? request.isBinary)) return { name, datatype, shape, data: values };
    const bytes = encoded(datatype, values);
    binary.push(bytes);
    return { name, datatype, shape, parameters: { binary_data_size: bytes.length } };
  });
  const warning = warnings.length === 0 ? {} : { warning: warnings.join('; ') };
  const head = Buffer.from(
    JSON.stringify({
      model_name: model,
      model_version: version,
      id: request.id,
      outputs,
      parameters: { width, height, cached: isCached, ...warning },
    }),
  );
  return { body: Buffer.concat([head, ...binary]), jsonBytes: binary.length === 0 ? null : head.length };
}

function encoded(datatype: OutputKind['datatype'], values: readonly (number | string)[]): Buffer {
  if (datatype === 'BYTES')
    return Buffer.concat(
      values.map((value) => {
        const text = Buffer.from(String(value));
        const length = Buffer.alloc(4);
        length.writeUInt32LE(text.length);
        return Buffer.concat([length, text]);
      }),
    );
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries())
    if (datatype === 'FP32') bytes.writeFloatLE(value as number, i * 4);
    else bytes.writeInt32LE(value as number, i * 4);
  return bytes;
}
