import { availableParallelism } from 'node:os';
import type { BatchConfig } from '../config/batch.ts';
import type { PreviewConfig } from '../config/gateway.ts';
import { type ModelConfig, parseInputSize } from '../config/model.ts';
import type { CompiledModel } from '../core/model.ts';
import { findFfmpeg } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { EngineRequest } from '../protocol/threads.ts';
import { loadManifest, modelSpec } from '../store/manifests.ts';
import { requireOpenvino } from '../store/openvino/openvino-place.ts';
import { findBindingPlace, readSetupRecord } from '../store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../store/tensorflow/nvidia-driver.ts';
import type { Environment } from './environment.ts';
import { bestDevice } from './openvino-device.ts';
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
}

type EngineName = EngineRequest['engine'];

/**
 * What to try, best first. Who asks for a provider asks for the engine that has providers. TensorFlow is worth its start
 * only where it was set up and there is a GPU for it: on CPUs onnx is the faster one.
 */
function candidates({ engine, provider, precision }: ModelConfig): readonly EngineName[] {
  if (engine !== 'auto') return [engine];
  if (isOpenvinoDevice(provider) || precision === 'bf16') return ['openvino'];
  if (provider !== 'cpu') return ['onnx'];
  const place = nvidiaDriver() === null ? null : findBindingPlace();
  const isSetUp = place !== null && readSetupRecord(place) !== null;
  return isSetUp ? ['tensorflow', 'onnx', 'wasm'] : ['onnx', 'wasm'];
}

/** Providers that only the openvino engine has: its devices besides the CPU. */
function isOpenvinoDevice(provider: ModelConfig['provider']): boolean {
  return provider === 'gpu' || provider === 'npu' || provider === 'auto';
}

/** @throws CONFIG_INVALID where an engine was named and the provider is another engine's. */
function checkProvider({ engine, provider }: ModelConfig): void {
  if (provider === 'cpu') return;
  const isForOpenvino = isOpenvinoDevice(provider);
  if (engine === 'openvino' && !isForOpenvino)
    throw new SightlineError(
      'CONFIG_INVALID',
      `model.provider: engine openvino has no ${provider}, but cpu, gpu, npu, auto`,
    );
  if (engine === 'onnx' && isForOpenvino)
    throw new SightlineError(
      'CONFIG_INVALID',
      `model.provider: ${provider} is a device of engine openvino, not of onnx`,
    );
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
  checkTensorflow(options.model);
  checkProvider(options.model);
  const { environment } = options;
  const ffmpeg = await findFfmpeg({ path: environment.ffmpegPath, searchPath: environment.searchPath });
  const engines = candidates(options.model);
  for (const [i, engine] of engines.entries()) {
    try {
      const target = await targetOf(options, engine);
      const model = await compiledModel(options, target);
      return await Runtime.start({
        ...options,
        engine: engineRequest(options, target, model),
        ffmpeg,
        lanes: options.lanes ?? Math.max(1, Math.floor(availableParallelism() / 2)),
        inferenceThreads: inferenceThreads(options.model, target),
      });
    } catch (error) {
      const isLast = i === engines.length - 1;
      if (isLast || !(error instanceof SightlineError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
      options.onNotice(`${error.message}; trying engine ${engines[i + 1]}`);
    }
  }
  throw new RangeError('no engine to try');
}

/** An engine, with what it runs on. */
type Target = Pick<EngineRequest, 'engine' | 'provider' | 'openvinoLibrary'>;

/** @throws ENGINE_UNAVAILABLE where openvino is not set up, or has no such device. */
async function targetOf({ model, environment }: OpenOptions, engine: EngineName): Promise<Target> {
  if (engine !== 'openvino') return { engine, provider: providerOf(model, engine) };
  const { libraryPath: openvinoLibrary } = requireOpenvino(environment);
  // Which device it is decides how many threads there are and how the model is compiled.
  const provider = model.provider === 'auto' ? await bestDevice(openvinoLibrary) : model.provider;
  return { engine, provider, openvinoLibrary };
}

/** Finds, fetches and compiles the model that a configuration names. */
async function compiledModel(
  { model, environment, onNotice }: OpenOptions,
  { engine, provider }: Target,
): Promise<CompiledModel> {
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  if (engine === 'fake') return standIn(model.name, inputSize);
  const { modelPath, cacheDir } = environment;
  return prepareModel(model.name, {
    engine,
    precision: model.precision,
    inputSize,
    provider,
    searchPath: modelPath,
    cacheDir,
    onNotice,
  });
}

/** The fake engine needs a model's shape and classes, not its weights. */
async function standIn(name: string, inputSize: { width: number; height: number } | undefined): Promise<CompiledModel> {
  const spec = modelSpec(await loadManifest(name));
  const input = { ...spec.input, ...(inputSize ?? {}) };
  return { spec: { ...spec, input }, format: 'onnx', path: '', precision: 'f32', batch: 'free', hash: '' };
}

function engineRequest({ model, batch }: OpenOptions, target: Target, compiled: CompiledModel): EngineRequest {
  return {
    ...target,
    precision: model.precision,
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
function inferenceThreads(model: ModelConfig, { engine, provider }: Target): number {
  if (engine === 'tensorflow') return 1;
  if (model.threads !== undefined) return model.threads;
  const hasOwnDevice = (engine === 'onnx' || engine === 'openvino') && provider !== 'cpu';
  return engine === 'fake' || hasOwnDevice ? 1 : availableParallelism();
}
