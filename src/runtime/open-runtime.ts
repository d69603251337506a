import { availableParallelism } from 'node:os';
import type { BatchConfig } from '../config/batch.ts';
import type { PreviewConfig } from '../config/gateway.ts';
import { type ModelConfig, parseInputSize } from '../config/model.ts';
import type { CompiledModel } from '../core/model.ts';
import { findFfmpeg } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { EngineRequest } from '../protocol/threads.ts';
import { modelSpec } from '../store/manifests.ts';
import { findBindingPlace, readSetupRecord } from '../store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../store/tensorflow/nvidia-driver.ts';
import { Incidents } from '../telemetry/incidents.ts';
import type { Environment } from './environment.ts';
import { type DetectorRequest, fileSettings, loadDetector } from './load-detector.ts';
import { prepareModel } from './prepare-model.ts';
import type { ResultSinks } from './result-sinks.ts';
import { Runtime } from './runtime.ts';

export interface OpenOptions {
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  readonly preview: PreviewConfig;
  readonly lanes?: number | undefined;
  readonly sinks: ResultSinks;
  readonly environment: Environment;
  /** Is told in a sentence what takes time or is not as asked for. */
  readonly onNotice: (text: string) => void;
  /** Counts exceptions of listeners; absent, they are notices. */
  readonly incidents?: Incidents | undefined;
}

type EngineName = EngineRequest['engine'];

/**
 * What to try, best first. Who asks for a provider asks for the engine that has providers. TensorFlow is worth its start
 * only where it was set up and there is a GPU for it: on CPUs onnx is the faster one.
 */
function candidates({ engine, provider }: ModelConfig): readonly EngineName[] {
  if (engine !== 'auto') return [engine];
  if (provider !== 'cpu') return ['onnx'];
  const place = nvidiaDriver() === null ? null : findBindingPlace();
  const isSetUp = place !== null && readSetupRecord(place) !== null;
  return isSetUp ? ['tensorflow', 'onnx', 'wasm'] : ['onnx', 'wasm'];
}

/** @throws CONFIG_INVALID where settings do not go together. */
function checkTensorflow({ engine, provider, threads }: ModelConfig): void {
  if (engine !== 'tensorflow') return;
  if (provider !== 'cpu' && provider !== 'cuda')
    throw new SightlineError(
      'CONFIG_INVALID',
      `model.provider: engine tensorflow has no ${provider}; leave it out, or cuda`,
    );
  if ((threads ?? 1) > 1) {
    throw new SightlineError(
      'CONFIG_INVALID',
      `model.threads: engine tensorflow has one, received ${threads}. Another GPU is the business of another process of ` +
        'sightline with another CUDA_VISIBLE_DEVICES',
    );
  }
}

/**
 * Makes everything ready that a pipeline needs - ffmpeg, model, engine, threads - and starts it without a stream.
 *
 * @throws CONFIG_INVALID, FFMPEG_MISSING, MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE
 */
export async function openRuntime(options: OpenOptions): Promise<Runtime> {
  const { environment } = options;
  checkTensorflow(options.model);
  const ffmpeg = await findFfmpeg({ path: environment.ffmpegPath, searchPath: environment.searchPath });
  const engines = candidates(options.model);
  for (const [i, engine] of engines.entries()) {
    try {
      const model = withOverrides(await compiledModel(options, engine), options.model);
      return await Runtime.start({
        ...options,
        incidents: options.incidents ?? new Incidents(options.onNotice),
        engine: engineRequest(options, engine, model),
        ffmpeg,
        lanes: options.lanes ?? Math.max(1, Math.floor(availableParallelism() / 2)),
        inferenceThreads: inferenceThreads(options.model, engine),
      });
    } catch (error) {
      const isLast = i === engines.length - 1;
      if (isLast || !(error instanceof SightlineError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
      options.onNotice(`${error.message}; trying engine ${engines[i + 1]}`);
    }
  }
  throw new RangeError('no engine to try');
}

/** Finds, fetches and compiles the model that a configuration names. */
async function compiledModel(
  { model, environment, onNotice }: OpenOptions,
  engine: EngineName,
): Promise<CompiledModel> {
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  const { modelPath, cacheDir } = environment;
  const settings = fileSettings(model);
  if (engine === 'fake') return standIn(model.name, { searchPath: modelPath, cacheDir, settings, inputSize });
  return prepareModel(model.name, {
    engine,
    precision: model.precision,
    inputSize,
    provider: providerOf(model, engine),
    searchPath: modelPath,
    cacheDir,
    onNotice,
    settings,
  });
}

/** Puts what a configuration says of the decoding in place of what the manifest says. */
function withOverrides(compiled: CompiledModel, { classesPerBox }: ModelConfig): CompiledModel {
  return classesPerBox === undefined ? compiled : { ...compiled, spec: { ...compiled.spec, classesPerBox } };
}

/** The fake engine needs a model's shape and classes, not its weights. */
async function standIn(name: string, request: DetectorRequest): Promise<CompiledModel> {
  const spec = modelSpec(await loadDetector(name, request));
  const input = { ...spec.input, ...(request.inputSize ?? {}) };
  return { spec: { ...spec, input }, format: 'onnx', path: '', precision: 'f32', batch: 'free', hash: '' };
}

function engineRequest({ model, batch }: OpenOptions, engine: EngineName, compiled: CompiledModel): EngineRequest {
  return {
    engine,
    provider: providerOf(model, engine),
    model: compiled,
    maxBatch: batch.maxBatch,
    batchSizes: null,
    intraThreads: 1,
    fake: model.fake,
  };
}

/** TensorFlow that nobody asked for by name is only wanted with a GPU. */
function providerOf({ engine: asked, provider }: ModelConfig, engine: EngineName): string {
  if (engine === 'tensorflow') return asked === 'auto' ? 'cuda' : provider;
  return engine === 'onnx' ? provider : engine;
}

/** One thread for each core on CPUs: two one-thread sessions do more than one session with two threads. A GPU takes one. */
function inferenceThreads(model: ModelConfig, engine: EngineName): number {
  if (engine === 'tensorflow') return 1;
  if (model.threads !== undefined) return model.threads;
  return engine === 'fake' || (engine === 'onnx' && model.provider !== 'cpu') ? 1 : availableParallelism();
}
