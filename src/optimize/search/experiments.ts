import { SightlineError } from '../../errors/sightline-error.ts';
import { type InferPart, partKey, type SearchSpace } from '../levers/search-space.ts';
import type { Configuration } from '../result.ts';
import { CostModel, type MachineShape } from './cost-model.ts';
import type { Comparison, Evaluator, Quality, Trial, TrialLength } from './evaluator.ts';
import { InferTimeBook } from './infer-times.ts';
import { QualityBook } from './quality-book.ts';
import { TimeBudget, WORK_KINDS, type WorkKind } from './time-budget.ts';

/** Runs of a pipeline or an engine in a measurement of each kind; an interleaved comparison is A B B A. */
export const RUNS_OF: Readonly<Record<WorkKind, number>> = { probe: 1, short: 1, long: 1, quality: 1, compare: 4 };
/** A long run counts for more in the mean of a configuration's runs. */
const WEIGHT_OF: Readonly<Record<TrialLength, number>> = { short: 1, long: 4 };

/** Thrown inside the search when the next measurement does not fit into what is left. */
export class BudgetSpent extends Error {
  override readonly name = 'BudgetSpent';
}

/** What was measured of one configuration. */
export interface MeasuredConfiguration {
  readonly configuration: Configuration;
  /** Weighted mean of its runs. */
  readonly fps: number;
  /** Standard error of `fps` relative to it. */
  readonly relativeError: number;
  /** Rate that it reaches with a certainty of 97.5 %: two standard errors below the mean. */
  readonly certainFps: number;
  readonly meetsTargets: boolean;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly measurements: readonly string[];
}

export interface ExperimentOptions {
  readonly baseline: Configuration;
  readonly space: SearchSpace;
  readonly machine: MachineShape;
  readonly evaluator: Evaluator;
  readonly budgetSeconds: number;
  readonly expectedSeconds: Readonly<Record<WorkKind, number>>;
  /** Most runs of pipelines and engines (`RUNS_OF`); infinite if only time counts. */
  readonly mostRuns: number;
  /** Standard deviation of the rate of a short run relative to it, where the run does not say. */
  readonly noiseRatio: number;
  readonly signal: AbortSignal;
}

/** Measures, remembers everything that was measured, and keeps within the budget. */
export class Experiments {
  readonly times: InferTimeBook;
  readonly qualities: QualityBook;
  readonly costs: CostModel;
  readonly counts: Record<WorkKind, number> = { probe: 0, short: 0, long: 0, compare: 0, quality: 0 };
  /** Kept free for the end of the search; nothing else may use it. */
  reserved: readonly WorkKind[] = [];
  readonly #options: ExperimentOptions;
  readonly #budget: TimeBudget;
  readonly #measured = new Map<string, { configuration: Configuration; runs: { trial: Trial; weight: number }[] }>();
  readonly #failed = new Map<string, string>();

  constructor(options: ExperimentOptions) {
    const { evaluator, budgetSeconds, expectedSeconds, space, baseline, machine } = options;
    this.#options = options;
    this.#budget = new TimeBudget(budgetSeconds, () => evaluator.clock.nowSeconds(), expectedSeconds);
    this.times = new InferTimeBook();
    this.qualities = new QualityBook(space.models, baseline.model);
    this.costs = new CostModel(machine, this.times);
  }

  get elapsedSeconds(): number {
    return this.#budget.elapsedSeconds;
  }

  secondsOf(kind: WorkKind): number {
    return this.#budget.secondsOf(kind);
  }

  get runs(): number {
    return WORK_KINDS.reduce((sum, kind) => sum + this.counts[kind] * RUNS_OF[kind], 0);
  }

  fits(kinds: readonly WorkKind[]): boolean {
    const all = [...kinds, ...this.reserved];
    const runs = all.reduce((sum, kind) => sum + RUNS_OF[kind], 0);
    return this.#budget.fits(all) && this.runs + runs <= this.#options.mostRuns;
  }

  /** Why a configuration cannot run; null if nothing is known against it. */
  failureOf(configuration: Configuration): string | null {
    return this.#failed.get(configurationKey(configuration)) ?? this.times.failure(configuration);
  }

  /** Times an engine with a network, unless that was done. @throws BudgetSpent */
  async probe(part: InferPart): Promise<void> {
    if (this.times.measured(part) !== null || this.times.failure(part) !== null) return;
    const { model, engine, precision, inputSize } = part;
    const done = await this.#run('probe', () => this.#options.evaluator.probe({ model, engine, precision, inputSize }));
    if (done instanceof SightlineError) this.times.fail(part, done.message);
    else this.times.add(part, done);
  }

