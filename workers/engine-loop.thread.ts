import { parentPort, workerData } from 'node:worker_threads';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { loadEngine } from '../src/frame/infer/engine-kinds.ts';
import type { InferenceEngine } from '../src/frame/infer/inference-engine.ts';
import { TensorflowEngine } from '../src/frame/infer/tensorflow-engine.ts';
import { readProcessUsage } from '../src/frame/telemetry/process-usage.ts';
import type { EngineLoopData, EngineLoopReady, EngineLoopResult } from '../src/lab/measure/engine-alone.ts';

/** Runs an engine alone on frames in memory, batch after batch, for a given time. */
const WARM_CALLS = 5;
const port = parentPort!;
const { request, frames, frameBytes, seconds, batchSize, maxInFlight } = workerData as EngineLoopData;
const pictures = new Uint8Array(frames);
const pictureCount = Math.floor(pictures.length / frameBytes);

try {
  await serve(await loadEngine(request));
} catch (error) {
  // Sent as a message and not thrown: the exit of a thread can be reported before its last message arrives.
  port.postMessage({ error: SightlineError.from(error, 'ENGINE_UNAVAILABLE').toWire() } satisfies EngineLoopReady);
}

/** Warms up, reports that it is ready, and runs its loop when the main thread asks for it. */
async function serve(engine: InferenceEngine): Promise<void> {
  const depth = Math.min(maxInFlight, engine.info.callsInFlight);
  for (let i = 0; i < WARM_CALLS; i++) await inferOne(engine, i);
  port.once('message', async () => {
    const callMs: number[] = [];
    const inFlight: Promise<number>[] = [];
    const cpuBefore = childCpuMs(engine);
    const startedMs = performance.now();
    for (let call = 0; performance.now() - startedMs < seconds * 1000; call++) {
      inFlight.push(inferOne(engine, call));
      if (inFlight.length === depth) callMs.push(await inFlight.shift()!);
    }
    callMs.push(...(await Promise.all(inFlight)));
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
