import type { BusyStage, DeviceReport, Percentiles } from '../../protocol/report.ts';
import type { CpuUse } from '../../telemetry/cpu-ledger.ts';
import type { Bottleneck, Configuration, LeverId, ParetoPoint, Refusal, Step, TargetVerdict } from '../result.ts';
import type { LoadTest } from './load-tests.ts';

/** What a report shows of the machine that a measurement ran on. */
export interface ReportMachine {
  readonly cpuModel: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** By program or library: node, sightline, ffmpeg, the engines. */
  readonly versions: Readonly<Record<string, string>>;
}

/** One window of a trial, in order. */
export interface ReportWindow {
  readonly seconds: number;
  readonly fps: number;
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  /** Other processes, steal time or throttling took the CPU: excluded from the result. */
  readonly isDiscarded: boolean;
}

/** Use of the machine during a trial; null where the system does not report it. */
export interface ReportMachineUse {
  /** Shares of all cores, 0 to 1: of Sightline with its children, of others, of other virtual machines. */
  readonly ownRatio: number | null;
  readonly otherRatio: number | null;
  readonly stealRatio: number | null;
  readonly networkInBytesPerS: number | null;
  readonly networkOutBytesPerS: number | null;
  readonly memoryAvailableBytes: number | null;
}

/** What a report shows of the result of a trial. */
export interface ReportTrial {
  readonly fps: number;
  readonly frames: number;
  readonly latencyMs: Percentiles;
  /** A sample of the latencies; null if none was kept. */
  readonly latenciesMs: readonly number[] | null;
  /** Mean of each part per published frame; the parts add up to the whole. */
  readonly stagesMs: Readonly<Record<string, number>>;
  readonly cpuMsPerFrame: CpuUse | null;
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly isStable: boolean;
  readonly discardedWindows: number;
  readonly windows: readonly ReportWindow[];
  /** `|L - lambda W| / L` of Little's law. */
  readonly littleLawGap: number;
  readonly dropRatio: number;
  readonly rssBytes: number;
  /** Listeners and sinks per frame, after its publication. */
  readonly sendMs?: number;
  readonly machine?: ReportMachineUse;
  readonly device?: DeviceReport;
}

/** One measurement as the log keeps it. Ids are unique. */
export interface ReportMeasurement {
  readonly id: string;
  readonly kind: string;
  readonly configHash: string;
  readonly modelHash: string | null;
  readonly configuration: Configuration;
  readonly scenario: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly machine: ReportMachine;
  /** A trial, or something without frames per second, such as a judgement of quality. */
  readonly result: ReportTrial | object | null;
  readonly error: string | null;
}

/** A configuration and the trial that stands for it. */
export interface ReportSide {
  readonly configuration: Configuration;
  /** Id of the trial. */
  readonly measurement: string;
  readonly targets: readonly TargetVerdict[];
  /** The largest number of cameras that meets the targets; null if it was not measured. */
  readonly capacity: ReportCapacity | null;
}

export interface ReportCapacity {
  readonly cameras: number;
  /** Frames per second of each camera. */
  readonly cameraFps: number;
  /** At that number of cameras. */
  readonly p99Ms: number;
  /** Targets that the cameras had to meet, as a user writes them. */
  readonly target: string;
  readonly measurements: readonly string[];
}

/** How the quality of the best configuration compares with the baseline's. */
export interface ReportQuality {
  /** `ap`: average precision on labelled pictures. `agreement`: F1 against the reference on video. */
  readonly kind: 'ap' | 'agreement';
  /** AP, or the F1 of the reference with itself. */
  readonly baseline: number;
  readonly best: number;
  /** Negative is better. */
  readonly loss: number;
  /** 95 % interval of the loss. */
  readonly interval: readonly [number, number];
  readonly allowed: number;
  /** Pictures or frames that were compared. */
  readonly pictures: number;
  /** Loss by size of the objects. */
  readonly bySize: Readonly<Record<string, number>>;
  /** Classes that lose most, worst first. */
  readonly byClass: readonly { readonly label: string; readonly loss: number }[];
  readonly measurements: readonly string[];
}

/** How well the best configuration, where it skips inference, agrees on video with inference of every frame. */
export interface ReportSkipped {
  /** At IoU 0.5, over all frames, those between included. */
  readonly f1: number;
  readonly frames: number;
  readonly measurements: readonly string[];
}

/** What a lever does and what it takes to move it, in a few words. */
export interface LeverWords {
  readonly sentence: string;
  readonly effort: string;
  readonly risk: string;
}

export interface HostPrice {
  /** Price of one host for a month. */
  readonly amount: number;
  /** As it is written after an amount: `EUR`. */
  readonly currency: string;
}

export interface ReportOptions {
  /** As given: `fps>=30,p99<=50ms`; null without targets. */
  readonly target: string | null;
  readonly hostPrice: HostPrice | null;
  /** Share of a host that stays free for peaks. */
  readonly headroomRatio: number;
  /** Frames per second of the cameras that the plan is for. */
  readonly cameraFps: number;
  /** Labels and pictures, as given; null without them. */
  readonly annotations: string | null;
  readonly images: string | null;
  /** Path of the pipeline that was found, as commands name it. */
  readonly bestPath: string;
  /** Folder of the report. */
  readonly reportDir: string;
  /** WIDTHxHEIGHT of the video that was measured. */
  readonly pictureSize: string;
}

/**
 * Everything that a report shows. Each id that a part names is the id of one of `measurements`; the report refuses to be
 * written otherwise.
 */
export interface ReportInput {
  /** The pipeline or input as the user named it. */
  readonly subject: string;
  readonly createdAt: string;
  readonly seconds: number;
  readonly seed: number;
  readonly machine: ReportMachine;
  readonly baseline: ReportSide;
  readonly best: ReportSide;
  readonly steps: readonly Step[];
  readonly refusals: readonly Refusal[];
  /** Ranked, the worst first. */
  readonly bottlenecks: readonly (Bottleneck & { readonly measurements: readonly string[] })[];
  readonly pareto: readonly ParetoPoint[];
  /** null if quality was not judged. */
  readonly quality: ReportQuality | null;
  /** null if the best configuration infers every frame, or if `quality` says it already. */
  readonly skipped: ReportSkipped | null;
  readonly levers: Readonly<Record<LeverId, LeverWords>>;
  readonly measurements: readonly ReportMeasurement[];
  /** Load tests of the result that have been run since, oldest first. */
  readonly loadTests: readonly LoadTest[];
  readonly options: ReportOptions;
}
