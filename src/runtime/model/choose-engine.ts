import { cpus } from 'node:os';
import type { ModelConfig } from '../../config/model.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { onnxRuntimeVersion } from '../../infer/onnx-version.ts';
import type { EngineRequest } from '../../protocol/threads.ts';
import { choiceText, type EngineChoice, EngineChoices } from '../../store/engine-choices.ts';
import { findOpenvino, type OpenvinoPlace, openvinoIdentity } from '../../store/openvino/openvino-place.ts';
import { findBindingPlace, readSetupRecord } from '../../store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../../store/tensorflow/nvidia-driver.ts';
import { InferenceClient } from '../inference/inference-client.ts';
import { type EngineName, type EngineOptions, isOpenvinoDevice, prepareEngine } from './engine-request.ts';

/** The engines between which only a measurement decides. */
const RIVALS = ['openvino', 'onnx'] as const;
/** The best of as many is taken, in turn, so that a busy moment does not decide. */
const ROUNDS = 2;
const TIMEOUT_MS = 60_000;

/**
 * What to try, best first. Who asks for a provider asks for the engine that has it. TensorFlow is worth its start only where it
 * was set up and there is a GPU for it. On CPUs it is openvino or onnx, whichever computes this model faster here.
 *
 * @throws MODEL_*, COMPILE_UNSUPPORTED
 */
export async function candidates(options: EngineOptions): Promise<readonly EngineName[]> {
  const { engine, provider, precision } = options.model;
  if (engine !== 'auto') return [engine];
  if (isOpenvinoDevice(provider) || precision === 'bf16') return ['openvino'];
  if (provider !== 'cpu') return ['onnx'];
  if (hasTensorflowOnGpu()) return ['tensorflow', 'onnx', 'wasm'];
  const place = findOpenvino(options.environment);
  if (precision === 'int8') {
    // wasm has none, and where no engine has a quantised file, onnx says how to make one.
    const able = place === null ? [] : await fasterFirst(options, place);
    return able.length === 0 ? ['onnx'] : able;
  }
  return place === null ? ['onnx', 'wasm'] : [...(await fasterFirst(options, place)), 'wasm'];
}

function hasTensorflowOnGpu(): boolean {
  const place = nvidiaDriver() === null ? null : findBindingPlace();
  return place !== null && readSetupRecord(place) !== null;
}

/** Measures the rivals once for this model, these libraries and this processor, and remembers the outcome in the cache. */
async function fasterFirst(options: EngineOptions, place: OpenvinoPlace): Promise<EngineName[]> {
  const { model, environment, onNotice } = options;
  const requests: EngineRequest[] = [];
  for (const engine of RIVALS) {
    const request = await unlessUnavailable(prepareEngine(options, engine), onNotice);
    if (request !== null) requests.push(request);
  }
  if (requests.length < RIVALS.length) return requests.map(({ engine }) => engine);
  const choices = new EngineChoices(environment.cacheDir);
  const cpu = cpus()[0]?.model.trim() ?? 'unknown';
  const libraries = [openvinoIdentity(place), onnxRuntimeVersion()];
  const key = EngineChoices.keyOf([requests.map((request) => request.model.hash), libraries, cpu, model.precision]);
  let choice = await choices.find(key);
  if (choice === null) {
    choice = await measure(requests, model, cpu, onNotice);
    // An engine that did not load is named by its error when nothing else is left; it is tried again at the next start.
    if (choice.measured.length < RIVALS.length) return choice.measured.map(({ engine }) => engine as EngineName);
    await choices.keep(key, choice);
    onNotice(`engine auto: ${choiceText(choice)}; measured once and kept in the cache, --engine takes another`);
  }
  return choice.measured.map(({ engine }) => engine as EngineName);
}

async function measure(
  requests: readonly EngineRequest[],
  { precision }: ModelConfig,
  cpu: string,
  onNotice: (text: string) => void,
): Promise<EngineChoice> {
  const best = new Map<string, EngineChoice['measured'][number]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const request of requests) {
      const info = await unlessUnavailable(frameTime(request), round === 0 ? onNotice : () => undefined);
      if (info === null) continue;
      const { engine, frameMs } = info;
      if (frameMs < (best.get(engine)?.frameMs ?? Number.POSITIVE_INFINITY)) best.set(engine, info);
    }
  }
  const measured = [...best.values()].sort((a, b) => a.frameMs - b.frameMs);
  const { name, input } = requests[0]!.model.spec;
  return { model: name, inputSize: `${input.width}x${input.height}`, precision, cpu, measured };
}

/** Loads an engine on a thread of its own; the best call of its warm-up is what a frame costs. */
async function frameTime(request: EngineRequest): Promise<EngineChoice['measured'][number]> {
  const ignore = (): void => undefined;
  const events = { onResult: ignore, onBatchFailed: ignore, onLost: ignore };
  const client = await InferenceClient.start({ ...request, maxBatch: 1 }, events, TIMEOUT_MS);
  await client.shutdown();
  const { engine, precision, warmMs } = client.info;
  return { engine, precision, frameMs: warmMs[0]! };
}

/** Null, aloud, where an engine cannot run this model or does not load: another one does. */
async function unlessUnavailable<T>(promise: Promise<T>, onNotice: (text: string) => void): Promise<T | null> {
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
