import { BUSY_STAGES, type BusyStage, type Percentiles } from '../protocol/report.ts';
import type { CpuUse } from '../telemetry/cpu-ledger.ts';
import { percentilesOf } from '../telemetry/sliding-window.ts';
import { addSums, latencyParts, littleLawGap } from './breakdown.ts';
import { type InterferenceLimits, interference } from './interference.ts';
import type { RecordedFrame, RunWindow } from './run-recorder.ts';
import type { MachineUse, Part, TrialResult, WindowFigures } from './trial-result.ts';

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
  | 'heldBackRatio'
  | 'eventLoopP99Ms'
  | 'machine'
> & { readonly stagesMs: Record<Part, number> };

/**
 * @param windows - at least one; they need not be adjacent.
 * @param streamIds - of all streams, also of those that published nothing.
 */
export function summariseWindows(
  windows: readonly RunWindow[],
  streamIds: readonly string[],
  dueMs: DueTime,
): WindowSummary {
  const frames = windows.flatMap((window) => window.frames);
  const seconds = total(windows, secondsOf);
  const weighted = (figure: (window: RunWindow) => number): number =>
    total(windows, (window) => figure(window) * secondsOf(window)) / seconds;
  const sums = windows.map((window) => window.sums).reduce(addSums);
  const entered = total(windows, (window) => window.entered);
  const inFlight = weighted((window) => window.inFlight);
  const residenceMs = total(windows, (window) => window.residenceMs);
  const counts = new Map<string, number>();
  for (const { streamId } of frames) counts.set(streamId, (counts.get(streamId) ?? 0) + 1);
  return {
    fps: frames.length / seconds,
    streamFps: streamIds.map((id) => (counts.get(id) ?? 0) / seconds),
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
    dropRatio: entered === 0 ? 0 : total(windows, (window) => window.dropped) / entered,
    heldBackRatio: weighted((window) => window.heldBackRatio),
    eventLoopP99Ms: Math.max(...windows.map((window) => window.eventLoopP99Ms)),
    machine: machineOf(windows, weighted),
  };
}

function latencies(windows: readonly RunWindow[], dueMs: DueTime): Percentiles {
  const values = windows.flatMap((window) => window.frames.map((frame) => frame.times.published - dueMs(frame)));
  return percentilesOf(Float64Array.from(values));
}

/** Every k-th value, so that the sample spans the whole time and favours no stream. */
function sampleOf(values: readonly number[]): number[] {
  const step = Math.max(1, Math.ceil(values.length / SAMPLE_SIZE));
  return values.filter((_, i) => i % step === 0);
}

function cpuPerFrame(windows: readonly RunWindow[], frames: number): CpuUse | null {
  if (frames === 0 || windows.some(({ cpu }) => cpu === null)) return null;
  const perFrame = (key: keyof CpuUse): number => total(windows, ({ cpu }) => cpu![key]) / frames;
  return {
    decode: perFrame('decode'),
    preprocess: perFrame('preprocess'),
    infer: perFrame('infer'),
    main: perFrame('main'),
    total: perFrame('total'),
  };
}

/** Slope of the frames in flight over the windows, by least squares. */
function growth(windows: readonly RunWindow[]): number {
  const at = windows.map(({ startMs, endMs }) => (startMs + endMs) / 2000);
  const meanAt = at.reduce((sum, s) => sum + s, 0) / at.length;
  const meanFrames = total(windows, ({ inFlight }) => inFlight) / windows.length;
  const spread = at.reduce((sum, s) => sum + (s - meanAt) ** 2, 0);
  if (spread === 0) return 0;
  return windows.reduce((sum, { inFlight }, i) => sum + (at[i]! - meanAt) * (inFlight - meanFrames), 0) / spread;
}

function machineOf(
  windows: readonly RunWindow[],
  weighted: (figure: (window: RunWindow) => number) => number,
): MachineUse {
  const mean = (key: keyof MachineUse): number | null =>
    windows.some(({ machine }) => machine[key] === null) ? null : weighted(({ machine }) => machine[key]!);
  return {
    ownRatio: mean('ownRatio'),
    otherRatio: mean('otherRatio'),
    stealRatio: mean('stealRatio'),
    throttledRatio: mean('throttledRatio'),
    networkInBytesPerS: mean('networkInBytesPerS'),
    networkOutBytesPerS: mean('networkOutBytesPerS'),
    memoryAvailableBytes: mean('memoryAvailableBytes'),
  };
}

function secondsOf({ startMs, endMs }: RunWindow): number {
  return Math.max(1e-6, (endMs - startMs) / 1000);
}

function total(windows: readonly RunWindow[], figure: (window: RunWindow) => number): number {
  return windows.reduce((sum, window) => sum + figure(window), 0);
}
