import type { Configuration, LeverId } from './levers/levers.ts';

/** What a search for a faster configuration consists of: its points, its steps, what the gate did not pass and what it found. */

export type { Configuration, LeverId };

export type StepVerdict = 'better' | 'worse' | 'inconclusive' | 'refused' | 'failed' | 'ruled-out';

export interface Step {
  readonly lever: LeverId;
  readonly from: string;
  readonly to: string;
  /** Ratio of frames/s: 1.25 is 25 % faster. */
  readonly predictedGain: number;
  /** null if it was not run. */
  readonly measuredGain: number | null;
  /** 95 % interval of the measured gain. */
  readonly interval: readonly [number, number] | null;
  /** Rates of both, measured in turn; null if it was not run, or compared otherwise. */
  readonly beside: readonly [before: number, after: number] | null;
  /** AP lost against the baseline on the search part, 0.01 is one point; negative is better. */
  readonly apLoss: number | null;
  readonly verdict: StepVerdict;
  /** Whether the search went on from there. */
  readonly isTaken: boolean;
  readonly reason: string;
  /** Ids. */
  readonly measurements: readonly string[];
}

/** A configuration that the gate did not pass, on either part. */
export interface Refusal {
  readonly configuration: Configuration;
  /** Absent: refused. */
  readonly verdict?: 'refused' | 'inconclusive';
  readonly reason: string;
  readonly loss: number | null;
  readonly upperBound: number | null;
  readonly allowed: number;
  readonly measurements: readonly string[];
}

export interface ParetoPoint {
  readonly configuration: Configuration;
  readonly ap: number | null;
  readonly fps: number;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly measurements: readonly string[];
}
