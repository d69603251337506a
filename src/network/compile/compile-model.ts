import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CompiledModel, ModelSpec, Precision } from '../../base/core/model.ts';
import { checkArtefact, type HashedFile, removeArtefact } from '../../base/disk/artefact-hash.ts';
import { hashGiven, MODEL_FILE } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { type EngineName, factsOf, type NetworkForm } from '../../settings/config/engines.ts';
import type { BuildTarget } from './build-graph.ts';
import { type CompileJob, SAVED_MODEL_FILE } from './compile-job.ts';
import type { CompileSource } from './compile-source.ts';
import { compilerVersion } from './compiler-version.ts';
import { isBatchFreed, takesAnySize } from './network-input.ts';
import { unsupported } from './refusals.ts';
import type { SizePx } from './tfjs/lowering.ts';

export interface CompileOptions {
  readonly engine: EngineName;
  readonly precision: Precision;
  /** Input size, if different from the published one; an error for families that are not fully convolutional. */
  readonly inputSize?: SizePx | undefined;
  /** Execution provider of the `onnx` engine, device of the `openvino` engine; `cpu` if absent. */
  readonly provider?: string | undefined;
  /** Artefacts are cached here under their hash. */
  readonly cacheDir: string;
  /** Called for a cached artefact that is not used, because its content has changed; it is compiled again. */
  readonly onDamaged?: ((error: SightlineError) => void) | undefined;
  /** Compiles and writes an artefact that is not cached. If absent, this process compiles, which increases its memory. */
  readonly write?: ((job: CompileJob) => Promise<void>) | undefined;
}

/** Largest stride of the resizable families: every side must be a multiple of it. */
const SIZE_STEP_PX = 32;

/**
 * Compiles a network for an engine: to an ONNX file or a TensorFlow SavedModel that takes `frames` u8 NHWC, or returns the
 * published TFJS files. Artefacts are cached under a hash of the weights, the options and the compiler version.
 *
 * Throws COMPILE_UNSUPPORTED (operator, shape or precision), MODEL_INVALID (malformed weights), ENGINE_UNAVAILABLE (the
 * engine cannot run this family).
 */
export async function compileModel(source: CompileSource, options: CompileOptions): Promise<CompiledModel> {
  const { precision } = options;
  const { size, batch, target } = targetOf(source, options);
  const spec: ModelSpec = { ...source.spec, input: { ...source.spec.input, ...size } };
  const sources = await hashFiles(source);
  const digests = sources.map(({ sha256 }) => Buffer.from(sha256, 'hex'));
  const hash = hashOf(source, options, size, digests);
  const common = { spec, precision, hash };
  if (target === null) return { ...common, format: 'tfjs', path: source.weightPaths[0]!, batch, files: sources };
  const { format } = target;
  const name = `${source.spec.name}-${size.width}x${size.height}-${precision}-${hash.slice(0, 16)}.${format}`;
  const path = join(options.cacheDir, 'compiled', name);
  return { ...common, format, path, batch, files: [await artefactFor({ source, target, path }, format, options)] };
}

/** Reads a network as `compileModel` does, and writes nothing. Throws the same. */
export async function checkNetwork(source: CompileSource, options: Omit<CompileOptions, 'cacheDir'>): Promise<void> {
  const { target } = targetOf(source, options);
  if (target !== null) await (await import('./build-graph.ts')).buildGraph(source, target);
}

/** `target` is null if the published files are used as they are. Throws COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE. */
function targetOf(
  source: CompileSource,
  options: Omit<CompileOptions, 'cacheDir'>,
): Pick<BuildTarget, 'size' | 'batch'> & { readonly target: BuildTarget | null } {
  requireSupported(source, options);
  const { engine, precision } = options;
  const size = options.inputSize ?? { width: source.input.width, height: source.input.height };
  requireSize(source, size);
  const { format, ...form } = formOf(engine);
  if (format === 'tfjs') return { size, batch: 1, target: null };
  const isBatchFree = source.batch === 'free' || source.format === 'tfjs' || isBatchFreed(source.spec.family);
  const batch = isBatchFree ? 'free' : source.batch;
  return { size, batch, target: { ...form, format, size, batch, precision, isGated: isGated(source, options) } };
}

