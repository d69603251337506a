import { comparisonVerdict } from '../../measure/compare.ts';
import { LEVERS } from '../levers/levers.ts';
import { isPartLever, type SearchSpace, skipsWork, withLever } from '../levers/search-space.ts';
import type { Configuration, LeverId, ParetoPoint, Refusal, Step } from '../result.ts';
import type { MachineShape } from './cost-model.ts';
import type { Comparison, Evaluator } from './evaluator.ts';
import { BudgetSpent, configurationKey, Experiments, type MeasuredConfiguration, RUNS_OF } from './experiments.ts';
import { paretoFront } from './pareto.ts';
import { type Change, differences, gainOf, StepLog } from './step-log.ts';
import { TargetFinder } from './target-finder.ts';
import type { WorkKind } from './time-budget.ts';

export interface SearchOptions {
  readonly baseline: Configuration;
  readonly space: SearchSpace;
  readonly machine: MachineShape;
  readonly evaluator: Evaluator;
  readonly budgetSeconds: number;
  /** Seconds of each kind of measurement, until the first one was seen. */
  readonly expectedSeconds?: Readonly<Record<WorkKind, number>>;
  /** Most runs; see `RUNS_OF`. */
  readonly mostRuns?: number;
  readonly seed: number;
  /** Standard deviation of the rate of a short run, relative to it; used where a run does not state its own. */
  readonly noiseRatio?: number;
  readonly signal?: AbortSignal;
  /** Receives every step when it is decided. */
  readonly onStep?: (step: Step) => void;
}

export interface SearchResult {
  readonly baseline: MeasuredConfiguration;
  readonly best: MeasuredConfiguration;
  /** The best against the baseline, interleaved; null if the best is the baseline, or time was short. */
  readonly speedup: Comparison | null;
  readonly steps: readonly Step[];
  readonly refused: readonly Refusal[];
  readonly pareto: readonly ParetoPoint[];
  /** Measurements by kind. */
  readonly counts: Readonly<Record<WorkKind, number>>;
  /** Runs of pipelines and engines in them. */
  readonly runs: number;
  readonly seconds: number;
  /** `budget`: there was more to try. */
  readonly ended: 'done' | 'budget';
}

export const EXPECTED_SECONDS: Readonly<Record<WorkKind, number>> = {
  probe: 4,
  short: 8,
  long: 30,
  compare: 60,
  quality: 20,
};
const NOISE_RATIO = 0.05;
/** A measured gain below this does not move the search. */
const LEAST_GAIN = 1.01;
/** Skipped work is a risk: a configuration that skips some must be faster by this. */
const LEAST_SKIP_GAIN = 1.02;
/** A change that is predicted to be slower than this is not run. */
const LEAST_PREDICTED_GAIN = 0.88;
/** The best few: those within this many standard errors of the best are compared with it. */
const CLOSE_ERRORS = 2;
const MOST_CHALLENGERS = 2;
/** Configurations whose short run is repeated, in each round. */
const SCREENED = [8, 5, 4];
const MOST_RIVALS = 8;
/** Comparisons of one pair. */
const MOST_COMPARISONS = 4;
/** A pair is decided when its ratio is this many standard errors from 1. */
const CLEAR_ERRORS = 2;
/** Standard errors on each side of a 95 % interval. */
const SIDES = 1.96;
/** At most this share of the budget is kept for the confirmation. */
const RESERVED_RATIO = 0.35;

/**
 * Searches for the configuration with the most frames per second among those that pass the quality gate and meet the
 * targets. Does no I/O: everything is measured by the evaluator. Equal options and equal measurements give the same
 * path.
 *
 * 1. Engine, precision, model and size: probes time engines alone; the best predicted combination that passes the gate
 *    becomes the target (`TargetFinder`).
 * 2. The way there is walked one lever at a time, the largest predicted gain first; each step is judged and measured.
 * 3. The other levers are tried by predicted gain, then rivals of the target that are predicted to be nearly as fast.
 * 4. The best few are compared in long interleaved runs, the winner with the baseline.
 *
 * @throws what the evaluator throws for the baseline; the reason of `signal` if it was aborted.
 */
export function search(options: SearchOptions): Promise<SearchResult> {
  return new Search(options).run();
}

