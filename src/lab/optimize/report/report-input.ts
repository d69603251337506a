import type { TrackAgreement } from '../../../network/evaluate/track-agreement.ts';
import type { Bottleneck } from '../../measure/bottlenecks.ts';
import type { MachineFacts } from '../../measure/machine-facts.ts';
import type { MeasurementRecord } from '../../measure/measurement-log.ts';
import type { TargetVerdict, TrialResult } from '../../measure/trial-result.ts';
import type { CountComparison } from '../gate/compare-counts.ts';
import type { Difference } from '../gate/difference.ts';
import type { GateVerdict } from '../gate/gate-verdict.ts';
import type { Configuration, Refusal } from '../result.ts';
import type { Comparison } from '../search/evaluator.ts';
import type { SearchResult } from '../search/search.ts';

/** What a report shows of the machine that a measurement ran on. */
export type ReportMachine = Pick<MachineFacts, 'cpuModel' | 'cores' | 'memoryBytes' | 'versions'>;

/** What a report shows of the result of a trial. Faults, GPUs and energy are absent where nothing reports them. */
export type ReportTrial = Pick<
  TrialResult,
  'fps' | 'frames' | 'latencyMs' | 'latenciesMs' | 'stagesMs' | 'cpuMsPerFrame'
> &
  Pick<TrialResult, 'busyRatio' | 'isStable' | 'discardedWindows' | 'littleLawGap' | 'dropRatio' | 'rssBytes'> &
  Partial<Pick<TrialResult, 'sendMs' | 'machine' | 'device' | 'faults' | 'gpus' | 'energy'>>;

/** Joules of CPUs and GPUs for one published frame; null where the machine reports neither. */
export function joulesPerFrame({ energy }: ReportTrial): number | null {
  const parts = [energy?.cpuJoules, energy?.gpuJoules].filter((joules) => joules !== undefined);
  return parts.length === 0 ? null : parts.reduce((sum, joules) => sum + joules, 0);
}

/** One measurement as the log keeps it. Ids are unique. A result is a trial, or something else such as a judgement. */
export type ReportMeasurement = Omit<MeasurementRecord<Configuration, object>, 'kind' | 'machine'> & {
  readonly kind: string;
  readonly machine: ReportMachine;
};

/** A configuration and the trial that stands for it. */
export interface ReportSide {
  readonly configuration: Configuration;
  /** Id of the trial. */
  readonly measurement: string;
  readonly targets: readonly Omit<TargetVerdict, 'gap'>[];
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
  /** False if the time was too short to prove that they hold. */
  readonly isProven: boolean;
  readonly measurements: readonly string[];
}

/** Whether the figures may be relied on. An invalid measurement says nothing about what is faster. */
interface ReportValidity {
  readonly isValid: boolean;
  /** Whole sentences, such as which share of the CPU others took. */
  readonly reasons: readonly string[];
}

/** The best against the baseline in interleaved runs: the headline. */
export interface ReportSpeedup extends Comparison {
  readonly pairs: number;
  /** Median frames per second of each side in these runs; null if not kept. */
  readonly beforeFps: number | null;
  readonly afterFps: number | null;
}

/** How the quality of the best configuration compares with the baseline's on one set of pictures or one piece of video. */
export interface QualityFigure
  extends Pick<GateVerdict, 'measure' | 'reference' | 'candidate' | 'loss' | 'interval' | 'level' | 'allowed'>,
    Pick<GateVerdict, 'pictures' | 'published' | 'bySize' | 'byClass' | 'byTag'> {
  readonly measurements: readonly string[];
}

export interface ReportQuality {
  /** On the part that chose the best configuration, which flatters it; null if not judged. */
  readonly search: QualityFigure | null;
  /** On the part that only finalists saw, once; null if not judged. */
  readonly heldOut: (QualityFigure & { readonly finalists: number }) | null;
}

