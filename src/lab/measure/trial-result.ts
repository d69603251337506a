import type { CpuUse } from '../../frame/telemetry/cpu-ledger.ts';
import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import type { GpuReport } from '../../wire/protocol/power-report.ts';
import type { BatchReport, BusyStage, DeviceReport, Percentiles } from '../../wire/protocol/report.ts';

/**
 * Stages of the way of a frame, in order. They add up to its whole latency.
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

/** Energy of the whole machine per published frame, as far as the machine reports it. */
export interface EnergyPerFrame {
  /** CPU packages and their memory. */
  readonly cpuJoules?: number;
  /** All GPUs. */
  readonly gpuJoules?: number;
}

/** What went wrong in a span of time, as counts. Rates per million frames are counts * 1e6 / `frames`. */
export interface FaultCounts {
  /** Frames that entered in the same span. */
  readonly frames: number;
  /** Damaged pictures and packets that ffmpeg reported. */
  readonly decodeErrors: number;
  /** Frames whose inference failed, also those that were inferred again; of a gateway those that were dropped for it. */
  readonly failedInferences: number;
  /** Times that a source was reopened. */
  readonly reconnects: number;
  /** Frames that were dropped, by reason. Reasons without a frame are absent. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** How many frames of a stream were slower than the limit of a target, counted over all of them. */
export interface PercentileCount {
  readonly metric: string;
  readonly limitMs: number;
  /** Frames that took longer, or may have: from outside only bounds are known. */
  readonly over: number;
  /** Frames that certainly took longer. */
  readonly surelyOver: number;
  /** The percentile of the metric, to within 1 %. */
  readonly measuredMs: number;
}

/** What one stream got in the measured time. */
export interface StreamFigures {
  readonly id: string;
  /** Published frames per second. */
  readonly fps: number;
  /** Media time that its published frames went on, per time: at 2 a video takes half of its length. */
  readonly mediaSpeed: number;
  /** Published frames whose latency is known. */
  readonly frames: number;
  readonly latencyMs: Percentiles;
  /** One for each percentile that is a target. */
  readonly counts: readonly PercentileCount[];
  readonly entered: number;
  readonly dropped: number;
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
  /** Of each stream, also of one that published nothing. */
  readonly perStream: readonly StreamFigures[];
  readonly frames: number;
  /** Time over which the figures were taken. */
  readonly seconds: number;
  /** Captured to published; in scenario `cameras` from the moment the frame was due. */
  readonly latencyMs: Percentiles;
  /** All latencies of all streams, sorted; of more than 2,000 as many quantiles at equal distances, the longest included. */
  readonly latenciesMs: readonly number[] | null;
  /** Mean time of each stage per published frame. */
  readonly stagesMs: Readonly<Record<Part, number>>;
  /** After that, per frame: listeners and sinks on the main thread. */
  readonly sendMs: number;
  readonly cpuMsPerFrame: CpuUse | null;
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly isStable: boolean;
  readonly discardedWindows: number;
  /** True if others took the CPU in so many windows that too few are left to judge by. */
  readonly isDisturbed: boolean;
  readonly windows: readonly WindowFigures[];
  /** Mean number of frames between decoded and published or dropped. */
  readonly inFlight: number;
  /** |L - lambda W| / L between the sampled number of frames in flight and what rate and latency say. */
  readonly littleLawGap: number;
  /** By how many frames the number in flight grew per second. */
  readonly queueGrowthPerS: number;
  readonly dropRatio: number;
  readonly faults: FaultCounts;
  /** Share of the time in which ffmpeg was held back because no slot was free, mean over the streams. */
  readonly heldBackRatio: number;
  readonly eventLoopP99Ms: number;
  /** Places where a stage works at the same time. */
  readonly servers: Readonly<Record<BusyStage, number>>;
  readonly cores: number;
  readonly rssBytes: number;
  readonly childRssBytes: number;
  readonly machine: MachineUse;
  /** Absent where there is no GPU whose driver reports its use. */
  readonly gpus?: readonly GpuReport[];
  /** Absent where the machine reports no energy. */
  readonly energy?: EnergyPerFrame;
  readonly device: DeviceReport;
  readonly batch: BatchReport;
  /** Empty if there were no targets. */
  readonly targets: readonly TargetVerdict[];
}
