import { configurationKey, isPartLever, LEVERS, qualityKey, skipsWork } from '../levers/levers.ts';
import { type SearchSpace, withLever } from '../levers/search-space.ts';
import type { Configuration, LeverId, ParetoPoint, Refusal, Step, StepVerdict } from '../result.ts';
import type { MachineShape } from './cost-model.ts';
import type { Comparison, Evaluator } from './evaluator.ts';
import { BudgetSpent, Experiments, type Gain, type MeasuredConfiguration, RUNS_OF } from './experiments.ts';
import { chooseFinalists, type Finalist, type FinalVerdict } from './finals.ts';
import { LearnedGains } from './learned-gains.ts';
import { paretoFront } from './pareto.ts';
import { type Change, differences, StepLog } from './step-log.ts';
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
  /** Standard deviation of the rate of a run, relative to it, until pairs have shown it. */
  readonly noiseRatio?: number;
  readonly signal?: AbortSignal;
  /** Receives every step when it is decided. */
  readonly onStep?: (step: Step) => void;
}

export interface SearchResult {
  readonly baseline: MeasuredConfiguration;
  readonly best: MeasuredConfiguration;
  /** The best against the baseline, in turn; null if the best is the baseline. */
  readonly speedup: Comparison | null;
  /** What was judged on the held-out part, the fastest first. */
  readonly finalists: readonly FinalVerdict[];
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
  ...{ probe: 4, trial: 8, pair: 14, compare: 50, screen: 12, confirm: 25 },
};
/** Verdicts on the held-out part. More would make each of them stricter. */
export const MOST_FINALISTS = 3;
const NOISE_RATIO = 0.05;
/** Skipping is a risk: a configuration that skips must be faster by this ratio. */
const LEAST_SKIP_GAIN = 1.02;
/** A change that is predicted to be slower than this is not run. */
const LEAST_PREDICTED_GAIN = 0.88;
/** A pair that shows at least this gain, but not clearly, is measured once more. */
const WORTH_A_SECOND_LOOK = 1.01;
/** Configurations that detect the same and are within this many standard errors of the fastest are compared with it. */
const CLOSE_ERRORS = 2;
const MOST_CHALLENGERS = 2;
const MOST_RIVALS = 8;
/** With a smaller chance the result gets a slower, surer finalist beside it. */
const SURE_CHANCE = 0.8;
/** At most this share of the budget is kept for the confirmation. */
const RESERVED_RATIO = 0.5;

