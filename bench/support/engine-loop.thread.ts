import { parentPort, workerData } from 'node:worker_threads';
import { SightlineError, type WireError } from '../../src/errors/sightline-error.ts';
import type { InferenceEngine } from '../../src/infer/inference-engine.ts';
import { loadEngine } from '../../src/infer/load-engine.ts';
import { TensorflowEngine } from '../../src/infer/tensorflow-engine.ts';
import type { EngineInfo, EngineRequest } from '../../src/protocol/threads.ts';
import { readProcessUsage } from '../../src/telemetry/process-usage.ts';

/** An engine and nothing else: frames out of memory, batch after batch, for a given time. */
export interface EngineLoopData {
  readonly request: EngineRequest;
  /** Pictures of the model's size, one after the other. */
  readonly frames: SharedArrayBuffer;
  readonly frameBytes: number;
  readonly seconds: number;
  readonly batchSize: number;
  /** Calls under way at once; no more than the engine takes. */
  readonly mostInFlight: number;
}

export interface EngineLoopResult {
  readonly calls: number;
  readonly callMs: readonly number[];
  /** CPU that the engine used in a process of its own. */
  readonly childCpuMs: number;
}

/** The thread's first word. */
export type EngineLoopReady = { readonly info: EngineInfo } | { readonly error: WireError };

const WARM_CALLS = 5;
const port = parentPort!;
const { request, frames, frameBytes, seconds, batchSize, mostInFlight } = workerData as EngineLoopData;
const pictures = new Uint8Array(frames);
const pictureCount = Math.floor(pictures.length / frameBytes);

try {
  await serve(await loadEngine(request));
} catch (error) {
  // Told, not thrown: a thread that dies may be heard of before its last word is.
  port.postMessage({ error: SightlineError.from(error, 'ENGINE_UNAVAILABLE').toWire() } satisfies EngineLoopReady);
}

/** Warms up, says so, and runs its loop when it is told to. */
async function serve(engine: InferenceEngine): Promise<void> {
  const depth = Math.min(mostInFlight, engine.info.callsInFlight);
  for (let i = 0; i < WARM_CALLS; i++) await inferOne(engine, i);
  port.once('message', async () => {
    const callMs: number[] = [];
    const underWay: Promise<number>[] = [];
    const cpuBefore = childCpuMs(engine);
    const startedMs = performance.now();
    for (let call = 0; performance.now() - startedMs < seconds * 1000; call++) {
      underWay.push(inferOne(engine, call));
      if (underWay.length === depth) callMs.push(await underWay.shift()!);
    }
    callMs.push(...(await Promise.all(underWay)));
    const result = { calls: callMs.length, callMs, childCpuMs: childCpuMs(engine) - cpuBefore };
    port.postMessage(result satisfies EngineLoopResult);
    await engine.close();
    port.close();
  });
  port.postMessage({ info: engine.info } satisfies EngineLoopReady);
}

async function inferOne(engine: InferenceEngine, call: number): Promise<number> {
  const startedMs = performance.now();
  const memory = engine.inputBuffer(batchSize);
  for (let i = 0; i < batchSize; i++) {
    const at = ((call * batchSize + i) % pictureCount) * frameBytes;
    memory.set(pictures.subarray(at, at + frameBytes), i * frameBytes);
  }
  await engine.infer(batchSize, request.model.spec.scoreThreshold);
  return performance.now() - startedMs;
}

function childCpuMs(engine: InferenceEngine): number {
  return engine instanceof TensorflowEngine ? (readProcessUsage(engine.pid)?.cpuMs ?? 0) : 0;
}
