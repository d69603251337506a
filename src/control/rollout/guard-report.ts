import type { Detection } from '../../core/detection.ts';

/** What a host counted for one side of one stream since its last observation. */
export interface SideObservation {
  readonly stream: string;
  readonly side: 'control' | 'candidate';
  /** Frames with a result. */
  readonly frames: number;
  readonly dropped: number;
  /** Frames whose inference failed. */
  readonly failed: number;
  /** Captured to published, one number for each frame with a result. */
  readonly latenciesMs: readonly number[];
  readonly boxes: number;
  /** Sum of the scores of all boxes. */
  readonly scoreSum: number;
  /** CPU or device time for all frames together; 0 if it is not measured. */
  readonly deviceMs: number;
  readonly fpsAttained: number;
  /** Time that the observation covers. */
  readonly seconds: number;
}

/** One frame that control and candidate both inferred. */
export interface ShadowObservation {
  readonly stream: string;
  readonly frame: number;
  /** Source pixels, from the score threshold of its side. */
  readonly control: readonly Detection[];
  readonly candidate: readonly Detection[];
}

/** Engine threads or processes of the candidate that ended and were started again since the last observation. */
export interface EngineObservation {
  readonly restarts: number;
}

export type Observation = SideObservation | ShadowObservation | EngineObservation;

/** `undecided`: the data allow both; `no-data`: there are none. Both hold the roll-out. */
export type GuardVerdict = 'pass' | 'fail' | 'undecided' | 'no-data';

export interface GuardReport {
  readonly guard: string;
  readonly kind: 'hard' | 'statistical';
  readonly verdict: GuardVerdict;
  /** Candidate against control, in the unit of the margin: a difference, or a relative change. */
  readonly estimate: number | null;
  /** Ends of the interval; null if it has no end yet. */
  readonly low: number | null;
  readonly high: number | null;
  readonly margin: number;
  /** Frames of the candidate that the verdict stands on. */
  readonly frames: number;
  /** One sentence with figures. */
  readonly reason: string;
}

/** Judges a candidate against the control. A roll-out has one. */
export interface GuardPanel {
  observe(observation: Observation): void;
  /** One report for each guard that is on, in a fixed order. May be called at any time and as often as wanted. */
  reports(): readonly GuardReport[];
  /** Forgets the candidate and keeps what is known of the control: a new step begins. */
  reset(): void;
  /** JSON from which the panel can be restored on another host. */
  snapshot(): unknown;
}
