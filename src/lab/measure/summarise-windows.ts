import type { CpuUse } from '../../frame/telemetry/cpu-ledger.ts';
import { meanGpuUse } from '../../frame/telemetry/gpu-meter.ts';
import { type InterferenceLimits, interference } from '../../frame/telemetry/interference.ts';
import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import { meanMachineUse } from '../../frame/telemetry/machine-counters.ts';
import { percentilesOf } from '../../frame/telemetry/sliding-window.ts';
import type { GpuReport } from '../../wire/protocol/power-report.ts';
import { BUSY_STAGES, type BusyStage, type Percentiles } from '../../wire/protocol/report.ts';
import { addSums, latencyParts, littleLawGap } from './breakdown.ts';
import { latencyFigures } from './latency-tally.ts';
import type { RecordedFrame, RunWindow } from './run-recorder.ts';
import { slope } from './slope.ts';
import type { Target } from './targets.ts';
import type { EnergyPerFrame, FaultCounts, Part, StreamFigures, TrialResult, WindowFigures } from './trial-result.ts';

/** Most latencies that a result carries. */
const SAMPLE_SIZE = 2_000;

/** Returns when a frame was due; for files, when it was captured. */
export type DueTime = (frame: RecordedFrame) => number;

export function windowFigures(
  window: RunWindow,
  dueMs: DueTime,
  startedMs: number,
  limits: InterferenceLimits,
): WindowFigures {
  const seconds = secondsOf(window);
  const discardedBecause = interference(window.machine, limits);
  return {
    startS: (window.startMs - startedMs) / 1000,
    seconds,
    frames: window.frames.length,
    fps: window.frames.length / seconds,
    latencyMs: latencies([window], dueMs),
    inFlight: window.inFlight,
    busyRatio: window.busyRatio,
    machine: window.machine,
    isDiscarded: discardedBecause !== null,
    discardedBecause,
  };
}

/** Figures that are taken over all windows together, as if they were one. */
export type WindowSummary = Pick<
  TrialResult,
  | 'fps'
  | 'streamFps'
  | 'perStream'
  | 'frames'
  | 'seconds'
  | 'latencyMs'
  | 'latenciesMs'
  | 'sendMs'
  | 'cpuMsPerFrame'
  | 'busyRatio'
  | 'inFlight'
  | 'littleLawGap'
  | 'queueGrowthPerS'
  | 'dropRatio'
  | 'faults'
  | 'heldBackRatio'
  | 'eventLoopP99Ms'
  | 'machine'
  | 'gpus'
  | 'energy'
> & { readonly stagesMs: Record<Part, number> };

/**
 * @param windows - at least one; they need not be adjacent.
 * @param streamIds - of all streams, also of those that published nothing.
 * @param targets - whose limits the frames are compared with.
 */
export function summariseWindows(
  windows: readonly RunWindow[],
  streamIds: readonly string[],
  dueMs: DueTime,
  targets: readonly Target[] = [],
): WindowSummary {
  const frames = windows.flatMap((window) => window.frames);
  const seconds = total(windows, secondsOf);
  const weighted = (figure: (window: RunWindow) => number): number =>
    total(windows, (window) => figure(window) * secondsOf(window)) / seconds;
  const sums = windows.map((window) => window.sums).reduce(addSums);
  const latenciesMs = new Map<string, number[]>(streamIds.map((id) => [id, []]));
  const mediaUs = new Map<string, number>();
  for (const frame of frames) {
    latenciesMs.get(frame.streamId)?.push(frame.times.published - dueMs(frame));
    mediaUs.set(frame.streamId, (mediaUs.get(frame.streamId) ?? 0) + frame.passedUs);
  }
  const perStream = streamIds.map((id): StreamFigures => {
    const own = latenciesMs.get(id)!;
    const dropped = total(windows, (window) => droppedOf(streamOf(window, id)));
    const entered = total(windows, (window) => streamOf(window, id)?.entered ?? 0);
    const mediaSpeed = (mediaUs.get(id) ?? 0) / 1e6 / seconds;
    return { id, fps: own.length / seconds, mediaSpeed, ...latencyFigures(own, targets), entered, dropped };
  });
  const faults = faultsOf(windows, sums.failedFrames);
  const fps = frames.length / seconds;
  const gpus = meanGpuUse(windows.map((window) => ({ gpus: window.gpus, seconds: secondsOf(window) })));
  const machine = meanMachineUse(windows.map((window) => ({ use: window.machine, seconds: secondsOf(window) })))!;
  const energy = energyPerFrame(machine, gpus, fps);
  const inFlight = weighted((window) => window.inFlight);
  const residenceMs = total(windows, (window) => window.residenceMs);
  return {
    fps,
    streamFps: perStream.map((stream) => stream.fps),
    perStream,
    frames: frames.length,
    seconds,
    latencyMs: latencies(windows, dueMs),
    latenciesMs: sampleOf(frames.map((frame) => frame.times.published - dueMs(frame))),
    stagesMs: latencyParts(
      frames.map((frame) => ({ times: frame.times, dueMs: dueMs(frame) })),
      sums,
    ),
    sendMs: sums.sentFrames === 0 ? 0 : sums.sendMs / sums.sentFrames,
    cpuMsPerFrame: cpuPerFrame(windows, frames.length),
    busyRatio: Object.fromEntries(
      BUSY_STAGES.map((stage) => [stage, weighted(({ busyRatio }) => busyRatio[stage])]),
    ) as Record<BusyStage, number>,
    inFlight,
    littleLawGap: littleLawGap(inFlight, residenceMs, seconds * 1000),
    queueGrowthPerS: growth(windows),
    dropRatio: faults.frames === 0 ? 0 : droppedOf(faults) / faults.frames,
    faults,
    heldBackRatio: weighted((window) => window.heldBackRatio),
    eventLoopP99Ms: Math.max(...windows.map((window) => window.eventLoopP99Ms)),
    machine,
    ...(gpus.length === 0 ? {} : { gpus }),
    ...(energy === null ? {} : { energy }),
  };
}