class Search {
  readonly #options: SearchOptions;
  readonly #space: SearchSpace;
  readonly #lab: Experiments;
  readonly #log: StepLog;
  readonly #targets: TargetFinder;
  /** Values of levers that were clearly slower, as `lever value`; they are not tried again beside other values. */
  readonly #poor = new Set<string>();
  #current: MeasuredConfiguration;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#space = options.space;
    this.#log = new StepLog(options.onStep ?? (() => undefined));
    this.#lab = new Experiments({
      ...options,
      expectedSeconds: options.expectedSeconds ?? EXPECTED_SECONDS,
      mostRuns: options.mostRuns ?? Number.POSITIVE_INFINITY,
      noiseRatio: options.noiseRatio ?? NOISE_RATIO,
      signal: options.signal ?? new AbortController().signal,
    });
    this.#targets = new TargetFinder(options.space, this.#lab, this.#log, options.seed);
    this.#current = undefined as unknown as MeasuredConfiguration;
  }

  async run(): Promise<SearchResult> {
    const { baseline } = this.#options;
    await this.#lab.quality(baseline, true);
    this.#current = (await this.#lab.trial(baseline, 'short', true))!;
    this.#lab.reserved = this.#reserve();
    let ended: SearchResult['ended'] = 'done';
    try {
      await this.#lab.probe(baseline);
      await this.#explore();
    } catch (error) {
      if (!(error instanceof BudgetSpent)) throw error;
      ended = 'budget';
    }
    await this.#chooseAmongBest();
    const speedup = await this.#againstBaseline();
    const { counts, runs, elapsedSeconds } = this.#lab;
    return {
      ...{ baseline: this.#lab.measured(baseline)!, best: this.#current, speedup },
      ...{ steps: this.#log.steps, refused: this.#log.refused, pareto: this.#pareto() },
      ...{ counts: { ...counts }, runs, seconds: elapsedSeconds, ended },
    };
  }

  async #explore(): Promise<void> {
    const target = await this.#targets.next(this.#current, true);
    if (target !== null) await this.#walk(target);
    await this.#tune();
    for (let rival = 0; rival < MOST_RIVALS; rival++) {
      const next = await this.#targets.next(this.#current, false);
      if (next === null) break;
      if (await this.#step(this.#changeTo(next))) await this.#tune();
    }
  }

  /** Goes to a target one lever at a time, so that each gain is known; where that is slower or takes too long, in one step. */
  async #walk(target: Configuration): Promise<void> {
    for (;;) {
      const here = this.#current.configuration;
      const levers = differences(here, target);
      if (levers.length === 0) return;
      if (!this.#isShort(levers)) return void (await this.#step(this.#changeTo(target)));
      const changes = levers
        .map((lever): Change => this.#change(lever, withLever(this.#space, here, lever, target[lever])))
        .filter(({ to }) => this.#space.isPossible(to) && this.#lab.measured(to) === null)
        .sort((a, b) => b.predictedGain - a.predictedGain);
      const single = changes.find(
        ({ to, predictedGain }) => predictedGain >= 1 && this.#lab.qualities.likelyRefusal(to) === null,
      );
      if (single !== undefined && (await this.#step(single))) continue;
      if (configurationKey(here) !== configurationKey(target)) await this.#step(this.#changeTo(target));
      return;
    }
  }

  /** Returns whether single steps for these levers take at most half of what is left. */
  #isShort(levers: readonly LeverId[]): boolean {
    const steps = levers.flatMap((): WorkKind[] => ['quality', 'short']);
    return this.#lab.fits([...steps, ...steps]);
  }

  /** Tries the levers that are not parts of inference, the largest predicted gain first, until none is left. */
  async #tune(): Promise<void> {
    for (;;) {
      const open = this.#tuningChanges();
      const best = open[0];
      if (best === undefined) return;
      await this.#step(best);
    }
  }

  #tuningChanges(): Change[] {
    const here = this.#current.configuration;
    const changes: Change[] = [];
    for (const lever of this.#space.levers) {
      if (isPartLever(lever)) continue;
      for (const value of this.#space.valuesOf(lever, here)) {
        const to = withLever(this.#space, here, lever, value);
        const isKnown = this.#lab.measured(to) !== null || this.#lab.failureOf(to) !== null;
        const judged = this.#lab.qualities.judged(to);
        if (isKnown || this.#poor.has(`${lever} ${value}`) || (judged !== null && judged.verdict !== 'passed'))
          continue;
        const change = this.#change(lever, to);
        const ceilingFps = this.#lab.costs.fps(to, true);
        if (ceilingFps < this.#current.certainFps)
          this.#log.ruleOut(
            change,
            `at most ${ceilingFps.toFixed(1)} frames/s; ${this.#current.fps.toFixed(1)} were measured`,
          );
        else if (change.predictedGain < LEAST_PREDICTED_GAIN) this.#log.ruleOut(change, 'predicted to be slower');
        else changes.push(change);
      }
    }
    // Sorting is stable: of equal predictions the first lever of the table goes first.
    return changes.sort((a, b) => b.predictedGain - a.predictedGain);
  }

  /** Judges and measures a change; moves there if it is better. @throws BudgetSpent */
  async #step(change: Change): Promise<boolean> {
    const { to, lever } = change;
    await this.#lab.probe(to);
    const predicted = { ...change, predictedGain: this.#predictedGain(to) };
    const failure = this.#lab.failureOf(to);
    if (failure !== null) return this.#failed(predicted, failure);
    const quality = await this.#lab.quality(to);
    if (quality === null) return this.#failed(predicted, this.#lab.failureOf(to)!);
    if (quality.verdict !== 'passed') {
      this.#log.refuse(predicted, quality);
      return false;
    }
    const before = this.#current;
    const measured = this.#lab.measured(to) ?? (await this.#lab.trial(to, 'short'));
    if (measured === null) return this.#failed(predicted, this.#lab.failureOf(to)!);
    const { ratio, interval } = gainOf(before, measured);
    const verdict = comparisonVerdict(interval);
    const isTaken = this.#isBetter(measured, before);
    if (verdict === 'worse' && !isPartLever(lever)) this.#poor.add(`${lever} ${to[lever]}`);
    this.#log.add(predicted, verdict, reasonOf(ratio, isTaken, before, measured), {
      ...{ measuredGain: ratio, interval, isTaken, apLoss: LEVERS[lever].affectsDetections ? quality.loss : 0 },
      measurements: [...quality.measurements, ...measured.measurements],
    });
    if (isTaken) this.#current = measured;
    return isTaken;
  }

  #failed(change: Change, reason: string): false {
    this.#log.add(change, 'failed', reason);
    return false;
  }

  /** Repeats the short runs of the best until few are left, then compares those in long interleaved runs. */
  async #chooseAmongBest(): Promise<void> {
    const isBaseline = ({ configuration }: MeasuredConfiguration): boolean =>
      configurationKey(configuration) === configurationKey(this.#options.baseline);
    this.#lab.reserved = isBaseline(this.#current) ? [] : ['compare', 'compare'];
    for (const most of SCREENED)
      for (const { configuration } of this.#closeOnes(most)) {
        if (this.#lab.fits(['short'])) await this.#lab.trial(configuration, 'short');
      }
    const challengers = this.#closeOnes(MOST_CHALLENGERS + 1);
    // With more runs of each, another one may be ahead.
    this.#current = challengers.shift() ?? this.#current;
    this.#lab.reserved = isBaseline(this.#current) ? [] : ['compare'];
    for (const challenger of challengers) await this.#contest(challenger);
  }

  /** The best configuration and those that are not clearly slower, the fastest first; none is refused. */
  #closeOnes(most: number): MeasuredConfiguration[] {
    const passed = this.#lab.all
      .filter(({ configuration }) => this.#lab.qualities.judged(configuration)?.verdict === 'passed')
      .sort((a, b) => Number(b.meetsTargets) - Number(a.meetsTargets) || worthOf(b) - worthOf(a));
    const first = passed[0];
    if (first === undefined) return [];
    return passed
      .filter(({ fps, relativeError, meetsTargets }) => {
        const error = CLOSE_ERRORS * Math.hypot(relativeError, first.relativeError);
        return Math.log(first.fps / fps) <= error && meetsTargets === first.meetsTargets;
      })
      .slice(0, most);
  }

  /** Compares a configuration with the present best until it is clear which is faster, or time is short. */
  async #contest(challenger: MeasuredConfiguration): Promise<void> {
    const change = this.#changeTo(challenger.configuration);
    const { ratio, interval } = gainOf(this.#current, challenger);
    let evidence: Evidence = { log: Math.log(ratio), variance: varianceOf(interval), measurements: [] };
    let comparisons = 0;
    while (comparisons < MOST_COMPARISONS && this.#lab.fits(['compare'])) {
      const done = await this.#lab.compare(this.#current.configuration, challenger.configuration);
      if (done === null) return;
      comparisons += 1;
      evidence = combined(evidence, done);
      if (Math.abs(evidence.log) > CLEAR_ERRORS * Math.sqrt(evidence.variance)) break;
    }
    if (comparisons === 0) return;
    const error = SIDES * Math.sqrt(evidence.variance);
    const measured = Math.exp(evidence.log);
    const range: [number, number] = [measured * Math.exp(-error), measured * Math.exp(error)];
    const isTaken = measured > 1;
    const text = isTaken ? 'taken' : 'the present configuration stays';
    this.#log.add(change, comparisonVerdict(range), `compared in turn: ${times(measured)}; ${text}`, {
      ...{ measuredGain: measured, interval: range, isTaken, measurements: evidence.measurements },
      apLoss: this.#lab.qualities.judged(challenger.configuration)!.loss,
    });
    if (isTaken) this.#current = challenger;
  }

  async #againstBaseline(): Promise<Comparison | null> {
    const { baseline } = this.#options;
    this.#lab.reserved = [];
    const { configuration } = this.#current;
    if (configurationKey(configuration) === configurationKey(baseline) || !this.#lab.fits(['compare'])) return null;
    return this.#lab.compare(baseline, configuration);
  }

  /** What the end of the search needs, as far as `RESERVED_RATIO` of time and runs allow it. */
  #reserve(): readonly WorkKind[] {
    const { budgetSeconds, mostRuns = Number.POSITIVE_INFINITY } = this.#options;
    const wanted: readonly WorkKind[] = [
      ...Array<WorkKind>(MOST_CHALLENGERS + 1).fill('compare'),
      ...Array<WorkKind>(SCREENED[0]!).fill('short'),
    ];
    let [seconds, runs] = [budgetSeconds * RESERVED_RATIO, mostRuns * RESERVED_RATIO];
    const tooMuch = wanted.findIndex((kind) => {
      seconds -= this.#lab.secondsOf(kind);
      runs -= RUNS_OF[kind];
      return seconds < 0 || runs < 0;
    });
    return tooMuch < 0 ? wanted : wanted.slice(0, tooMuch);
  }

  #isBetter(a: MeasuredConfiguration, b: MeasuredConfiguration): boolean {
    if (a.meetsTargets !== b.meetsTargets) return a.meetsTargets;
    return worthOf(a) >= worthOf(b) * LEAST_GAIN;
  }

  #change(lever: LeverId, to: Configuration): Change {
    return { lever, from: this.#current.configuration, to, predictedGain: this.#predictedGain(to) };
  }

  #changeTo(to: Configuration): Change {
    return this.#change(differences(this.#current.configuration, to)[0]!, to);
  }

  #predictedGain(to: Configuration): number {
    return this.#lab.costs.gain(this.#current.configuration, to);
  }

  #pareto(): ParetoPoint[] {
    const passed = this.#lab.all.flatMap((measured) => {
      const quality = this.#lab.qualities.judged(measured.configuration);
      if (quality?.verdict !== 'passed') return [];
      const { configuration, fps, p99Ms, cpuMsPerFrame } = measured;
      const measurements = [...measured.measurements, ...quality.measurements];
      return [{ configuration, ap: quality.ap, fps, p99Ms, cpuMsPerFrame, measurements }];
    });
    return paretoFront(passed);
  }
}

