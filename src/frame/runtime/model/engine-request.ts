import type { CompiledModel } from '../../../base/core/model.ts';
import type { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { ModelRoots } from '../../../network/store/admit-model.ts';
import { modelSpec } from '../../../network/store/manifests.ts';
import type { BatchConfig } from '../../../settings/config/batch.ts';
import { type EngineName, factsOf } from '../../../settings/config/engines.ts';
import type { Environment } from '../../../settings/config/environment.ts';
import { type ModelConfig, parseInputSize } from '../../../settings/config/model-config.ts';
import type { EngineRequest } from '../../../wire/protocol/threads.ts';
import { kindOf } from '../../infer/engine-kinds.ts';
import { type DetectorRequest, fileSettings } from './detector-request.ts';
import { loadDetector } from './load-detector.ts';
import { prepareModel } from './prepare-model.ts';

export interface EngineOptions {
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  readonly environment: Environment;
  /** Called for a cached file that is not used, because its content has changed; by default `onNotice` gets its message. */
  readonly onDamaged?: ((error: SightlineError) => void) | undefined;
  /** See `DetectorPlaces`. */
  readonly modelRoots?: ModelRoots | undefined;
  /** Receives a sentence about what takes time or differs from the request. */
  readonly onNotice: (text: string) => void;
  /** Ends the preparations. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds, fetches and compiles the model that a configuration names, for one engine.
 *
 * @throws MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE
 */
export async function prepareEngine(options: EngineOptions, engine: EngineName): Promise<EngineRequest> {
  const { model, batch } = options;
  const target = await targetOf(options, engine);
  return {
    ...target,
    precision: model.precision,
    model: withOverrides(await compiledModel(options, target), model),
    maxBatch: batch.maxBatch,
    batchSizes: null,
    intraThreads: 1,
    fake: model.fake,
  };
}

/** An engine and the device it runs on. */
type Target = Pick<EngineRequest, 'engine' | 'provider' | 'openvinoLibrary'>;

/** @throws ENGINE_UNAVAILABLE if the engine's library is neither here nor to be fetched, or has no such device. */
async function targetOf({ model, environment, onNotice, signal }: EngineOptions, engine: EngineName): Promise<Target> {
  const provider = factsOf(engine).providers === null ? engine : model.provider;
  const options = { environment, provider: model.provider, isChosen: model.engine === 'auto', onNotice, signal };
  return { engine, provider, ...(await kindOf(engine).provide?.(options)) };
}

async function compiledModel(
  { model, environment, modelRoots, onNotice, onDamaged, signal }: EngineOptions,
  { engine, provider }: Target,
): Promise<CompiledModel> {
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  const { modelPath, cacheDir } = environment;
  const settings = fileSettings(model);
  const places = { searchPath: modelPath, cacheDir, modelRoots };
  if (factsOf(engine).network === null) return weightlessModel(model.name, { ...places, settings, inputSize });
  return prepareModel(model.name, {
    engine,
    precision: model.precision,
    inputSize,
    provider,
    ...places,
    onNotice,
    onDamaged,
    settings,
    signal,
  });
}

/** Replaces decoding settings of the manifest with those of the configuration. */
function withOverrides(compiled: CompiledModel, { classesPerBox }: ModelConfig): CompiledModel {
  return classesPerBox === undefined ? compiled : { ...compiled, spec: { ...compiled.spec, classesPerBox } };
}

/** An engine without a network needs a model's shape and classes, not its weights. */
async function weightlessModel(name: string, request: DetectorRequest): Promise<CompiledModel> {
  const spec = modelSpec(await loadDetector(name, request));
  const input = { ...spec.input, ...(request.inputSize ?? {}) };
  return { spec: { ...spec, input }, format: 'onnx', path: '', precision: 'f32', batch: 'free', hash: '' };
}