/**
 * Searches for the configuration with the most frames per second among those that pass the quality gate and meet the
 * targets. Does no I/O: everything is measured by the evaluator. Equal options and equal measurements give the same
 * path.
 *
 * 1. The baseline's own network: engine, number format, threads. That is nearly always worth something and hardly ever loses anything.
 * 2. Other networks and sizes: probes time engines alone; the best predicted combination that passes the screening becomes the
 *    target (`TargetFinder`). The way there is walked one lever at a time, the largest predicted gain first.
 * 3. The other levers by predicted gain, then rivals that are predicted to be nearly as fast, then slower ones that are surer to pass.
 * 4. A few finalists are judged on the held-out part. The fastest that passes is compared with the baseline in turn, and it is the
 *    result only if it is faster.
 *
 * Each step is measured in turn with the configuration that it starts from. A gain that is not certain is not taken.
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
  readonly #learned = new LearnedGains();
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
    await this.#lab.screen(baseline, true);
    this.#current = await this.#lab.baseline();
    this.#lab.reserved = this.#reserve();
    let ended: SearchResult['ended'] = 'done';
    try {
      await this.#lab.probe(baseline);
      await this.#explore();
    } catch (error) {
      if (!(error instanceof BudgetSpent)) throw error;
      ended = 'budget';
    }
    this.#lab.reserved = ['compare'];
    const finalists = await this.#finals();
    await this.#chooseAmongEqual();
    this.#lab.reserved = [];
    const speedup = await this.#againstBaseline();
    const { counts, runs, elapsedSeconds } = this.#lab;
    return {
      ...{ baseline: this.#lab.measured(baseline)!, best: this.#current, speedup, finalists },
      ...{ steps: this.#log.steps, refused: this.#log.refused, pareto: this.#pareto() },
      ...{ counts: { ...counts }, runs, seconds: elapsedSeconds, ended },
    };
  }

  async #explore(): Promise<void> {
    const { baseline } = this.#options;
    const own = await this.#targets.next(this.#current, { isFree: true, only: baseline });
    if (own !== null) await this.#walk(own);
    const target = await this.#targets.next(this.#current, { isFree: true });
    if (target !== null) await this.#walk(target);
    // Before anything is tuned: a fast configuration that will hardly pass is not enough.
    await this.#seekSurerOnes();
    await this.#tune();
    for (let rival = 0; rival < MOST_RIVALS; rival++) {
      const next = await this.#targets.next(this.#current, { isFree: false });
      if (next === null) break;
      if (await this.#step(this.#changeTo(next))) await this.#tune();
    }
  }

  /** Measures configurations that are slower than the best, but surer to pass than it. */
  async #seekSurerOnes(): Promise<void> {
    const targets = new TargetFinder(this.#space, this.#lab, this.#log, this.#options.seed);
    for (let found = 0; found < MOST_FINALISTS; found++) {
      if (this.#chanceOf(this.#current) >= SURE_CHANCE) return;
      const sure = this.#lab.all
        .filter((measured) => this.#chanceOf(measured) >= SURE_CHANCE)
        .reduce((best, each) => (each.fps > best.fps ? each : best));
      const next = await targets.next(this.#current, { isFree: false, leastChance: SURE_CHANCE, leastFps: sure.fps });
      if (next === null) return;
      await this.#step(this.#changeTo(next));
    }
  }

  #chanceOf({ configuration }: MeasuredConfiguration): number {
    const quality = this.#lab.qualities.judged(configuration);
    return quality?.verdict === 'passed' ? quality.chance : 0;
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
    const steps = levers.flatMap((): WorkKind[] => ['screen', 'pair']);
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
        // Where a target is missed, a slower configuration may be the one that meets it.
        if (!this.#current.meetsTargets) changes.push(change);
        else if (ceilingFps < this.#current.certainFps)
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

  /** Screens and measures a change; moves there if it is certainly better. @throws BudgetSpent */
  async #step(change: Change): Promise<boolean> {
    const { to, lever } = change;
    await this.#lab.probe(to);
    const predicted = { ...change, predictedGain: this.#predictedGain(to) };
    const failure = this.#lab.failureOf(to);
    if (failure !== null) return this.#failed(predicted, failure);
    const quality = await this.#lab.screen(to);
    if (quality === null) return this.#failed(predicted, this.#lab.failureOf(to)!);
    if (quality.verdict !== 'passed') {
      this.#log.notPassed(predicted, quality);
      return false;
    }
    const before = this.#current;
    const gain = await this.#gainOf(before.configuration, to);
    if (gain === null) return this.#failed(predicted, this.#lab.failureOf(to)!);
    const after = this.#lab.measured(to)!;
    const verdict = verdictOn(gain, to);
    const isTaken = before.meetsTargets === after.meetsTargets ? verdict === 'better' : after.meetsTargets;
    if (verdict === 'worse' && !isPartLever(lever)) this.#poor.add(`${lever} ${to[lever]}`);
    this.#learned.add(change.from, to, predicted.predictedGain, gain.ratio);
    this.#log.add(predicted, verdict, reasonOf(gain, isTaken, before, after), {
      ...{ measuredGain: gain.ratio, interval: gain.interval, beside: gain.beside, isTaken },
      apLoss: LEVERS[lever].affectsDetections ? quality.loss : 0,
      measurements: [...quality.measurements, ...gain.measurements],
    });
    if (isTaken) this.#current = after;
    return isTaken;
  }

  /** Measures a change, twice if the first look leaves a likely gain open. @throws BudgetSpent */
  async #gainOf(from: Configuration, to: Configuration): Promise<Gain | null> {
    const first = await this.#lab.pair(from, to);
    if (first === null || verdictOn(first, to) !== 'inconclusive' || first.ratio < WORTH_A_SECOND_LOOK) return first;
    if (!this.#lab.fits(['pair'])) return first;
    const second = await this.#lab.pair(from, to);
    return second === null ? null : this.#lab.together(first, second);
  }

  #failed(change: Change, reason: string): false {
    this.#log.add(change, 'failed', reason);
    return false;
  }

  /** Judges finalists on the held-out part, the fastest first, until one passes; it becomes the present configuration. */
  async #finals(): Promise<FinalVerdict[]> {
    const { baseline } = this.#options;
    const groups = new Map<string, MeasuredConfiguration>();
    // As in the search, a configuration replaces another only for a certain gain, not for a lucky run.
    for (const measured of [this.#current, ...this.#lab.all]) {
      const key = qualityKey(measured.configuration);
      const known = groups.get(key);
      if (this.#chanceOf(measured) === 0 || (known !== undefined && !isCertainlyAhead(measured, known))) continue;
      groups.set(key, measured);
    }
    // A configuration that detects exactly what the baseline detects needs no verdict.
    const fallback = groups.get(qualityKey(baseline))!;
    const candidates = [...groups.values()]
      .filter((measured) => measured !== fallback && isAhead(measured, fallback))
      .map((measured): Finalist => ({ measured, chance: this.#chanceOf(measured) }));
    const finalists = chooseFinalists(candidates, fallback, MOST_FINALISTS);
    const verdicts: FinalVerdict[] = [];
    this.#current = fallback;
    let isDecided = false;
    for (const { measured } of finalists) {
      const { configuration, fps } = measured;
      const isPossible = !isDecided && this.#lab.fits(['confirm']);
      const quality = isPossible ? await this.#lab.confirm(configuration, finalists.length) : null;
      const why = isDecided
        ? 'a faster one has passed'
        : (this.#lab.failureOf(configuration) ?? 'the time was too short');
      verdicts.push({
        ...{ configuration, fps, verdict: quality?.verdict ?? 'not judged', reason: quality?.reason ?? why },
        measurements: quality?.measurements ?? [],
      });
      if (quality === null) continue;
      if (quality.verdict === 'passed') [this.#current, isDecided] = [measured, true];
      else this.#log.notPassed(this.#changeFrom(fallback, configuration), quality);
    }
    return verdicts;
  }

  /** Compares the present configuration with nearly equally fast ones that detect the same. */
  async #chooseAmongEqual(): Promise<void> {
    const key = qualityKey(this.#current.configuration);
    const close = this.#lab.all
      .filter((measured) => qualityKey(measured.configuration) === key)
      .filter(({ meetsTargets, fps, relativeError, configuration }) => {
        const isSame = configurationKey(configuration) === configurationKey(this.#current.configuration);
        const error = CLOSE_ERRORS * Math.hypot(relativeError, this.#current.relativeError);
        return !isSame && meetsTargets === this.#current.meetsTargets && Math.log(this.#current.fps / fps) <= error;
      })
      .sort((a, b) => b.fps - a.fps);
    for (const challenger of close.slice(0, MOST_CHALLENGERS)) {
      if (!this.#lab.fits(['compare'])) return;
      const change = this.#changeTo(challenger.configuration);
      const done = await this.#lab.compare(this.#current.configuration, challenger.configuration);
      if (done === null) continue;
      const isTaken = done.interval[0] > 1;
      const text = isTaken ? 'taken' : 'the present configuration stays';
      this.#log.add(
        change,
        verdictOn(done, challenger.configuration),
        `compared in turn: ${times(done.ratio)}; ${text}`,
        {
          ...{ measuredGain: done.ratio, interval: done.interval, isTaken, measurements: done.measurements, apLoss: 0 },
        },
      );
      if (isTaken) this.#current = challenger;
    }
  }

  /** The proof of the result: without a certain gain over the baseline the baseline stays. */
  async #againstBaseline(): Promise<Comparison | null> {
    const { baseline } = this.#options;
    const own = this.#lab.measured(baseline)!;
    const { configuration, meetsTargets } = this.#current;
    if (configurationKey(configuration) === configurationKey(baseline)) return null;
    const proof = this.#lab.fits(['compare']) ? await this.#lab.compare(baseline, configuration) : null;
    const isProven = proof !== null && (proof.interval[0] > 1 || (meetsTargets && !own.meetsTargets));
    if (isProven) return proof;
    const change = this.#changeFrom(own, configuration);
    const reason =
      proof === null
        ? 'there was no time left to compare it with the baseline, which stays'
        : `compared in turn with the baseline: ${times(proof.ratio)}, which may be chance; the baseline stays`;
    const details = { measuredGain: proof?.ratio ?? null, interval: proof?.interval ?? null };
    this.#log.add(change, 'inconclusive', reason, { ...details, measurements: proof?.measurements ?? [] });
    this.#current = own;
    return null;
  }

  /** What the end of the search needs, as far as `RESERVED_RATIO` of time and runs allow it; at least the proof. */
  #reserve(): readonly WorkKind[] {
    const { budgetSeconds, mostRuns = Number.POSITIVE_INFINITY } = this.#options;
    const wanted: readonly WorkKind[] = [
      'compare',
      ...Array<WorkKind>(MOST_FINALISTS).fill('confirm'),
      ...Array<WorkKind>(MOST_CHALLENGERS).fill('compare'),
    ];
    let [seconds, runs] = [budgetSeconds * RESERVED_RATIO, mostRuns * RESERVED_RATIO];
    const tooMuch = wanted.findIndex((kind) => {
      seconds -= this.#lab.secondsOf(kind);
      runs -= RUNS_OF[kind];
      return seconds < 0 || runs < 0;
    });
    return tooMuch < 0 ? wanted : wanted.slice(0, Math.max(1, tooMuch));
  }

  #change(lever: LeverId, to: Configuration): Change {
    return { lever, from: this.#current.configuration, to, predictedGain: this.#predictedGain(to) };
  }

  #changeTo(to: Configuration): Change {
    return this.#change(differences(this.#current.configuration, to)[0]!, to);
  }

  #changeFrom({ configuration: from }: MeasuredConfiguration, to: Configuration): Change {
    return { lever: differences(from, to)[0]!, from, to, predictedGain: this.#lab.costs.gain(from, to) };
  }

  #predictedGain(to: Configuration): number {
    const from = this.#current.configuration;
    return this.#learned.corrected(from, to, this.#lab.costs.gain(from, to));
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

/** Better or worse only if the interval says so; a gain by skipping must also be worth its risk. */
function verdictOn({ interval: [low, high] }: Pick<Gain, 'interval'>, to: Configuration): StepVerdict {
  if (low > (skipsWork(to) ? LEAST_SKIP_GAIN : 1)) return 'better';
  return high < 1 ? 'worse' : 'inconclusive';
}

function isAhead(a: MeasuredConfiguration, b: MeasuredConfiguration): boolean {
  return a.meetsTargets === b.meetsTargets ? a.fps > b.fps : a.meetsTargets;
}

function isCertainlyAhead(a: MeasuredConfiguration, b: MeasuredConfiguration): boolean {
  if (a.meetsTargets !== b.meetsTargets) return a.meetsTargets;
  return Math.log(a.fps / b.fps) > CLOSE_ERRORS * Math.hypot(a.relativeError, b.relativeError);
}

function reasonOf(
  { ratio, beside: [from, to] }: Gain,
  isTaken: boolean,
  before: MeasuredConfiguration,
  after: MeasuredConfiguration,
): string {
  const rates = `${from.toFixed(1)} to ${to.toFixed(1)} frames/s, ${times(ratio)}`;
  if (before.meetsTargets && !after.meetsTargets) return `${rates}; misses a target that was met`;
  if (!before.meetsTargets && after.meetsTargets) return `${rates}; meets the targets`;
  return `${rates}; ${isTaken ? 'taken' : 'not taken'}`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} times`;
}
