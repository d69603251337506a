import type { Estimate } from '../../../measure/sequential.ts';
import type { SideObservation } from '../../../protocol/rollout-records.ts';

/** Figures of both sides by blocks of time, all streams together, each stream measured against its own baseline. */
export type SideFigure =
  | 'frames'
  | 'fps'
  | 'fpsExpected'
  | 'deviceMs'
  | 'deviceMsExpected'
  | 'dropsExcess'
  | 'arrived'
  | 'boxes'
  | 'boxesExpected'
  | 'scoreExcess';

/** Differences on frames that both sides inferred, all streams together. Each is null where there is nothing to compare. */
export interface PairedFrames {
  /** Share of boxes without a counterpart: 1 - F1. */
  f1Loss(typical: number): Estimate | null;
  /** Relative difference of the number of boxes. */
  boxes(typical: number): Estimate | null;
  /** Difference of the mean confidence. */
  confidence(typical: number): Estimate | null;
}

/** What one side of a stream did in a block. */
export interface StreamSums {
  seconds: number;
  frames: number;
  dropped: number;
  arrived: number;
  /** Latencies above the baseline's median times 1 + limit. */
  slow: number;
  /** Latencies above the baseline's 99th percentile, for the candidate times 1 + limit. */
  tail: number;
}

/** Both sides of a stream in neighbouring turns. */
export interface StreamBlock {
  readonly candidate: Readonly<StreamSums>;
  readonly control: Readonly<StreamSums>;
  /** All of the control in this step. */
  readonly controlSum: Readonly<StreamSums>;
  /** See `SideObservation`; null if both sides are to have the same rate. */
  readonly pace: SideObservation['pace'] | null;
  /** See `SideObservation`. */
  readonly isOwnRate: boolean;
}

/** Boxes of a stream, a class, or a class of a stream on frames that both sides inferred, in a block. */
export interface ClassBlock {
  /** Boxes that the control publishes, and those of them that the candidate lacks. */
  readonly boxes: number;
  readonly missed: number;
  /** Boxes that the candidate publishes, and those of them that the control lacks. */
  readonly candidateBoxes: number;
  readonly extra: number;
  /** Boxes of both sides whose score is far above the threshold. */
  readonly sure: number;
}

/** Share of the control's frames above the tail of the baseline, its 99th percentile. */
export const TAIL_SHARE = 0.01;

/** Returns a share; 0 of nothing. */
export function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

export function countAbove(values: readonly number[], limit: number): number {
  let count = 0;
  for (const value of values) if (value > limit) count += 1;
  return count;
}

/** Returns the rate that the candidate of a stream must attain, from that of its control. */
export function wantedFps(controlFps: number, pace: SideObservation['pace'] | null): number {
  if (pace == null) return controlFps;
  return Math.min(controlFps * pace.ratio, pace.mostFps ?? Number.POSITIVE_INFINITY);
}
