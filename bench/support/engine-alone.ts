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
  /** What the engine reported when it was ready. */
  readonly info: EngineInfo;
  readonly threads: number;
  readonly frames: number;
  readonly fps: number;
  /** CPU of this process and of the engine's own process, divided by all frames; nothing else runs meanwhile. */
  readonly cpuMsPerFrame: number;
  /** From handing over a batch to its outputs; with several calls in flight this includes the wait for the previous one. */
  readonly callMs: Percentiles;
}

export interface EngineAloneOptions {
  readonly threads?: number;
  readonly provider?: string;
  readonly precision?: EngineRequest['precision'];
  readonly batchSize?: number;
  readonly maxInFlight?: number;
}

/** Enough for varied real pictures, few enough to decode quickly. */
const FRAMES = 40;

/** Measures an engine without a pipeline, on `threads` threads with a session each. @throws ENGINE_UNAVAILABLE */
export async function engineAlone(
  context: BenchContext,
  engine: 'onnx' | 'openvino' | 'wasm' | 'tensorflow',
  model: CompiledModel,
  { threads = 1, provider = 'cpu', precision = 'auto', batchSize = 1, maxInFlight = 1 }: EngineAloneOptions = {},
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
    maxInFlight,
  };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./engine-loop.thread.js', import.meta.url), { workerData: data }),
  );
  // Each thread exits by itself: terminating one while the library frees its session can crash the whole process.
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
