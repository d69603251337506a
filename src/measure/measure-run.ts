import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamConfig } from '../config/stream.ts';
import { monoNowMs } from '../core/clock.ts';
import type { BatchReport, BusyStage, DeviceReport, FrameCounters, Percentiles } from '../protocol/report.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import type { StreamInput } from '../runtime/stream/stream-port.ts';
import { type CpuUse, subtractCpuUse } from '../telemetry/cpu-ledger.ts';
import { percentilesOf } from '../telemetry/sliding-window.ts';
import { conservationGap } from '../telemetry/stream-telemetry.ts';

export interface MeasuredStream {
  readonly id: string;
  readonly fps: number;
  readonly latencyMs: Percentiles;
  readonly frames: FrameCounters;
  /** See `conservationGap`; anything but 0 is a bug. */
  readonly conservationGap: number;
}

export interface Measurement {
  readonly seconds: number;
  readonly frames: number;
  readonly fps: number;
  /** Frames per second of the warm-up, counted from when the streams were added; 0 if there was none. */
  readonly warmUpFps: number;
  /** Captured to published, over all frames of the run. */
  readonly latencyMs: Percentiles;
  /** CPU milliseconds per published frame; null on systems without /proc. */
  readonly cpuMsPerFrame: CpuUse | null;
  readonly dropRatio: number;
  readonly streams: readonly MeasuredStream[];
  /** Mean share of its capacity that each stage used during the measured time. */
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly device: DeviceReport;
  readonly batch: BatchReport;
  readonly rssBytes: number;
}

export interface MeasureOptions {
  readonly streams: readonly { readonly config: StreamConfig; readonly input: StreamInput }[];
  /** Measured time; the run ends earlier if all files end. */
  readonly seconds: number;
  /** Time excluded at the start, while ffmpeg opens the sources. */
  readonly warmUpSeconds: number;
  readonly signal: AbortSignal;
}

/** Runs streams on a runtime and measures its output as an observer. Removes the streams afterwards. */
export async function measureRun(runtime: Runtime, options: MeasureOptions): Promise<Measurement> {
  const latencies = new Map<string, number[]>();
  const busy: Record<BusyStage, number[]> = { decode: [], preprocess: [], infer: [], main: [] };
  let isMeasuring = false;
  let warmUpFrames = 0;
  const unsubscribe = [
    runtime.published.add(({ streamId, times }) => {
      if (isMeasuring) latencies.get(streamId)?.push(times.published - times.captured);
      else warmUpFrames += 1;
    }),
    runtime.reports.add(({ host }) => {
      if (isMeasuring) for (const stage of Object.keys(busy) as BusyStage[]) busy[stage].push(host.busyRatio[stage]);
    }),
  ];
  const addedMs = monoNowMs();
  const streams: RuntimeStream[] = options.streams.map(({ config, input }) => {
    latencies.set(config.id, []);
    return runtime.add(config, input);
  });
  const allSettled = Promise.all(streams.map((stream) => stream.settled()));
  try {
    await Promise.race([allSettled, sleep(options.warmUpSeconds * 1000, undefined, { signal: options.signal })]);
    isMeasuring = true;
    const startMs = monoNowMs();
    const warmUpFps = warmUpFrames === 0 ? 0 : (warmUpFrames * 1000) / (startMs - addedMs);
    const cpuBefore = runtime.cpuUse();
    await Promise.race([allSettled, sleep(options.seconds * 1000, undefined, { signal: options.signal })]);
    isMeasuring = false;
    const seconds = (monoNowMs() - startMs) / 1000;
    const cpuAfter = runtime.cpuUse();
    return summarise(
      runtime,
      streams,
      latencies,
      busy,
      seconds,
      warmUpFps,
      cpuBefore === null || cpuAfter === null ? null : subtractCpuUse(cpuAfter, cpuBefore),
    );
  } finally {
    for (const remove of unsubscribe) remove();
    for (const stream of streams) await runtime.remove(stream.id);
  }
}

function summarise(
  runtime: Runtime,
  streams: readonly RuntimeStream[],
  latencies: ReadonlyMap<string, readonly number[]>,
  busy: Readonly<Record<BusyStage, readonly number[]>>,
  seconds: number,
  warmUpFps: number,
  cpu: CpuUse | null,
): Measurement {
  const failure = streams.find((stream) => stream.failure !== null)?.failure;
  if (failure != null) throw failure;
  const measured = streams.map((stream): MeasuredStream => {
    const frames = stream.telemetry.frames(stream.ledger.inFlight);
    const samples = latencies.get(stream.id)!;
    return {
      id: stream.id,
      fps: samples.length / seconds,
      latencyMs: percentilesOf(Float64Array.from(samples)),
      frames,
      conservationGap: conservationGap(frames),
    };
  });
  const all = [...latencies.values()].flat();
  const entered = measured.reduce((sum, { frames }) => sum + frames.in, 0);
  const dropped = measured.reduce(
    (sum, { frames }) => sum + Object.values(frames.dropped).reduce((a, b) => a + b, 0),
    0,
  );
  const { device, batch, rssBytes } = runtime.report().host;
  return {
    seconds,
    frames: all.length,
    fps: all.length / seconds,
    warmUpFps,
    latencyMs: percentilesOf(Float64Array.from(all)),
    cpuMsPerFrame: cpu === null || all.length === 0 ? null : perFrame(cpu, all.length),
    dropRatio: entered === 0 ? 0 : dropped / entered,
    streams: measured,
    busyRatio: Object.fromEntries(Object.entries(busy).map(([stage, samples]) => [stage, mean(samples)])) as Record<
      BusyStage,
      number
    >,
    device,
    batch,
    rssBytes,
  };
}

function perFrame(cpu: CpuUse, frames: number): CpuUse {
  return {
    decode: cpu.decode / frames,
    preprocess: cpu.preprocess / frames,
    infer: cpu.infer / frames,
    main: cpu.main / frames,
    total: cpu.total / frames,
  };
}

function mean(samples: readonly number[]): number {
  return samples.length === 0 ? 0 : samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}
