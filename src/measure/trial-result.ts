import type { BatchReport, BusyStage, DeviceReport, Percentiles } from '../protocol/report.ts';
import type { CpuUse } from '../telemetry/cpu-ledger.ts';

/**
 * Parts of the way of a frame, in order. They add up to its whole latency.
 * - `read`: cameras only, from the moment the frame was due until ffmpeg delivered it: network, pacing, a late decoder.
 * - `decode`: from ffmpeg's header until the last pixel was read from its pipe.
 * - `preprocess`: until the model's input was ready.
 * - `wait`: in the queue, and on the inference thread behind other batches.
 * - `infer`: in the engine. `postprocess`: outputs to boxes.
 * - `track`: tracker, zones and lines.
 * - `publish`: the way back to the main thread, and waiting for earlier frames of the stream.
 * - `unaccounted`: the rest.
 */
export const PARTS = [
  ...(['read', 'decode', 'preprocess', 'wait', 'infer', 'postprocess', 'track', 'publish', 'unaccounted'] as const),
];
export type Part = (typeof PARTS)[number];

/** Use of the machine in a span of time. Null where the system does not report it. */
export interface MachineUse {
  /** Share of the CPU that Sightline used with all its threads and children, 0 to 1. */
  readonly ownRatio: number | null;
  /** Share that other processes used. */
  readonly otherRatio: number | null;
  /** Share that the hypervisor gave to other virtual machines. */
  readonly stealRatio: number | null;
  /** Share of the time in which a CPU limit (cgroup) held the processes back. */
  readonly throttledRatio: number | null;
  readonly networkInBytesPerS: number | null;
  readonly networkOutBytesPerS: number | null;
  readonly memoryAvailableBytes: number | null;
}

export interface WindowFigures {
  /** Since the streams were added. */
  readonly startS: number;
  readonly seconds: number;
  readonly frames: number;
  readonly fps: number;
  readonly latencyMs: Percentiles;
  /** Mean number of frames between decoded and published or dropped. */
  readonly inFlight: number;
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly machine: MachineUse;
  readonly isDiscarded: boolean;
  /** Who took the CPU, with figures; null if nobody did. */
  readonly discardedBecause: string | null;
}

/** A target, and what a trial says about it. */
export interface TargetVerdict {
  readonly target: string;
  /** Milliseconds, frames per second, streams, or a ratio; null if it was not measured. */
  readonly measured: number | null;
  readonly state: 'met' | 'missed' | 'not enough frames';
  readonly reason: string;
  /** Distance to the limit as a share of it: 0.2 = 20 % better than needed, -0.2 = 20 % short; null if not measured. */
  readonly gap: number | null;
}

export interface TrialResult {
  readonly scenario: string;
  readonly streams: number;
  readonly fps: number;
  /** Of each stream. */
  readonly streamFps: readonly number[];
  readonly frames: number;
  /** Time over which the figures were taken. */
  readonly seconds: number;
  /** Captured to published; in scenario `cameras` from the moment the frame was due. */
  readonly latencyMs: Percentiles;
  /** Every k-th latency, at most 2,000. */
  readonly latenciesMs: readonly number[] | null;
  /** Mean time of each part per published frame. */
  readonly stagesMs: Readonly<Record<Part, number>>;
  /** After that, per frame: listeners and sinks on the main thread. */
  readonly sendMs: number;
  readonly cpuMsPerFrame: CpuUse | null;
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly isStable: boolean;
  readonly discardedWindows: number;
  readonly windows: readonly WindowFigures[];
  /** Mean number of frames between decoded and published or dropped. */
  readonly inFlight: number;
  /** |L - lambda W| / L between the sampled number of frames in flight and what rate and latency say. */
  readonly littleLawGap: number;
  /** By how many frames the number in flight grew per second. */
  readonly queueGrowthPerS: number;
  readonly dropRatio: number;
  /** Share of the time in which ffmpeg was held back because no slot was free, mean over the streams. */
  readonly heldBackRatio: number;
  readonly eventLoopP99Ms: number;
  /** Places where a stage works at the same time. */
  readonly servers: Readonly<Record<BusyStage, number>>;
  readonly cores: number;
  readonly rssBytes: number;
  readonly childRssBytes: number;
  readonly machine: MachineUse;
  readonly device: DeviceReport;
  readonly batch: BatchReport;
  /** Empty if there were no targets. */
  readonly targets: readonly TargetVerdict[];
}
