import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { studentQuantile } from '../../measure/distributions.ts';
import { configurationKey, type InferPart } from '../levers/levers.ts';
import type { SearchSpace } from '../levers/search-space.ts';
import type { Configuration } from '../result.ts';
import { CostModel, type MachineShape } from './cost-model.ts';
import type { Comparison, Evaluator, Pair, Quality, Trial } from './evaluator.ts';
import { InferTimeBook } from './infer-times.ts';
import { Predictions } from './predictions.ts';
import { QualityBook } from './quality-book.ts';
import { TimeBudget, WORK_KINDS, type WorkKind } from './time-budget.ts';

/** Runs of a pipeline or an engine in a measurement of each kind: a pair and a comparison run two pipelines. */
export const RUNS_OF: Readonly<Record<WorkKind, number>> = {
  probe: 1,
  trial: 1,
  screen: 1,
  confirm: 1,
  pair: 2,
  compare: 4,
};

/** Thrown inside the search when the next measurement does not fit into what is left. */
export class BudgetSpent extends Error {
  override readonly name = 'BudgetSpent';
}

/** What was measured of one configuration. */
export interface MeasuredConfiguration {
  readonly configuration: Configuration;
  /** The baseline's rate, times what this configuration gains over it by pairs measured in turn. */
  readonly fps: number;
  /** Standard error of `fps` relative to that of the baseline. */
  readonly relativeError: number;
  /** Rate that it reaches with a certainty of 97.5 %: two standard errors below the estimate. */
  readonly certainFps: number;
  readonly meetsTargets: boolean;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly measurements: readonly string[];
}

/** The gain of one configuration over another, measured in turn. */
export interface Gain {
  readonly ratio: number;
  readonly interval: readonly [number, number];
  /** Rates of both beside each other. */
  readonly beside: readonly [before: number, after: number];
  readonly measurements: readonly string[];
}

export interface ExperimentOptions {
  readonly baseline: Configuration;
  readonly space: SearchSpace;
  readonly machine: MachineShape;
  readonly evaluator: Evaluator;
  readonly budgetSeconds: number;
  /** Seconds of each kind of measurement, until the first one was seen. */
  readonly expectedSeconds: Readonly<Record<WorkKind, number>>;
  /** Most runs of pipelines and engines (`RUNS_OF`); infinite if only time counts. */
  readonly mostRuns: number;
  /** Standard deviation of the rate of a run relative to it, until pairs have shown it. */
  readonly noiseRatio: number;
  readonly signal: AbortSignal;
  /** Labelled pictures that the verdict stands on: with few, only a network that is expected to be better is likely to pass. */
  readonly heldOutPictures?: number;
}

/** A logarithm of a gain. */
interface Estimate {
  readonly log: number;
  readonly variance: number;
}

/** What is known of a configuration's rate: the logarithm of its gain over the baseline. */
interface Standing extends Estimate {
  readonly configuration: Configuration;
  readonly last: Trial;
  readonly measurements: readonly string[];
}

/** Standard errors on each side of a 95 % interval. */
const SIDES = 1.96;

/** Measures, remembers everything that was measured, and keeps within the budget. */
export class Experiments {
  readonly times: InferTimeBook;
  readonly qualities: QualityBook;
  readonly costs: CostModel;
  readonly predictions: Predictions;
  readonly counts: Record<WorkKind, number> = { probe: 0, trial: 0, pair: 0, compare: 0, screen: 0, confirm: 0 };
  /** Kept free for the end of the search; nothing else may use it. */
  reserved: readonly WorkKind[] = [];
  readonly #options: ExperimentOptions;
  readonly #budget: TimeBudget;
  readonly #noise: PairNoise;
  readonly #standings = new Map<string, Standing>();
  /** What measurements in turn say of the logarithm of a gain, by both configurations. */
  readonly #gains = new Map<string, Estimate>();
  readonly #failed = new Map<string, string>();
  #baselineFps = 0;

  constructor(options: ExperimentOptions) {
    const { evaluator, budgetSeconds, expectedSeconds, space, baseline, machine } = options;
    this.#options = options;
    this.#budget = new TimeBudget(budgetSeconds, () => evaluator.clock.nowSeconds(), expectedSeconds);
    this.#noise = new PairNoise(options.noiseRatio);
    this.times = new InferTimeBook();
    this.qualities = new QualityBook(space.models, baseline.model, options.heldOutPictures);
    this.costs = new CostModel(machine, this.times);
    this.predictions = new Predictions(this.costs);
  }

  get elapsedSeconds(): number {
    return this.#budget.elapsedSeconds;
  }

