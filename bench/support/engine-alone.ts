import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { CompiledModel } from '../../src/core/model.ts';
import type { Percentiles } from '../../src/protocol/report.ts';
import type { EngineRequest } from '../../src/protocol/threads.ts';
import { percentilesOf } from '../../src/telemetry/sliding-window.ts';
import type { BenchContext } from './bench-context.ts';
import { grabFrames } from './clip.ts';
import type { EngineLoopData, EngineLoopResult } from './engine-loop.thread.ts';

export interface EngineRun {
  readonly threads: number;
  readonly frames: number;
  readonly fps: number;
  /** Of the whole process through all frames; nothing else runs in it meanwhile. */
  readonly cpuMsPerFrame: number;
  readonly callMs: Percentiles;
}

/** Enough to be real pictures, few enough to be made in a moment. */
const FRAMES = 40;

/** Measures an engine without a pipeline around it: `threads` threads, each with its own session, batches of one frame. */
export async function engineAlone(
  context: BenchContext,
  engine: 'onnx' | 'wasm',
  model: CompiledModel,
  threads: number,
): Promise<EngineRun> {
  const { input } = model.spec;
  const { buffer, frameBytes } = await grabFrames(
    context.ffmpeg,
    context.clip,
    { ...input, fit: input.resize },
    FRAMES,
  );
  const request: EngineRequest = {
    engine,
    provider: engine === 'onnx' ? 'cpu' : engine,
    model,
    maxBatch: 1,
    batchSizes: null,
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  };
  const data: EngineLoopData = { request, frames: buffer, frameBytes, seconds: context.seconds };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./engine-loop.thread.js', import.meta.url), { workerData: data }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const cpuBefore = process.cpuUsage();
  const before = performance.now();
  const results = workers.map(async (worker) => {
    const [result] = (await once(worker, 'message')) as [EngineLoopResult];
    return result;
  });
  for (const worker of workers) worker.postMessage('go');
  const done = await Promise.all(results);
  const seconds = (performance.now() - before) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  await Promise.all(workers.map((worker) => worker.terminate()));
  const frames = done.reduce((sum, { frames }) => sum + frames, 0);
  return {
    threads,
    frames,
    fps: frames / seconds,
    cpuMsPerFrame: (cpu.user + cpu.system) / 1000 / frames,
    callMs: percentilesOf(Float64Array.from(done.flatMap(({ callMs }) => callMs))),
  };
}
