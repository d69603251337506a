import { setTimeout as sleep } from 'node:timers/promises';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import type { StreamInput } from '../../frame/runtime/stream/stream-port.ts';
import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import { conservationGap } from '../../frame/telemetry/stream-telemetry.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { BatchReport, DeviceReport, FrameCounters, Percentiles } from '../../wire/protocol/report.ts';
import { RunRecorder, type RunWindow } from './run-recorder.ts';
import { summariseWindows, type WindowSummary } from './summarise-windows.ts';
import { throwFailure } from './trial.ts';

interface MeasuredStream {
  readonly id: string;
  readonly fps: number;
  readonly latencyMs: Percentiles;
  readonly frames: FrameCounters;
  /** See `conservationGap`; anything but 0 is a bug. */
  readonly conservationGap: number;
}

/** Latency runs from captured to published, over all frames of the measured time. */
export interface Measurement
  extends Pick<
    WindowSummary,
    'seconds' | 'frames' | 'fps' | 'latencyMs' | 'cpuMsPerFrame' | 'busyRatio' | 'stagesMs' | 'littleLawGap'
  > {
  /** Frames per second of the warm-up, counted from when the streams were added; 0 if there was none. */
  readonly warmUpFps: number;
  /** Over the whole run, warm-up included. */
  readonly dropRatio: number;
  readonly streams: readonly MeasuredStream[];
  /** What Sightline and others used of the machine. */
  readonly machineUse: MachineUse;
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

/**
 * Runs streams on a runtime for a fixed time and measures its output as an observer. Removes the streams afterwards. For
 * figures to compare, use `runTrial`, which waits until they are stable.
 */
export async function measureRun(runtime: Runtime, options: MeasureOptions): Promise<Measurement> {
  const streams = options.streams.map(({ config, input }) => runtime.add(config, input));
  const recorder = new RunRecorder(runtime, streams);
  const allSettled = Promise.all(streams.map((stream) => stream.settled()));
  const pause = (seconds: number): Promise<unknown> =>
    Promise.race([allSettled, sleep(seconds * 1000, undefined, { signal: options.signal })]);
  try {
    await pause(options.warmUpSeconds);
    const warmUp = recorder.closeWindow();
    await pause(options.seconds);
    return summarise(runtime, streams, warmUp, recorder.closeWindow());
  } finally {
    recorder.close();
    for (const stream of streams) await runtime.remove(stream.id);
  }
}

function summarise(
  runtime: Runtime,
  streams: readonly RuntimeStream[],
  warmUp: RunWindow,
  window: RunWindow,
): Measurement {
  throwFailure(streams);
  const ids = streams.map(({ id }) => id);
  const { perStream, machine, ...summary } = summariseWindows([window], ids, ({ times }) => times.captured);
  const { seconds, frames, fps, latencyMs, cpuMsPerFrame, busyRatio, stagesMs, littleLawGap } = summary;
  const counters = streams.map((stream) => stream.telemetry.frames(stream.ledger.inFlight));
  const { device, batch, rssBytes } = runtime.report().host;
  return {
    seconds,
    frames,
    fps,
    latencyMs,
    cpuMsPerFrame,
    busyRatio,
    stagesMs,
    littleLawGap,
    warmUpFps: warmUp.frames.length === 0 ? 0 : (warmUp.frames.length * 1000) / (warmUp.endMs - warmUp.startMs),
    dropRatio: dropRatio(counters),
    streams: counters.map((counts, i) => ({
      id: ids[i]!,
      fps: perStream[i]!.fps,
      latencyMs: perStream[i]!.latencyMs,
      frames: counts,
      conservationGap: conservationGap(counts),
    })),
    machineUse: machine,
    device,
    batch,
    rssBytes,
  };
}

function dropRatio(counters: readonly FrameCounters[]): number {
  const entered = counters.reduce((sum, counts) => sum + counts.in, 0);
  const dropped = counters.flatMap((counts) => Object.values(counts.dropped)).reduce((sum, count) => sum + count, 0);
  return entered === 0 ? 0 : dropped / entered;
}
