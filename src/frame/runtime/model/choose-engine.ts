import { cpus } from 'node:os';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { FETCHED_VERSIONS } from '../../../base/process/fetched-packages.ts';
import { choiceText, type EngineChoice, EngineChoices } from '../../../network/store/engine-choices.ts';
import { findOpenvino, type OpenvinoPlace, openvinoIdentity } from '../../../network/store/openvino/openvino-place.ts';
import { findBindingPlace, readSetupRecord } from '../../../network/store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../../../network/store/tensorflow/nvidia-driver.ts';
import { type EngineName, enginesThat } from '../../../settings/config/engines.ts';
import type { EngineInfo, EngineRequest } from '../../../wire/protocol/threads.ts';
import { type EngineOptions, prepareEngine } from './engine-request.ts';
import { loadConfigured } from './load-detector.ts';
import { runInChild } from './run-in-child.ts';

/** Engines of which either can be the faster; a measurement decides. */
const MEASURED_ENGINES = enginesThat(({ isMeasured }) => isMeasured === true);
/** Measurements per engine, taken in turn; the best one counts, so that a busy moment does not decide. */
const ROUNDS = 2;

/** Engines to try, best first. */
export interface EngineCandidates {
  readonly engines: readonly EngineName[];
  /** The measurement that decided; null if none was needed. */
  readonly choice: EngineChoice | null;
}

/**
 * Returns the engines to try. A provider selects the engine that has it. tensorflow is tried only if it was
 * set up and there is a GPU. On CPUs openvino or onnx comes first, whichever runs this model faster on this machine.
 *
 * @throws MODEL_*, COMPILE_UNSUPPORTED
 */
export async function candidates(options: EngineOptions): Promise<EngineCandidates> {
  const { engine, provider, precision } = options.model;
  if (engine !== 'auto') return unmeasured(engine);
  if (provider !== 'cpu') return unmeasured(firstThat(({ providers }) => providers?.includes(provider) === true));
  if (precision === 'bf16') return unmeasured(firstThat(({ precisions }) => precisions.includes('bf16')));
  const { format } = await loadConfigured(options.model, options.environment);
  const last = enginesThat(({ network }) => network?.format === 'tfjs' && format === 'tfjs');
  if (hasTensorflowOnGpu(options.environment.cacheDir)) return unmeasured('tensorflow', 'onnx', ...last);
  const place = findOpenvino(options.environment);
  if (precision === 'int8') {
    // wasm has none, and where no engine has a quantised file, onnx says how to make one.
    const able = place === null ? unmeasured() : await fasterFirst(options, place);
    return able.engines.length === 0 ? unmeasured('onnx') : able;
  }
  if (place === null) return unmeasured('onnx', ...last);
  const { engines, choice } = await fasterFirst(options, place);
  const all = [...engines, ...last];
  // If none can run it, onnx says best what is wrong.
  return { engines: all.length === 0 ? ['onnx'] : all, choice };
}

/** The first engine of which these facts are true; there is one. */
function firstThat(is: Parameters<typeof enginesThat>[0]): EngineName {
  return enginesThat(is)[0]!;
}

function unmeasured(...engines: readonly EngineName[]): EngineCandidates {
  return { engines, choice: null };
}

function hasTensorflowOnGpu(cacheDir: string): boolean {
  const place = nvidiaDriver() === null ? null : findBindingPlace(cacheDir);
  return place !== null && readSetupRecord(place) !== null;
}

/** Measures the engines once for this model, these libraries and this processor, and caches the result. */
async function fasterFirst(options: EngineOptions, place: OpenvinoPlace): Promise<EngineCandidates> {
  const { model, environment, onNotice } = options;
  const requests: EngineRequest[] = [];
  for (const engine of MEASURED_ENGINES) {
    const request = await nullIfUnavailable(prepareEngine(options, engine), onNotice);
    if (request !== null) requests.push(request);
  }
  if (requests.length < MEASURED_ENGINES.length) return unmeasured(...requests.map(({ engine }) => engine));
  const choices = new EngineChoices(environment.cacheDir);
  const cpu = cpus()[0]?.model.trim() ?? 'unknown';
  const libraries = [openvinoIdentity(place), FETCHED_VERSIONS['onnxruntime-node']];
  const key = EngineChoices.keyOf([requests.map((request) => request.model.hash), libraries, cpu, model.precision]);
  let choice = await choices.find(key);
  if (choice === null) {
    choice = await measure(requests, cpu, options);
    // Not cached: an engine that did not load was reported, and is tried again at the next start.
    if (choice.measured.length < MEASURED_ENGINES.length) return unmeasured(...enginesOf(choice));
    await choices.keep(key, choice);
    onNotice(`engine auto: ${choiceText(choice)}; measured once and cached; --engine overrides it`);
  }
  return { engines: enginesOf(choice), choice };
}

function enginesOf({ measured }: EngineChoice): EngineName[] {
  return measured.map(({ engine }) => engine as EngineName);
}

async function measure(
  requests: readonly EngineRequest[],
  cpu: string,
  { model: { precision }, onNotice, signal }: EngineOptions,
): Promise<EngineChoice> {
  const best = new Map<string, EngineChoice['measured'][number]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const request of requests) {
      const info = await nullIfUnavailable(frameTime(request, signal), round === 0 ? onNotice : () => undefined);
      if (info === null) continue;
      const { engine, frameMs } = info;
      if (frameMs < (best.get(engine)?.frameMs ?? Number.POSITIVE_INFINITY)) best.set(engine, info);
    }
  }
  const measured = [...best.values()].sort((a, b) => a.frameMs - b.frameMs);
  const { name, input } = requests[0]!.model.spec;
  return { model: name, inputSize: `${input.width}x${input.height}`, precision, cpu, measured };
}

/**
 * Loads an engine in a process of its own; the best call of its warm-up is what a frame costs. Two engines that were loaded
 * only to be compared would hold 400 MB for as long as the service runs.
 */
async function frameTime(
  request: EngineRequest,
  signal: AbortSignal | undefined,
): Promise<EngineChoice['measured'][number]> {
  const job = { ...request, maxBatch: 1 };
  const what = `engine ${request.engine}: its process`;
  const info = await runInChild<EngineInfo>('measure-engine.process', job, what, { signal });
  return { engine: info.engine, precision: info.precision, frameMs: info.warmMs[0]! };
}

/** Returns null, with a notice, if an engine cannot run this model or does not load, so that another one is used. */
async function nullIfUnavailable<T>(promise: Promise<T>, onNotice: (text: string) => void): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof SightlineError && error.code === 'ENGINE_UNAVAILABLE') {
      onNotice(`${error.message}; engine auto leaves it out`);
      return null;
    }
    throw error;
  }
}