  get spentSeconds(): Readonly<Record<WorkKind, number>> {
    return this.#budget.spent;
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

  /** Screens a configuration, unless one that detects the same was. @returns null if it failed. @throws BudgetSpent */
  async screen(configuration: Configuration, isRequired = false): Promise<Quality | null> {
    const known = this.qualities.judged(configuration);
    if (known !== null) return known;
    const done = await this.#run('screen', () => this.#options.evaluator.screen(configuration), isRequired);
    if (done instanceof SightlineError) return this.#fail(configuration, done, isRequired);
    this.qualities.add(configuration, done);
    return done;
  }

  /** Screens a configuration with a look at the recording. @returns null if it failed. @throws BudgetSpent */
  async screenClip(configuration: Configuration): Promise<Quality | null> {
    const done = await this.#run('screen', () => this.#options.evaluator.screen(configuration, true));
    if (done instanceof SightlineError) return this.#fail(configuration, done, false);
    this.qualities.add(configuration, done);
    return done;
  }

  /** Checks that a configuration detects what it detects untuned, whatever the time: nothing is given without it. @returns null if it failed. */
  async checkHarmless(configuration: Configuration): Promise<Quality | null> {
    const done = await this.#run('screen', () => this.#options.evaluator.checkHarmless(configuration), true);
    return done instanceof SightlineError ? this.#fail(configuration, done, false) : done;
  }

  /** Judges a finalist on the held-out part. @returns null if it failed. @throws BudgetSpent */
  async confirm(configuration: Configuration, finalists: number): Promise<Quality | null> {
    const done = await this.#run('confirm', () => this.#options.evaluator.confirm(configuration, finalists));
    return done instanceof SightlineError ? this.#fail(configuration, done, false) : done;
  }

  /** Runs the baseline, from which all rates are counted. @throws what the evaluator throws. */
  async baseline(): Promise<MeasuredConfiguration> {
    const { baseline: configuration, evaluator } = this.#options;
    const trial = (await this.#run('trial', () => evaluator.trial(configuration), true)) as Trial | SightlineError;
    if (trial instanceof SightlineError) throw trial;
    this.#baselineFps = trial.fps;
    this.costs.learn(configuration, trial);
    const { measurements } = trial;
    this.#standings.set(configurationKey(configuration), {
      configuration,
      log: 0,
      variance: 0,
      last: trial,
      measurements,
    });
    return this.measured(configuration)!;
  }

  /**
   * Runs a configuration and one that was measured before in turn.
   *
   * @param isRequired - whatever the time.
   * @returns what all runs of both in turn say of the gain; null if one failed. @throws BudgetSpent
   */
  async pair(from: Configuration, to: Configuration, isRequired = false): Promise<Gain | null> {
    const done = await this.#run('pair', () => this.#options.evaluator.pair(from, to), isRequired);
    if (done instanceof SightlineError) return this.#fail(to, done, false);
    this.#noise.add(done);
    const { before, after, measurements } = done;
    this.costs.learn(from, before);
    this.costs.learn(to, after);
    const found = { log: Math.log(ratioOf(done)), variance: this.#noise.varianceOf(done) };
    this.#learn(from, to, { ...found, last: after, measurements });
    return { ...this.#learnGain(from, to, found), beside: [before.fps, after.fps], measurements };
  }

  /**
   * Runs two configurations in turn, longer.
   *
   * @returns the comparison, and what it says of the gain with all earlier runs; null if one failed. @throws BudgetSpent
   */
  async compare(
    a: Configuration,
    b: Configuration,
  ): Promise<{ readonly alone: Comparison; readonly gain: Omit<Gain, 'beside' | 'measurements'> } | null> {
    const alone = await this.#run('compare', () => this.#options.evaluator.compare(a, b));
    if (alone instanceof SightlineError) return this.#fail(b, alone, false);
    const [low, high] = alone.interval;
    const error = Math.log(high / low) / (2 * SIDES);
    return { alone, gain: this.#learnGain(a, b, { log: Math.log(alone.ratio), variance: error ** 2 }) };
  }

  /** The highest gain that is likely, as far as is known: in turn with each other, else over the baseline. */
  mostGain(from: Configuration, to: Configuration): number {
    const [a, b] = [this.#standings.get(configurationKey(from))!, this.#standings.get(configurationKey(to))!];
    const { log, variance } = this.#gains.get(gainKey(from, to)) ?? {
      log: b.log - a.log,
      variance: a.variance + b.variance,
    };
    return Math.exp(log + SIDES * Math.sqrt(variance));
  }

  /** The gain over the baseline by all runs in turn, which is a proof where there is no time for a comparison. */
  gainOverBaseline(configuration: Configuration): Comparison | null {
    const standing = this.#standings.get(configurationKey(configuration));
    if (standing === undefined || standing.variance === 0) return null;
    const ratio = Math.exp(standing.log);
    return { ratio, interval: this.#noise.interval(ratio, standing.variance), measurements: standing.measurements };
  }

  measured(configuration: Configuration): MeasuredConfiguration | null {
    const standing = this.#standings.get(configurationKey(configuration));
    return standing === undefined ? null : this.#summarise(standing);
  }

  get all(): MeasuredConfiguration[] {
    return [...this.#standings.values()].map((standing) => this.#summarise(standing));
  }

  /** Takes in a gain over a known configuration; with what was known already it is weighted by certainty. */
  #learn(from: Configuration, to: Configuration, found: Omit<Standing, 'configuration'>): void {
    const base = this.#standings.get(configurationKey(from))!;
    const known = this.#standings.get(configurationKey(to));
    const log = base.log + found.log;
    const variance = base.variance + found.variance;
    const measurements = [...(known?.measurements ?? []), ...found.measurements];
    if (known === undefined || known.variance === 0)
      return void this.#standings.set(configurationKey(to), {
        configuration: to,
        last: found.last,
        measurements,
        ...(known === undefined ? { log, variance } : { log: known.log, variance: 0 }),
      });
    const { last } = found;
    this.#standings.set(configurationKey(to), {
      configuration: to,
      ...together(known, { log, variance }),
      last,
      measurements,
    });
  }

