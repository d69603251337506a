import { parentPort, workerData } from 'node:worker_threads';
import { loadEngine } from '../../src/infer/load-engine.ts';
import type { EngineRequest } from '../../src/protocol/threads.ts';

/** An engine and nothing else: frames out of memory, one after the other, for a given time. */
export interface EngineLoopData {
  readonly request: EngineRequest;
  /** Pictures of the model's size, one after the other. */
  readonly frames: SharedArrayBuffer;
  readonly frameBytes: number;
  readonly seconds: number;
}

export interface EngineLoopResult {
  readonly frames: number;
  readonly callMs: readonly number[];
}

const WARM_CALLS = 5;
const port = parentPort!;
const { request, frames, frameBytes, seconds } = workerData as EngineLoopData;
const pictures = new Uint8Array(frames);
const pictureCount = Math.floor(pictures.length / frameBytes);
const engine = await loadEngine(request);

async function inferOne(index: number): Promise<void> {
  const at = (index % pictureCount) * frameBytes;
  engine.inputBuffer(1).set(pictures.subarray(at, at + frameBytes));
  await engine.infer(1);
}

for (let i = 0; i < WARM_CALLS; i++) await inferOne(i);
port.once('message', async () => {
  const callMs: number[] = [];
  const startedMs = performance.now();
  for (let before = startedMs; before - startedMs < seconds * 1000; ) {
    await inferOne(callMs.length);
    const after = performance.now();
    callMs.push(after - before);
    before = after;
  }
  port.postMessage({ frames: callMs.length, callMs } satisfies EngineLoopResult);
  await engine.close();
  port.close();
});
port.postMessage('ready');