/** Finds an artefact in the cache, or compiles it. @throws MODEL_INTEGRITY if it does not stay as it was written. */
async function artefactFor(
  job: CompileJob,
  format: BuildTarget['format'],
  { write, onDamaged }: CompileOptions,
): Promise<HashedFile> {
  const { path } = job;
  const content = format === 'onnx' ? path : join(path, SAVED_MODEL_FILE);
  const { state, sha256 } = await checkArtefact(path, content);
  if (state === 'intact') return { path: content, sha256 };
  if (state === 'damaged')
    onDamaged?.(
      new SightlineError(
        'MODEL_INTEGRITY',
        `${path}: the compiled model has changed on the disk; it is compiled again`,
        {
          path,
        },
      ),
    );
  if (state !== 'missing') await removeArtefact(path);
  await (write ?? (await import('./write-artefact.ts')).writeArtefact)(job);
  const written = await checkArtefact(path, content);
  if (written.state === 'intact') return { path: content, sha256: written.sha256 };
  throw new SightlineError(
    'MODEL_INTEGRITY',
    `${path}: the compiled model is ${written.state} right after it was written; check the disk of the cache`,
    { path },
  );
}

/** An engine without a network is not compiled for. */
function formOf(engine: EngineName): NetworkForm {
  return factsOf(engine).network!;
}

function requireSupported(source: CompileSource, options: Omit<CompileOptions, 'cacheDir'>): void {
  const { name } = source.spec;
  const { engine } = options;
  if (factsOf(engine).choosesPrecision === true && options.precision !== 'f32') {
    throw unsupported(
      `${name}: a file for the ${engine} engine is f32, received ${options.precision}; the engine itself computes in another precision`,
    );
  }
  if (formOf(engine).format !== 'tfjs') return;
  if (options.precision !== 'f32') {
    throw unsupported(`${name}: the ${engine} engine computes in f32 only, received precision ${options.precision}`);
  }
  if (source.format !== 'tfjs') {
    throw new SightlineError(
      'ENGINE_UNAVAILABLE',
      `${name}: the ${engine} engine runs TensorFlow.js models only, and this one is published as ONNX; use --engine onnx or --model centernet`,
    );
  }
  if (options.inputSize !== undefined && !isSameSize(options.inputSize, source.input)) {
    throw unsupported(
      `${name}: the ${engine} engine runs the model as published, at ${source.input.width}x${source.input.height}; leave --input-size out or use --engine onnx`,
    );
  }
}

function requireSize(source: CompileSource, size: SizePx): void {
  if (isSameSize(size, source.input)) return;
  const { name, family } = source.spec;
  const requested = `${size.width}x${size.height}`;
  if (!takesAnySize(family, source.input)) {
    throw unsupported(
      `${name}: its outputs are laid out for ${source.input.width}x${source.input.height}; it cannot be compiled at ${requested}. ` +
        'Export it at that size, or with free axes',
    );
  }
  const isWhole = [size.width, size.height].every((side) => side > 0 && side % SIZE_STEP_PX === 0);
  if (isWhole) return;
  throw unsupported(
    `${name}: expected an input size whose sides are multiples of ${SIZE_STEP_PX}, received ${requested}`,
  );
}

/** Gates class scores on CPUs only: on a GPU, waiting for the number of passing cells costs more than scoring all cells. */
function isGated({ spec }: CompileSource, { engine, provider = 'cpu' }: Omit<CompileOptions, 'cacheDir'>): boolean {
  return spec.family === 'yolox' && formOf(engine).gatesClasses === true && provider === 'cpu';
}

function isSameSize(a: SizePx, b: SizePx): boolean {
  return a.width === b.width && a.height === b.height;
}

function hashOf(source: CompileSource, options: CompileOptions, size: SizePx, weights: readonly Buffer[]): string {
  const { format, input, outputs, batch } = source;
  const { engine, precision } = options;
  const { family } = source.spec;
  const hash = createHash('sha256');
  const what = [family, format, input, outputs, batch, engine, precision, size, isGated(source, options)];
  hash.update(JSON.stringify([compilerVersion(), ...what]));
  for (const digest of weights) hash.update(digest);
  return hash.digest('hex');
}

/** Hashes every file of a network, including the external data of ONNX files. */
async function hashFiles({ format, weightPaths }: CompileSource): Promise<HashedFile[]> {
  const paths = [...weightPaths];
  if (format === 'onnx') {
    const { externalPaths } = await import('./onnx/external-paths.ts');
    paths.push(...(await externalPaths(weightPaths[0]!)));
  }
  const files: HashedFile[] = [];
  // Hashed in parts: a whole file would stay in memory until the next garbage collection, which an idle process never runs.
  for (const path of paths) files.push({ path, sha256: await hashGiven(path, MODEL_FILE) });
  return files;
}