  /** Judges a configuration, unless one that detects the same was. @returns null if it failed. @throws BudgetSpent */
  async quality(configuration: Configuration, isRequired = false): Promise<Quality | null> {
    const known = this.qualities.judged(configuration);
    if (known !== null) return known;
    const done = await this.#run('quality', () => this.#options.evaluator.quality(configuration), isRequired);
    if (done instanceof SightlineError) {
      this.#fail(configuration, done, isRequired);
      return null;
    }
    this.qualities.add(configuration, done);
    return done;
  }

  /** Runs a configuration. @returns null if it failed. @throws BudgetSpent */
  async trial(
    configuration: Configuration,
    length: TrialLength,
    isRequired = false,
  ): Promise<MeasuredConfiguration | null> {
    const done = await this.#run(length, () => this.#options.evaluator.trial(configuration, length), isRequired);
    if (done instanceof SightlineError) {
      this.#fail(configuration, done, isRequired);
      return null;
    }
    const key = configurationKey(configuration);
    const entry = this.#measured.get(key) ?? { configuration, runs: [] };
    entry.runs.push({ trial: done, weight: WEIGHT_OF[length] });
    this.#measured.set(key, entry);
    this.costs.learn(configuration, done);
    return this.measured(configuration)!;
  }

  /** Runs two configurations in turn. @returns null if one failed. @throws BudgetSpent */
  async compare(a: Configuration, b: Configuration): Promise<Comparison | null> {
    const done = await this.#run('compare', () => this.#options.evaluator.compare(a, b));
    if (!(done instanceof SightlineError)) return done;
    this.#fail(b, done, false);
    return null;
  }

  measured(configuration: Configuration): MeasuredConfiguration | null {
    const entry = this.#measured.get(configurationKey(configuration));
    return entry === undefined ? null : this.#summarise(entry);
  }

  get all(): MeasuredConfiguration[] {
    return [...this.#measured.values()].map((entry) => this.#summarise(entry));
  }

  #summarise({
    configuration,
    runs,
  }: {
    configuration: Configuration;
    runs: readonly { trial: Trial; weight: number }[];
  }): MeasuredConfiguration {
    const weights = runs.reduce((sum, { weight }) => sum + weight, 0);
    const last = runs.at(-1)!.trial;
    const error = last.relativeError ?? this.#options.noiseRatio / Math.sqrt(runs.at(-1)!.weight);
    const fps = runs.reduce((sum, { trial, weight }) => sum + trial.fps * weight, 0) / weights;
    const relativeError = error / Math.sqrt(runs.length);
    return {
      ...{ configuration, fps, relativeError, certainFps: fps * Math.exp(-2 * relativeError) },
      meetsTargets: last.meetsTargets,
      p99Ms: last.p99Ms,
      cpuMsPerFrame: last.cpuMsPerFrame?.total ?? null,
      measurements: runs.flatMap(({ trial }) => trial.measurements),
    };
  }

  #fail(configuration: Configuration, error: SightlineError, isRequired: boolean): void {
    if (isRequired) throw error;
    this.#failed.set(configurationKey(configuration), error.message);
  }

  /** @returns the result, or the error of a configuration that cannot run. */
  async #run<T>(kind: WorkKind, work: () => Promise<T>, isRequired = false): Promise<T | SightlineError> {
    this.#options.signal.throwIfAborted();
    if (!isRequired && !this.fits([kind])) throw new BudgetSpent();
    const { clock } = this.#options.evaluator;
    const before = clock.nowSeconds();
    this.counts[kind] += 1;
    try {
      const result = await work();
      this.#budget.record(kind, clock.nowSeconds() - before);
      return result;
    } catch (error) {
      if (error instanceof SightlineError && !this.#options.signal.aborted) return error;
      throw error;
    }
  }
}

/** Text that is equal for equal configurations. */
export function configurationKey(configuration: Configuration): string {
  const { inferenceThreads, lanes, decodeThreads, maxBatch, maxDelayMs, resizeBy, hwaccel } = configuration;
  const { skipUnchanged, trackBetween } = configuration;
  const rest = [inferenceThreads, lanes, decodeThreads, maxBatch, maxDelayMs, resizeBy, hwaccel];
  return [partKey(configuration), ...rest, skipUnchanged, trackBetween].join(' ');
}