  #learnGain(from: Configuration, to: Configuration, found: Estimate): Omit<Gain, 'beside' | 'measurements'> {
    const known = this.#gains.get(gainKey(from, to));
    const { log, variance } = known === undefined ? found : together(known, found);
    this.#gains.set(gainKey(from, to), { log, variance });
    this.#gains.set(gainKey(to, from), { log: -log, variance });
    const ratio = Math.exp(log);
    return { ratio, interval: this.#noise.interval(ratio, variance) };
  }

  #summarise({ configuration, log, variance, last, measurements }: Standing): MeasuredConfiguration {
    const relativeError = Math.sqrt(variance);
    const fps = this.#baselineFps * Math.exp(log);
    return {
      configuration,
      fps,
      relativeError,
      certainFps: fps * Math.exp(-2 * relativeError),
      meetsTargets: last.meetsTargets,
      p99Ms: last.p99Ms,
      cpuMsPerFrame: last.cpuMsPerFrame?.total ?? null,
      measurements,
    };
  }

  #fail(configuration: Configuration, error: SightlineError, isRequired: boolean): null {
    if (isRequired) throw error;
    this.#failed.set(configurationKey(configuration), error.message);
    return null;
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
      // A log that cannot be written is no fault of the configuration.
      const isOwn = error instanceof SightlineError && error.code !== 'SINK_FAILED';
      if (isOwn && !this.#options.signal.aborted) return error;
      throw error;
    }
  }
}

function gainKey(from: Configuration, to: Configuration): string {
  return `${configurationKey(from)} -> ${configurationKey(to)}`;
}

/** Two estimates of the same as one, weighted by certainty. */
function together(a: Estimate, b: Estimate): Estimate {
  const weights = 1 / a.variance + 1 / b.variance;
  return { log: (a.log / a.variance + b.log / b.variance) / weights, variance: 1 / weights };
}

/** Counts as this many observed pairs of the noise that is expected. */
const PRIOR_PAIRS = 4;
/** Halves that differ by so many standard deviations were disturbed. */
const OUTLIER = 3;
/** A pair is looked at up to twice, so each look has half of the 5 % that a 95 % interval leaves. */
const LEVEL = 1 - 0.025 / 2;

/**
 * Estimates the noise of this machine from pairs of runs: the two halves of each pair measure the same ratio, so their difference is
 * only noise. All pairs share one estimate, since a single pair says little.
 */
export class PairNoise {
  #squares: number;
  #pairs = PRIOR_PAIRS;

  /** @param noiseRatio - expected standard deviation of the rate of one run, relative to it. */
  constructor(noiseRatio: number) {
    // The logarithm of a ratio of two runs has twice the variance of one.
    this.#squares = PRIOR_PAIRS * 2 * noiseRatio ** 2;
  }

  /** Takes in a pair. One that was disturbed tells of the disturbance, and counts as noise only up to `OUTLIER`. */
  add(pair: Pick<Pair, 'ratios'>): void {
    this.#squares += Math.min(squareOf(pair), OUTLIER ** 2 * (this.#squares / this.#pairs));
    this.#pairs += 1;
  }

  /** Variance of the logarithm of the ratio of this pair: its own where its halves disagree far more than those of others. */
  varianceOf(pair: Pick<Pair, 'ratios'>): number {
    const isDisturbed = squareOf(pair) > OUTLIER ** 2 * (this.#squares / this.#pairs);
    return isDisturbed ? squareOf(pair) / 2 : this.variance;
  }

  /** Variance of the logarithm of a pair's ratio, the mean of its halves. */
  get variance(): number {
    return this.#squares / this.#pairs / 2;
  }

  /** The interval of a ratio: at least 95 %, also if it was looked at twice. @param variance - of the logarithm of `ratio`. */
  interval(ratio: number, variance: number): readonly [number, number] {
    const reach = studentQuantile(LEVEL, this.#pairs) * Math.sqrt(variance);
    return [ratio * Math.exp(-reach), ratio * Math.exp(reach)];
  }
}

/** Of the logarithm of the ratio of a run, by the halves of a pair. */
function squareOf({ ratios: [first, second] }: Pick<Pair, 'ratios'>): number {
  return Math.log(first / second) ** 2 / 2;
}

/** The ratio of a pair: the geometric mean of its halves. */
export function ratioOf({ ratios: [first, second] }: Pick<Pair, 'ratios'>): number {
  return Math.sqrt(first * second);
}
