import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { workerEntry } from '../../base/core/worker-entry.ts';
import { SightlineError, type WireError } from '../../base/errors/sightline-error.ts';
import { disableTelemetry } from '../../base/process/fetched-packages.ts';
import { percentilesOf } from '../../frame/telemetry/sliding-window.ts';
import type { Percentiles } from '../../wire/protocol/report.ts';
import type { EngineInfo, EngineRequest } from '../../wire/protocol/threads.ts';

/** Consecutive pictures of the model's input size, u8 RGB, in shared memory. */
export interface LoopPictures {
  readonly buffer: SharedArrayBuffer;
  readonly frameBytes: number;
}

export interface EngineRun {
  /** What the engine reported when it was ready. */
  readonly info: EngineInfo;
  readonly threads: number;
  readonly frames: number;
  readonly fps: number;
  /** CPU of this process and of the engine's own process, divided by all frames; nothing else may run meanwhile. */
  readonly cpuMsPerFrame: number;
  /** From handing over a batch to its outputs; with several calls in flight this includes the wait for the previous one. */
  readonly callMs: Percentiles;
}

export interface EngineAloneOptions {
  readonly seconds: number;
  /** Threads with a session each; default 1. */
  readonly threads?: number;
  readonly batchSize?: number;
  /** Maximum number of concurrent calls, limited to what the engine supports; default 1. */
  readonly maxInFlight?: number;
}

/** What one thread of the loop gets. */
export interface EngineLoopData extends Required<Omit<EngineAloneOptions, 'threads'>> {
  readonly request: EngineRequest;
  readonly frames: SharedArrayBuffer;
  readonly frameBytes: number;
}

/** The thread's first message. */
export type EngineLoopReady = { readonly info: EngineInfo } | { readonly error: WireError };

export interface EngineLoopResult {
  readonly calls: number;
  readonly callMs: readonly number[];
  /** CPU that the engine used in its own process. */
  readonly childCpuMs: number;
}

/** Measures an engine without a pipeline. @throws ENGINE_UNAVAILABLE */
export async function engineAlone(
  request: EngineRequest,
  pictures: LoopPictures,
  { seconds, threads = 1, batchSize = 1, maxInFlight = 1 }: EngineAloneOptions,
): Promise<EngineRun> {
  const data: EngineLoopData = {
    request: { ...request, maxBatch: batchSize, batchSizes: [batchSize] },
    frames: pictures.buffer,
    frameBytes: pictures.frameBytes,
    seconds,
    batchSize,
    maxInFlight,
  };
  disableTelemetry();
  const workers = Array.from(
    { length: threads },
    () => new Worker(workerEntry('engine-loop.thread'), { workerData: data }),
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
  const elapsed = (performance.now() - before) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  await Promise.all(exits);
  const frames = done.reduce((sum, { calls }) => sum + calls * batchSize, 0);
  const childMs = done.reduce((sum, { childCpuMs }) => sum + childCpuMs, 0);
  return {
    info: infos[0]!,
    threads,
    frames,
    fps: frames / elapsed,
    cpuMsPerFrame: ((cpu.user + cpu.system) / 1000 + childMs) / frames,
    callMs: percentilesOf(Float64Array.from(done.flatMap(({ callMs }) => callMs))),
  };
}

async function readyInfo(worker: Worker): Promise<EngineInfo> {
  const [ready] = (await once(worker, 'message')) as [EngineLoopReady];
  if ('info' in ready) return ready.info;
  throw SightlineError.fromWire(ready.error);
}
