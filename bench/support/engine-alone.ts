import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { CompiledModel } from '../../src/core/model.ts';
import { SightlineError } from '../../src/errors/sightline-error.ts';
import type { Percentiles } from '../../src/protocol/report.ts';
import type { EngineInfo, EngineRequest } from '../../src/protocol/threads.ts';
import { findOpenvino } from '../../src/store/openvino/openvino-place.ts';
import { percentilesOf } from '../../src/telemetry/sliding-window.ts';
import type { BenchContext } from './bench-context.ts';
import { grabFrames } from './clip.ts';
import type { EngineLoopData, EngineLoopReady, EngineLoopResult } from './engine-loop.thread.ts';

export interface EngineRun {
  /** What the engine said of itself. */
  readonly info: EngineInfo;
  readonly threads: number;
  readonly frames: number;
  readonly fps: number;
  /** Of the whole process and the engine's own through all frames; nothing else runs meanwhile. */
  readonly cpuMsPerFrame: number;
  /** From handing over a batch to its outputs; with several calls in flight the wait for the one before is part of it. */
  readonly callMs: Percentiles;
}

export interface EngineAloneOptions {
  readonly threads?: number;
  readonly provider?: string;
  readonly precision?: EngineRequest['precision'];
  readonly batchSize?: number;
  readonly mostInFlight?: number;
}

/** Enough to be real pictures, few enough to be made in a moment. */
const FRAMES = 40;

/** Measures an engine without a pipeline around it: `threads` threads, each with its own session. @throws ENGINE_UNAVAILABLE */
export async function engineAlone(
  context: BenchContext,
  engine: 'onnx' | 'openvino' | 'wasm' | 'tensorflow',
  model: CompiledModel,
  { threads = 1, provider = 'cpu', precision = 'auto', batchSize = 1, mostInFlight = 1 }: EngineAloneOptions = {},
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
    provider: engine === 'wasm' ? 'wasm' : provider,
    precision,
    openvinoLibrary: findOpenvino(context.environment)?.libraryPath,
    model,
    maxBatch: batchSize,
    batchSizes: [batchSize],
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  };
  const data: EngineLoopData = {
    request,
    frames: buffer,
    frameBytes,
    seconds: context.seconds,
    batchSize,
    mostInFlight,
  };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./engine-loop.thread.js', import.meta.url), { workerData: data }),
  );
  // Each ends by itself: to terminate one that is just freeing its session can end the whole process, in the library.
  const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  const infos = await Promise.all(workers.map(readyInfo));
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
  await Promise.all(exits);
  const frames = done.reduce((sum, { calls }) => sum + calls * batchSize, 0);
  const childMs = done.reduce((sum, { childCpuMs }) => sum + childCpuMs, 0);
  return {
    info: infos[0]!,
    threads,
    frames,
    fps: frames / seconds,
    cpuMsPerFrame: ((cpu.user + cpu.system) / 1000 + childMs) / frames,
    callMs: percentilesOf(Float64Array.from(done.flatMap(({ callMs }) => callMs))),
  };
}

async function readyInfo(worker: Worker): Promise<EngineInfo> {
  const [ready] = (await once(worker, 'message')) as [EngineLoopReady];
  if ('info' in ready) return ready.info;
  throw SightlineError.fromWire(ready.error);
}
