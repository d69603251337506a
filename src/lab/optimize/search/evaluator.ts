import type { CpuUse } from '../../../frame/telemetry/cpu-ledger.ts';
import type { Difference } from '../gate/difference.ts';
import type { InferPart } from '../levers/levers.ts';
import type { Configuration } from '../result.ts';

/** CPU milliseconds (on a GPU: device milliseconds) that an engine takes for one frame, without a pipeline. */
export interface InferTimes {
  /** On one thread, with the other cores idle. */
  readonly oneThreadMs: number;
  /** The same on each of as many threads as the machine has cores; they share caches and memory. */
  readonly allThreadsMs: number;
}

/** What the search needs of a measured run of the whole pipeline. */
export interface Trial {
  readonly fps: number;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: CpuUse | null;
  /** Whether the run meets every target of the user; true without targets. */
  readonly meetsTargets: boolean;
  readonly measurements: readonly string[];
}

/** Two configurations measured in turn, A B B A: what slows the machine for a while slows both. */
export interface Pair {
  readonly before: Trial;
  readonly after: Trial;
  /** Frames per second of the second to those of the first, of each half. */
  readonly ratios: readonly [number, number];
  readonly measurements: readonly string[];
}

/** Two configurations measured in turn, often enough for an interval of their own. */
export interface Comparison {
  /** Frames per second of the second to those of the first. */
  readonly ratio: number;
  /** 95 %. */
  readonly interval: readonly [number, number];
  readonly measurements: readonly string[];
}

/** What the chance to be proven is multiplied by where the search part shows something that only people can settle. */
export const OPEN_CHANCE = 0.1;

/** What the quality gate says of a configuration against the baseline. */
export interface Quality {
  readonly verdict: 'passed' | 'refused' | 'inconclusive';
  /** Null without labels. */
  readonly ap: number | null;
  /** AP points or agreement lost, 0.01 is one point; negative if better. */
  readonly loss: number;
  /** Upper end of the interval of `loss`. */
  readonly upperBound: number | null;
  /** Most that may be lost. */
  readonly allowed: number;
  /** Of a screening: the chance to be proven by the held-out part, 0 to 1. */
  readonly chance: number;
  /** The same if people settle `differences` in its favour; default: `chance`. */
  readonly settledChance?: number;
  /** What only people can settle. A configuration that passes with none is proven. */
  readonly differences: readonly Difference[];
  readonly reason: string;
  readonly measurements: readonly string[];
}

/** Measures for the search. Each call may throw a SightlineError: that configuration is then left out. */
export interface Evaluator {
  /** Times one engine with one network. */
  probe(part: InferPart): Promise<InferTimes>;
  /** Runs the pipeline. */
  trial(configuration: Configuration): Promise<Trial>;
  /** Runs two pipelines in turn for a few seconds. */
  pair(a: Configuration, b: Configuration): Promise<Pair>;
  /** Runs two pipelines in turn, longer. */
  compare(a: Configuration, b: Configuration): Promise<Comparison>;
  /**
   * Judges what a configuration detects on the search part. `passed` means that nothing speaks against it but its chance.
   *
   * @param hasClip - whether the recording is looked at even where labels judge.
   */
  screen(configuration: Configuration, hasClip?: boolean): Promise<Quality>;
  /** Checks by a run that a configuration detects what it detects untuned, which its levers promise; see `untuned`. */
  checkHarmless(configuration: Configuration): Promise<Quality>;
  /** Judges one of several finalists on the held-out part. */
  confirm(configuration: Configuration, finalists: number): Promise<Quality>;
  /** Seconds on a clock that only moves forward. */
  readonly clock: { nowSeconds(): number };
}
