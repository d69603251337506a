import { readModel } from '../../../base/disk/given-file.ts';
import { ELEMENTS, elementCount, type Tensor } from '../graph.ts';
import { halfToFloat } from '../half.ts';
import { invalid, unsupported } from '../refusals.ts';

/** A node as written by the TensorFlow.js converter. Text attributes are base64. */
export interface TfNode {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, TfAttribute>>;
}

export interface TfAttribute {
  readonly s?: string;
  readonly i?: string | number;
  readonly f?: number;
  readonly b?: boolean;
  readonly list?: { readonly i?: readonly (string | number)[]; readonly s?: readonly string[] };
  readonly shape?: { readonly dim?: readonly { readonly size: string | number }[] };
}

export interface TfGraph {
  readonly nodes: ReadonlyMap<string, TfNode>;
  readonly constants: ReadonlyMap<string, Tensor>;
}

interface WeightEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string; readonly scale?: number; readonly min?: number };
}

interface ModelFile {
  readonly format?: string;
  readonly modelTopology?: { readonly node?: readonly TfNode[] };
  readonly weightsManifest?: readonly { readonly weights: readonly WeightEntry[] }[];
}

const SOURCE_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  uint8: 1,
  float16: 2,
  uint16: 2,
};

/**
 * Reads a TensorFlow.js graph model. Weights that were quantised for download are converted to f32.
 *
 * @param weightPaths - the binary files, in the order of the model file.
 * Throws MODEL_INVALID if the files are not a graph model or do not belong together.
 */
export async function readTfjs(modelPath: string, weightPaths: readonly string[]): Promise<TfGraph> {
  const model = parseModel((await readModel(modelPath)).toString('utf8'), modelPath);
  const binary = Buffer.concat(await Promise.all(weightPaths.map((path) => readModel(path))));
  const entries = (model.weightsManifest ?? []).flatMap((group) => group.weights);
  const sizes = entries.map((entry) => elementCount(entry.shape) * bytesOfElement(entry, modelPath));
  const expected = sizes.reduce((sum, size) => sum + size, 0);
  if (expected !== binary.length) {
    throw invalid(
      `${modelPath}: expected ${expected} bytes of weights, received ${binary.length}; do the files belong together?`,
    );
  }
  const constants = new Map<string, Tensor>();
  let offset = 0;
  for (const [i, entry] of entries.entries()) {
    const end = offset + sizes[i]!;
    constants.set(entry.name, readWeight(entry, Uint8Array.from(binary.subarray(offset, end))));
    offset = end;
  }
  return { nodes: new Map(model.modelTopology!.node!.map((node) => [node.name, node])), constants };
}

function parseModel(text: string, modelPath: string): ModelFile {
  let model: ModelFile;
  try {
    model = JSON.parse(text) as ModelFile;
  } catch {
    throw invalid(`${modelPath}: expected a TensorFlow.js model.json, received no JSON`);
  }
  if (!Array.isArray(model.modelTopology?.node)) {
    throw invalid(
      `${modelPath}: expected a TensorFlow.js graph model, received format ${JSON.stringify(model.format)}`,
    );
  }
  return model;
}

/** Returns the element type in the file. */
function storedType({ quantization, dtype }: WeightEntry): string {
  return quantization?.dtype ?? dtype;
}

function bytesOfElement(entry: WeightEntry, modelPath: string): number {
  const stored = storedType(entry);
  const bytes = SOURCE_BYTES[stored];
  if (bytes !== undefined) return bytes;
  throw unsupported(`${modelPath}: weight ${entry.name} has element type ${stored}`);
}

function readWeight(entry: WeightEntry, bytes: Uint8Array<ArrayBuffer>): Tensor {
  const dims = entry.shape;
  const stored = storedType(entry);
  if (entry.quantization === undefined) {
    const type = entry.dtype === 'float32' ? 'f32' : entry.dtype === 'int32' ? 'i32' : 'bool';
    return { type, dims, bytes };
  }
  const values = new Float32Array(bytes.length / SOURCE_BYTES[stored]!);
  if (stored === 'float16') {
    const halves = new Uint16Array(bytes.buffer);
    for (let i = 0; i < values.length; i += 1) values[i] = halfToFloat(halves[i]!);
  } else {
    const levels = stored === 'uint8' ? bytes : new Uint16Array(bytes.buffer);
    const { scale = 1, min = 0 } = entry.quantization;
    for (let i = 0; i < values.length; i += 1) values[i] = levels[i]! * scale + min;
  }
  if (entry.dtype !== 'int32') return { type: 'f32', dims, bytes: new Uint8Array(values.buffer) };
  const whole = new Uint8Array(values.length * ELEMENTS.i32.bytes);
  new Int32Array(whole.buffer).set(values.map(Math.round));
  return { type: 'i32', dims, bytes: whole };
}