function latencies(windows: readonly RunWindow[], dueMs: DueTime): Percentiles {
  const values = windows.flatMap((window) => window.frames.map((frame) => frame.times.published - dueMs(frame)));
  return percentilesOf(Float64Array.from(values));
}

/** Sorted values, or quantiles of them at equal distances: frames of streams in step would fall into the same place of a turn. */
function sampleOf(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length <= SAMPLE_SIZE) return sorted;
  return Array.from({ length: SAMPLE_SIZE }, (_, i) => sorted[Math.ceil(((i + 1) * sorted.length) / SAMPLE_SIZE) - 1]!);
}

function streamOf({ streams }: RunWindow, id: string): RunWindow['streams'][number] | undefined {
  return streams.find((stream) => stream.id === id);
}

function faultsOf(windows: readonly RunWindow[], failedInferences: number): FaultCounts {
  const streams = windows.flatMap((window) => window.streams);
  return {
    frames: total(streams, ({ entered }) => entered),
    decodeErrors: total(streams, ({ decodeErrors }) => decodeErrors),
    failedInferences,
    reconnects: total(streams, ({ reconnects }) => reconnects),
    dropped: addReasons(streams.map(({ dropped }) => dropped)),
  };
}

/** Adds up counts by reason; reasons without a frame are left out. */
export function addReasons(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const reasons of counts)
    for (const [reason, count] of Object.entries(reasons)) if (count > 0) sums[reason] = (sums[reason] ?? 0) + count;
  return sums;
}

/** Null where neither the CPU nor a GPU reports its power. */
export function energyPerFrame(
  machine: MachineUse | null,
  gpus: readonly GpuReport[],
  fps: number,
): EnergyPerFrame | null {
  if (fps <= 0) return null;
  const cpuW = machine?.cpuPowerW ?? null;
  // The power of some GPUs is not that of all.
  const gpuW =
    gpus.length === 0 || gpus.some(({ powerW }) => powerW === null) ? null : total(gpus, ({ powerW }) => powerW!);
  if (cpuW === null && gpuW === null) return null;
  return {
    ...(cpuW === null ? {} : { cpuJoules: cpuW / fps }),
    ...(gpuW === null ? {} : { gpuJoules: gpuW / fps }),
  };
}

function cpuPerFrame(windows: readonly RunWindow[], frames: number): CpuUse | null {
  if (frames === 0 || windows.some(({ cpu }) => cpu === null)) return null;
  const perFrame = (key: keyof CpuUse): number => total(windows, ({ cpu }) => cpu![key]) / frames;
  const keys = Object.keys(windows[0]!.cpu!) as (keyof CpuUse)[];
  return Object.fromEntries(keys.map((key) => [key, perFrame(key)])) as unknown as CpuUse;
}

/** Slope of the frames in flight over the windows, by least squares. */
function growth(windows: readonly RunWindow[]): number {
  if (windows.length < 2) return 0;
  return slope(windows.map(({ startMs, endMs, inFlight }) => [(startMs + endMs) / 2000, inFlight] as const));
}

/** Frames that were dropped, for whatever reason; 0 of nothing. */
export function droppedOf(counts: { readonly dropped: Readonly<Record<string, number>> } | undefined): number {
  return total(Object.values(counts?.dropped ?? {}), (count) => count);
}

function secondsOf({ startMs, endMs }: RunWindow): number {
  return Math.max(1e-6, (endMs - startMs) / 1000);
}

export function total<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((sum, value) => sum + of(value), 0);
}
