import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { CompiledModel, ModelSpec, Precision } from '../core/model.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { addFront } from './front.ts';
import type { Graph } from './graph.ts';
import { removeUnused } from './graph-index.ts';
import type { NetworkInput } from './network-input.ts';
import { emitOnnx } from './onnx/emit-onnx.ts';
import { importOnnx } from './onnx/import-onnx.ts';
import { freeBatch } from './passes/free-batch.ts';
import { optimise } from './passes/optimise.ts';
import { renameOutputs } from './passes/rename-outputs.ts';
import { replaceFocus } from './passes/replace-focus.ts';
import { importTfjs } from './tfjs/import-tfjs.ts';
import type { SizePx } from './tfjs/lowering.ts';
import { readTfjs } from './tfjs/read-tfjs.ts';

/** Part of every artefact's hash: raise it whenever the same source would give another file. */
const COMPILER_VERSION = 4;

/** A published network and what is known of it. Plain data; the weights are files on this machine. */
export interface CompileSource {
  /** At the size that the network was published at. */
  readonly spec: ModelSpec;
  readonly format: 'tfjs' | 'onnx';
  readonly input: NetworkInput;
  /** Name that the decode function uses -> name of the output in the published file. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Batch sizes that the published file takes. */
  readonly batch: 'free' | number;
  /** The model file first, then the files it needs. */
  readonly weightPaths: readonly string[];
}

export interface CompileOptions {
  readonly engine: 'onnx' | 'wasm' | 'tensorflow';
  readonly precision: Precision;
  /** Another input size than the published one; families that are not fully convolutional refuse it. */
  readonly inputSize?: SizePx | undefined;
  /** Artefacts are kept here under their hash. */
  readonly cacheDir: string;
}

/** Largest stride of the families whose size may be changed: every side must be a multiple of it. */
const SIZE_STEP_PX = 32;

/**
 * Makes a network loadable by an engine: an ONNX file that takes `frames` u8 NHWC, or the published TFJS files.
 * Artefacts are kept under a hash of the weights, the options and the version of the compiler; a second call reads
 * the cache.
 *
 * Throws COMPILE_UNSUPPORTED (operator, shape or precision), MODEL_INVALID (malformed weights), ENGINE_UNAVAILABLE (the
 * engine cannot run this family).
 */
export async function compileModel(source: CompileSource, options: CompileOptions): Promise<CompiledModel> {
  requireSupported(source, options);
  const size = options.inputSize ?? { width: source.input.width, height: source.input.height };
  requireSize(source, size);
  const spec: ModelSpec = { ...source.spec, input: { ...source.spec.input, ...size } };
  const weights = await Promise.all(source.weightPaths.map((path) => readFile(path)));
  const hash = hashOf(source, options, size, weights);
  const common = { spec, precision: options.precision, hash };
  if (options.engine === 'wasm') return { ...common, format: 'tfjs', path: source.weightPaths[0]!, batch: 1 };

  const batch =
    source.batch === 'free' || source.format === 'tfjs' || source.spec.family === 'yolox' ? 'free' : source.batch;
  const path = join(
    options.cacheDir,
    'compiled',
    `${source.spec.name}-${size.width}x${size.height}-${hash.slice(0, 16)}.onnx`,
  );
  if (!existsSync(path)) await writeWhole(path, emitOnnx(await buildGraph(source, size, batch)));
  return { ...common, format: 'onnx', path, batch };
}

/** Says which model a complaint of the compiler is about. */
async function buildGraph(source: CompileSource, size: SizePx, batch: 'free' | number): Promise<Graph> {
  try {
    return await rewrite(source, size, batch);
  } catch (error) {
    if (!(error instanceof SightlineError)) throw error;
    const details = { ...error.details, model: source.spec.name };
    throw new SightlineError(error.code, `model ${source.spec.name}: ${error.message}`, details, { cause: error });
  }
}

/** Imports, rewrites and fronts a network. */
async function rewrite(source: CompileSource, size: SizePx, batch: 'free' | number): Promise<Graph> {
  const published = { width: source.input.width, height: source.input.height };
  const [modelPath, ...dataPaths] = source.weightPaths as [string, ...string[]];
  let graph: Graph;
  let input: NetworkInput = { ...source.input, ...size };
  if (source.format === 'tfjs') {
    const output = Object.values(source.outputs)[0]!;
    graph = importTfjs(await readTfjs(modelPath, dataPaths), size, published, output);
    input = { ...input, tensor: graph.inputs[0]!.name, layout: 'nchw' };
  } else {
    graph = importOnnx(await readFile(modelPath), basename(modelPath));
    if (source.spec.family === 'yolox') graph = freeBatch(replaceFocus(graph, input.tensor));
  }
  const fronted = addFront(optimise(graph), input, batch === 'free' ? 'n' : batch);
  return removeUnused(renameOutputs(fronted, source.outputs, batch));
}

function requireSupported(source: CompileSource, options: CompileOptions): void {
  const { name } = source.spec;
  if (options.engine === 'tensorflow') {
    throw new SightlineError('COMPILE_UNSUPPORTED', `${name}: the compiler does not emit TensorFlow SavedModels yet`);
  }
  if (options.precision !== 'f32') {
    throw new SightlineError('COMPILE_UNSUPPORTED', `${name}: expected precision f32, received ${options.precision}`);
  }
  if (options.engine !== 'wasm') return;
  if (source.format !== 'tfjs') {
    throw new SightlineError(
      'ENGINE_UNAVAILABLE',
      `${name}: the wasm engine runs TensorFlow.js models only, and this one is published as ONNX; use --engine onnx or --model centernet`,
    );
  }
  if (options.inputSize !== undefined && !isSameSize(options.inputSize, source.input)) {
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `${name}: the wasm engine runs the model as published, at ${source.input.width}x${source.input.height}; leave --input-size out or use --engine onnx`,
    );
  }
}

function requireSize(source: CompileSource, size: SizePx): void {
  if (isSameSize(size, source.input)) return;
  const { name, family } = source.spec;
  const asked = `${size.width}x${size.height}`;
  if (family === 'deimv2') {
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `${name}: its queries are laid out for ${source.input.width}x${source.input.height}; it cannot be compiled at ${asked}`,
    );
  }
  const isWhole = [size.width, size.height].every((side) => side > 0 && side % SIZE_STEP_PX === 0);
  if (isWhole) return;
  throw new SightlineError(
    'COMPILE_UNSUPPORTED',
    `${name}: expected an input size whose sides are multiples of ${SIZE_STEP_PX}, received ${asked}`,
  );
}

function isSameSize(a: SizePx, b: SizePx): boolean {
  return a.width === b.width && a.height === b.height;
}

function hashOf(source: CompileSource, options: CompileOptions, size: SizePx, weights: readonly Buffer[]): string {
  const { format, input, outputs, batch } = source;
  const { engine, precision } = options;
  const { family } = source.spec;
  const hash = createHash('sha256');
  hash.update(JSON.stringify([COMPILER_VERSION, family, format, input, outputs, batch, engine, precision, size]));
  for (const bytes of weights) hash.update(createHash('sha256').update(bytes).digest());
  return hash.digest('hex');
}

/** Another process may compile the same model at the same time: a reader sees a whole file or none. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const temporary = `${path}.${process.pid}-${Math.random().toString(36).slice(2)}.tmp`;
  await writeFile(temporary, bytes);
  await rename(temporary, path);
}
