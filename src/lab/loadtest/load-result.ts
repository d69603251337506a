import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import type { Percentiles } from '../../wire/protocol/report.ts';
import type { Part, TargetVerdict, TrialResult } from '../measure/trial-result.ts';

export const PROFILES = ['baseline', 'peak', 'stress', 'endurance'] as const;
export type ProfileName = (typeof PROFILES)[number];

export const CAMERA_PROTOCOLS = ['http', 'rtsp', 'file'] as const;
/** How streams read their cameras. `file`: no cameras, but a file read at its own rate by each stream. */
export type CameraProtocol = (typeof CAMERA_PROTOCOLS)[number];

/** met: every target is met. missed: one is missed. not enough frames: none is missed, but the frames do not prove it. */
export type LoadVerdict = TargetVerdict['state'];

/** What one camera's stream got in a span of time. */
export interface StreamShare {
  readonly id: string;
  /** Frames that the camera offered, less those that the stream's settings leave out. */
  readonly offered: number;
  readonly published: number;
  /** published / offered, at most 1; 1 if nothing was offered. */
  readonly share: number;
  readonly latencyMs: Percentiles;
  /** Dropped by Sightline, or not taken from the camera. */
  readonly dropped: number;
}

/** What limits, and why. */
export interface Constraint {
  readonly part: string;
  readonly busyRatio: number;
  readonly explanation: string;
  readonly remedy: string;
}

/** A span of time with a fixed number of cameras. */
export interface LoadStep
  extends Pick<TrialResult, 'seconds' | 'fps' | 'frames' | 'latencyMs' | 'faults' | 'targets' | 'gpus' | 'energy'> {
  readonly name: string;
  readonly cameras: number;
  readonly offeredFps: number;
  /** Age of the oldest result; results of live streams that are older than `maxAgeMs` when inferred are dropped instead. */
  readonly oldestMs: number;
  /** Dropped by Sightline, or not taken from the camera, over frames offered. */
  readonly dropRatio: number;
  /** By reason, over all streams. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Mean time of each stage per published frame, as in an offline trial; null for a gateway. */
  readonly stagesMs: Readonly<Record<Part, number>> | null;
  /** Frames that readers did not take from their cameras in time. */
  readonly lostAtCameras: number;
  /** Entered less published, dropped and in flight, summed; anything but 0 is a bug. Null if it cannot be seen from outside. */
  readonly conservationGap: number | null;
  /** Jain's index of the shares: 1 if all streams get the same share of what they offer, 1/n if one gets all. */
  readonly fairness: number;
  readonly shares: readonly StreamShare[];
  readonly verdict: LoadVerdict;
  /** What limits, the first one most. */
  readonly constraints: readonly Constraint[];
  readonly machine: MachineUse | null;
  /** What the cameras themselves used; null with protocol `file`. */
  readonly cameraCpuCores: number | null;
  /** Longest delay of a camera's own clock. */
  readonly cameraLateMs: number | null;
}

export interface Degradation {
  readonly cameras: number;
  /** Results stayed younger than the streams' `maxAgeMs` plus the time of one inference. */
  readonly areAgesBounded: boolean;
  readonly oldestMs: number;
  readonly maxAgeMs: number;
  /** Jain's index is high, and no stream gets less than half of what the others get. */
  readonly isFair: boolean;
  readonly fairness: number;
  /** Smallest share of a stream over the mean share. */
  readonly leastShare: number;
  /** Every frame that is missing has a reason. */
  readonly areDropsNamed: boolean;
  readonly dropped: Readonly<Record<string, number>>;
}

export interface BreakPoint {
  /** The largest number of cameras that missed no target; 0 if not even one did. */
  readonly cameras: number;
  /** True if two runs with that number proved that every target is met. */
  readonly isProven: boolean;
  /** The smallest number that did not hold, one more unless the time was over; null if none did. */
  readonly brokenAt: number | null;
  /** Stage that limits there; null if nothing broke. */
  readonly firstToGive: string | null;
  readonly target: string | null;
  readonly explanation: string | null;
}

export const SLOPE_FIGURES = [
  'rssBytes',
  'childRssBytes',
  'heapUsedBytes',
  'descriptors',
  'threads',
  'handles',
  'p99Ms',
] as const;
export type SlopeFigure = (typeof SLOPE_FIGURES)[number];

export interface FigureSlope {
  readonly figure: SlopeFigure;
  readonly mean: number;
  readonly perHour: number;
  /** 95 % interval. */
  readonly interval: readonly [number, number];
  /** Change over the measured time that still counts as none. */
  readonly allowedPerHour: number;
  /** grows: the whole interval is above the allowed slope. unclear: part of it is. steady: none is. */
  readonly verdict: 'steady' | 'grows' | 'unclear';
}

export interface CameraCost {
  readonly count: number;
  readonly protocol: CameraProtocol;
  /** Mean use of the CPU, in cores; null with protocol `file`, where ffmpeg's pacing is part of the pipeline. */
  readonly cpuCores: number | null;
  readonly rssBytes: number | null;
  readonly framesOffered: number;
  readonly framesLost: number;
  readonly framesUnread: number;
  readonly lateMs: number | null;
}

/** What a load test found. */
export interface LoadResult {
  readonly profile: ProfileName;
  /** Pipeline file, or address of the gateway. */
  readonly subject: string;
  readonly createdAt: string;
  readonly seconds: number;
  readonly seed: number;
  readonly verdict: LoadVerdict;
  /** Why, in one sentence. */
  readonly reason: string;
  readonly targets: readonly TargetVerdict[];
  readonly steps: readonly LoadStep[];
  readonly cameras: CameraCost;
  /** Stress only; else null. */
  readonly breakPoint: BreakPoint | null;
  readonly degradation: Degradation | null;
  /** Stress: from the fall of the load until all results were within the targets again; null if they never were, or for other profiles. */
  readonly recoverySeconds: number | null;
  /** Endurance only; else empty. */
  readonly slopes: readonly FigureSlope[];
  readonly notes: readonly string[];
}
