import type { CompiledModel, ComputePrecision, Precision } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { checkNetwork, compileModel } from '../../../network/compile/compile-model.ts';
import type { CompileSource } from '../../../network/compile/compile-source.ts';
import type { ModelRoots } from '../../../network/store/admit-model.ts';
import { findWeights } from '../../../network/store/find-weights.ts';
import { type Manifest, modelSpec } from '../../../network/store/manifests.ts';
import { findProvided } from '../../../network/store/packages/provide-package.ts';
import { type EngineName, factsOf } from '../../../settings/config/engines.ts';
import { type ModelConfig, parseInputSize } from '../../../settings/config/model-config.ts';
import { readOnnxFacts, requirePrecision } from '../../infer/onnx-facts.ts';
import { compileInChild } from './compile-in-child.ts';
import type { FileSettings } from './detector-request.ts';
import { loadDetector } from './load-detector.ts';
import { quantisedModel } from './quantised-artefact.ts';

export interface PrepareOptions {
  readonly engine: EngineName;
  /** Number format to compute in. */
  readonly precision: 'auto' | ComputePrecision;
  /** Input size in pixels, if not the published one. */
  readonly inputSize?: { readonly width: number; readonly height: number } | undefined;
  /** Execution provider of the `onnx` engine, device of the `openvino` engine; default `cpu`. */
  readonly provider?: string | undefined;
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  readonly onNotice: (text: string) => void;
  /** If false, weights are only looked for, never fetched. */
  readonly mayFetch?: boolean;
  /** Called for a cached file that is not used, because its content has changed; by default `onNotice` gets its message. */
  readonly onDamaged?: ((error: SightlineError) => void) | undefined;
  /** See `DetectorPlaces`. */
  readonly modelRoots?: ModelRoots | undefined;
  /** Settings for an ONNX file that add to the information in the file. */
  readonly settings?: FileSettings | undefined;
  /** Ends a download or a compilation. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Prepares a model for an engine: manifest, weights, compiled file. Fast if everything is cached.
 *
 * @param nameOrPath - see `loadDetector`.
 * Throws what `loadDetector` throws; MODEL_WEIGHTS_MISSING, MODEL_INTEGRITY, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE; the reason of the
 * signal.
 */
export async function prepareModel(nameOrPath: string, options: PrepareOptions): Promise<CompiledModel> {
  if (factsOf(options.engine).network === null)
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `--engine ${options.engine}: this engine does not use compiled models`,
    );
  // Also for the threads and processes that load the engine. Whether it is there shows when it is loaded.
  if (options.engine === 'tensorflow') findProvided('@tensorflow/tfjs-node-gpu', options.cacheDir);
  const manifest = await loadDetector(nameOrPath, options);
  const onDamaged = options.onDamaged ?? ((error) => options.onNotice(`${error.message} [${error.code}]`));
  const weightPaths = await findWeights(manifest, { ...options, onDamaged });
  const compiled = await compileModel(compileSource(manifest, weightPaths), {
    ...options,
    onDamaged,
    precision: filePrecision(options, manifest),
    write: (job) => compileInChild(job, options.signal),
  });
  return options.precision === 'int8' ? quantisedModel(compiled, options.engine, nameOrPath) : compiled;
}

/**
 * Checks that a detector fits its files as far as reading them tells, without compiling or loading it.
 *
 * @param model - settings; those of engine `fake` are not checked.
 * @throws MODEL_INVALID, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE
 */
export async function checkModel(
  manifest: Manifest,
  weightPaths: readonly string[],
  model: ModelConfig,
): Promise<void> {
  const { engine, precision, provider } = model;
  // What `auto` chooses is measured when it is loaded.
  const reader = engine === 'auto' ? 'onnx' : engine;
  if (factsOf(reader).network === null) return;
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  const options = { engine: reader, provider, inputSize };
  const ofFile = engine === 'auto' ? 'f32' : filePrecision({ engine, precision, provider }, manifest);
  await checkNetwork(compileSource(manifest, weightPaths), { ...options, precision: ofFile });
  // Whether an INT8 form was made of a float file is known where it is loaded.
  if (manifest.format === 'onnx' && precision !== 'auto' && precision !== 'int8')
    requirePrecision(engine, manifest.name, precision, readOnnxFacts(weightPaths[0]!).isQuantised);
}

/** Providers that compute f16 natively, at twice the rate of f32 or more. */
const CUDA_PROVIDERS: readonly (string | undefined)[] = ['cuda', 'tensorrt'];
/** `auto` computes in f16 where that was measured to cost no more AP than this. */
const MOST_F16_LOSS = 0.005;

/**
 * Number format of the file. OpenVINO chooses its own when it loads a file; other engines use that of the file.
 *
 * @throws ENGINE_UNAVAILABLE for a format that the engine does not compute.
 */
export function filePrecision(
  { engine, precision, provider }: Pick<PrepareOptions, 'engine' | 'precision' | 'provider'>,
  { reported }: Pick<Manifest, 'reported'>,
): Precision {
  const { choosesPrecision, precisions } = factsOf(engine);
  if (choosesPrecision === true) return 'f32';
  if (precision === 'auto') {
    const loss = reported?.f16Loss ?? Number.POSITIVE_INFINITY;
    return CUDA_PROVIDERS.includes(provider) && loss <= MOST_F16_LOSS ? 'f16' : 'f32';
  }
  // A quantised file is f32 with quantisation operators; the engine checks that it has them.
  if (precision === 'int8' && precisions.includes('int8')) return 'f32';
  if (precision === 'f32' || precision === 'f16') return precision;
  const others =
    precision === 'bf16' ? 'openvino, on a CPU that supports it' : 'openvino or onnx, with a quantised model';
  throw new SightlineError('ENGINE_UNAVAILABLE', `engine ${engine} does not compute in ${precision}; use ${others}`);
}

/** Converts a manifest to the compiler's input. */
export function compileSource(manifest: Manifest, weightPaths: readonly string[]): CompileSource {
  const { format, input, outputs, batch } = manifest;
  return { spec: modelSpec(manifest), format, input, outputs, batch, weightPaths };
}