/** Frames per second, less for skipped work. */
function worthOf({ fps, configuration }: MeasuredConfiguration): number {
  return skipsWork(configuration) ? fps / LEAST_SKIP_GAIN : fps;
}

/** What is known of the logarithm of a ratio of rates. */
interface Evidence {
  readonly log: number;
  readonly variance: number;
  readonly measurements: readonly string[];
}

/** The mean of two results, weighted by their certainty. */
function combined(known: Evidence, { ratio, interval, measurements }: Comparison): Evidence {
  const variance = varianceOf(interval);
  const weights = 1 / known.variance + 1 / variance;
  return {
    log: (known.log / known.variance + Math.log(ratio) / variance) / weights,
    variance: 1 / weights,
    measurements: [...known.measurements, ...measurements],
  };
}

/** Variance of the logarithm of a ratio, from its 95 % interval. */
function varianceOf([low, high]: readonly [number, number]): number {
  return Math.max(1e-8, (Math.log(high / low) / 2 / SIDES) ** 2);
}

function reasonOf(
  ratio: number,
  isTaken: boolean,
  before: MeasuredConfiguration,
  after: MeasuredConfiguration,
): string {
  const rates = `${before.fps.toFixed(1)} to ${after.fps.toFixed(1)} frames/s, ${times(ratio)}`;
  if (before.meetsTargets && !after.meetsTargets) return `${rates}; misses a target that was met`;
  if (!before.meetsTargets && after.meetsTargets) return `${rates}; meets the targets`;
  return `${rates}; ${isTaken ? 'taken' : 'not taken'}`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} times`;
}
