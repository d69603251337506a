import { availableParallelism } from 'node:os';
import { isReader, type ModelSpec } from '../../base/core/model.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { Incidents } from '../../base/flow/incidents.ts';
import { unlessAborted } from '../../base/flow/unless-aborted.ts';
import { comparisonText, type EngineChoice } from '../../network/store/engine-choices.ts';
import type { DecoderConfig } from '../../settings/config/decoder-config.ts';
import { type EngineName, factsOf } from '../../settings/config/engines.ts';
import { type PreviewConfig, previewConfig } from '../../settings/config/gateway.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import type { EngineInfo, EngineRequest } from '../../wire/protocol/threads.ts';
import { type FfmpegBinary, openFfmpeg } from '../decode/ffmpeg-binary.ts';
import type { BatchSettings } from './inference/model-instance.ts';
import { candidates } from './model/choose-engine.ts';
import { type EngineOptions, prepareEngine } from './model/engine-request.ts';
import { modelsAtHand } from './model/models-at-hand.ts';
import { NO_OUTLET, type ResultOutlet } from './results/result-outlet.ts';
import { Runtime } from './runtime.ts';
import type { RuntimeOptions } from './runtime-options.ts';

export interface OpenOptions extends EngineOptions {
  readonly fakeDetect?: RuntimeOptions['fakeDetect'];
  readonly tracer?: RuntimeOptions['tracer'];
  /** Default: the default settings. */
  readonly preview?: PreviewConfig;
  readonly lanes?: number | undefined;
  /** Default: results go to listeners only. */
  readonly sinks?: ResultOutlet;
  /** How ffmpeg is confined, if it is looked up; absent: the defaults. */
  readonly decoder?: DecoderConfig | undefined;
  /** If absent, it is looked up. */
  readonly ffmpeg?: FfmpegBinary | undefined;
  /** Counts exceptions of listeners; if absent, they are reported as notices. */
  readonly incidents?: Incidents | undefined;
}

/** Default number of lane threads. */
export function defaultLanes(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}

/**
 * Prepares everything that a pipeline needs (ffmpeg, model, engine, threads) and starts it without streams.
 *
 * @throws CONFIG_INVALID, FFMPEG_MISSING, MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE; the reason of the signal
 */
export function openRuntime(options: OpenOptions): Promise<Runtime> {
  return unlessAborted(open(options), options.signal, (runtime) => runtime.stop());
}

async function open(given: OpenOptions): Promise<Runtime> {
  const { incidents = new Incidents(given.onNotice), signal } = given;
  const { preview = previewConfig.parse({}), sinks = NO_OUTLET } = given;
  const options = { ...given, preview, sinks, onDamaged: damageTo(incidents) };
  const ffmpeg = options.ffmpeg ?? (await openFfmpeg(options.environment, options.onNotice, options.decoder));
  return onFirstEngine(options, (engine, choice) => {
    signal?.throwIfAborted();
    const fault = notDetector(engine.model.spec);
    if (fault !== null) throw new SightlineError('CONFIG_INVALID', `model: ${fault}`);
    return Runtime.start({
      ...options,
      incidents,
      engine,
      comparison: comparisonFor(engine.engine, choice),
      ffmpeg,
      lanes: options.lanes ?? defaultLanes(),
      inferenceThreads: inferenceThreads(options.model, engine),
      modelsAtHand: ({ spec: { name, classes, input }, engineInfo: info }) =>
        modelsAtHand({ name, classes, info, inputSize: `${input.width}x${input.height}` }, options),
    });
  });
}

/** Loads a model on the engine that is configured, or on the first one that can be had of those that `auto` finds. */
async function onFirstEngine<T>(
  options: EngineOptions,
  load: (engine: EngineRequest, choice: EngineChoice | null) => Promise<T>,
): Promise<T> {
  const { engines, choice } = await candidates(options);
  for (const [i, engine] of engines.entries()) {
    try {
      return await load(await prepareEngine(options, engine), choice);
    } catch (error) {
      const isLast = i === engines.length - 1;
      if (isLast || !(error instanceof SightlineError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
      options.onNotice(`${error.message}; trying engine ${engines[i + 1]}`);
    }
  }
  throw new RangeError('no engine to try');
}

/** Returns why a model cannot find objects in frames; null if it can. */
export function notDetector({ name, family }: Pick<ModelSpec, 'name' | 'family'>): string | null {
  if (!isReader(family)) return null;
  return `expected a detector; ${name} reads crops of objects (family ${family}): use it in the section stages`;
}

/** Counts cached files that had changed on the disk. */
function damageTo(incidents: Incidents): (error: SightlineError) => void {
  return (error) => incidents.fail('model-check', error);
}

/** Returns the measurement by which an engine was chosen; undefined if another reason decided. */
function comparisonFor(engine: EngineName, choice: EngineChoice | null): string | undefined {
  return choice?.measured.some((each) => each.engine === engine) ? comparisonText(choice) : undefined;
}

/**
 * Prepares another model and loads it beside those of a runtime, on the engine that its configuration names or `auto` finds.
 *
 * @param name - by which streams use it.
 * @param as - see `BatchSettings`; what reads crops has one thread unless its settings say more.
 * @throws MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE
 */
export function loadBeside(
  runtime: Runtime,
  name: string,
  given: EngineOptions,
  as: Pick<BatchSettings, 'recordAs' | 'readsCrops'> = {},
): Promise<EngineInfo> {
  const { model, batch } = given;
  const { timeoutMs, cacheResults, scoreThreshold } = model;
  const batching = { ...batch, timeoutMs, cacheResults: as.readsCrops === true ? 0 : cacheResults, ...as };
  const threaded = as.readsCrops === true ? { ...model, threads: model.threads ?? 1 } : model;
  return onFirstEngine({ ...given, onDamaged: damageTo(runtime.incidents) }, (engine) =>
    runtime.loadModel(name, { engine, batching, threads: inferenceThreads(threaded, engine), scoreThreshold }),
  );
}

/**
 * One thread per core on CPUs: two single-threaded inferences have more throughput than one with two threads. A GPU
 * takes one.
 */
function inferenceThreads(model: ModelConfig, { engine, provider }: EngineRequest): number {
  const { threads, providers } = factsOf(engine);
  if (threads === 'one') return 1;
  if (model.threads !== undefined) return model.threads;
  const isOnCpu = providers === null || provider === 'cpu';
  return threads === 'each-core' && isOnCpu ? availableParallelism() : 1;
}