/** What is faster than the best if people accept what figures cannot settle. */
export interface ReportFaster {
  readonly configuration: Configuration;
  /** Against the baseline, in turn. */
  readonly speedup: Pick<Comparison, 'ratio' | 'interval'>;
  /** On the held-out part; null without labels. */
  readonly ap: number | null;
  /** On the held-out part; null if neither labels nor agreement judged it. */
  readonly quality: QualityFigure | null;
  readonly differences: readonly Difference[];
  /** Path of its pipeline. */
  readonly file: string;
  /** Name of the page, beside the report, that asks people about the differences; null if no answer would settle one. */
  readonly review: string | null;
  readonly measurements: readonly string[];
}

/** What is counted in the user's streams before and after. */
export interface ReportCounts {
  readonly counts: readonly CountComparison[];
  readonly tracks: readonly Pick<TrackAgreement, 'tracks' | 'kept'>[];
  readonly isOtherDetector: boolean;
  /** Whether the user accepts other counts (`--accept-counts`). */
  readonly isAccepted: boolean;
}

/** A trial at the speed of cameras. */
export interface LiveSide {
  readonly cameras: number;
  readonly cameraFps: number;
  /** Id of the trial. */
  readonly measurement: string;
}

/** A technique that somebody would ask about, and what became of it. */
export interface Technique {
  readonly name: string;
  readonly state: 'tried' | 'not tried' | 'not applicable';
  /** The outcome, or why not. */
  readonly reason: string;
  readonly measurements: readonly string[];
}

/** A limit of a trial, its remedy, and what a change that does just that has gained. */
export interface ReportBottleneck extends Bottleneck {
  readonly measurements: readonly string[];
}

/** How well identities are kept, on sequences with true tracks: today and by another configuration. */
export interface IdentityFigures
  extends Pick<GateVerdict, 'reference' | 'candidate' | 'loss' | 'interval' | 'allowed'>,
    Required<Pick<GateVerdict, 'identities'>> {
  readonly verdict: GateVerdict['verdict'];
  readonly tracks: number;
}

/** How well the best configuration, where it skips inference, agrees on video with inference of every frame. */
export interface ReportSkipped {
  /** At IoU 0.5, over all frames, those between included. */
  readonly f1: number;
  readonly frames: number;
  readonly measurements: readonly string[];
}

export interface ReportOptions {
  /** As given: `fps>=30,p99<=50ms`; null without targets. */
  readonly target: string | null;
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
export interface ReportInput extends Pick<SearchResult, 'steps' | 'ended' | 'finalists' | 'pareto'> {
  /** The pipeline or input as the user named it. */
  readonly subject: string;
  readonly createdAt: string;
  readonly seconds: number;
  readonly seed: number;
  readonly machine: ReportMachine;
  readonly validity: ReportValidity;
  /** Whether rates are by CPU time, as other programs used the machine. */
  readonly byCpuTime: boolean;
  readonly baseline: ReportSide;
  readonly best: ReportSide;
  /** null if the best is the baseline, or if there was no time to compare them in turn. */
  readonly speedup: ReportSpeedup | null;
  /** null if nothing is. */
  readonly faster: ReportFaster | null;
  readonly refusals: readonly Refusal[];
  /** Of the baseline, the worst first. `measuredGain` only of a change that does what `predictedGain` assumes. */
  readonly bottlenecks: readonly ReportBottleneck[];
  /** Of the best configuration: what to do after it. */
  readonly nextBottlenecks: readonly ReportBottleneck[];
  readonly quality: ReportQuality;
  /** null if the best configuration infers every frame, or if `quality` says it already. */
  readonly skipped: ReportSkipped | null;
  /** null without sequences with true tracks. */
  readonly identities: IdentityFigures | null;
  /** null if nothing was counted: labelled pictures have no lines. */
  readonly counts: ReportCounts | null;
  /** Trials at the number of cameras that each side is meant to serve; null where none was measured. */
  readonly liveStages: { readonly before: LiveSide | null; readonly after: LiveSide | null };
  readonly techniques: readonly Technique[];
  readonly measurements: readonly ReportMeasurement[];
  readonly options: ReportOptions;
}
