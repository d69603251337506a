import { chanceText } from '../gate/pass-chance.ts';
import {
  changedLevers,
  configurationKey,
  hasSameSkips,
  isPartLever,
  LEVERS,
  qualityKey,
  skipsWork,
  untuned,
  valueText,
} from '../levers/levers.ts';
import { type SearchSpace, withLever } from '../levers/search-space.ts';
import type { Configuration, LeverId, ParetoPoint, Refusal, Step, StepVerdict } from '../result.ts';
import { Candidates } from './candidates.ts';
import { type Comparison, OPEN_CHANCE, type Quality } from './evaluator.ts';
import {
  BudgetSpent,
  type ExperimentOptions,
  Experiments,
  type Gain,
  type MeasuredConfiguration,
  RUNS_OF,
} from './experiments.ts';
import {
  chooseFinalists,
  chooseRungs,
  expectedAlone,
  expectedFps,
  type Finalist,
  type FinalVerdict,
  LEAST_BENEFIT,
} from './finals.ts';
import { paretoFront } from './pareto.ts';
import { type Change, StepLog } from './step-log.ts';
import type { WorkKind } from './time-budget.ts';

type Defaulted = 'expectedSeconds' | 'mostRuns' | 'noiseRatio' | 'signal';

export interface SearchOptions extends Omit<ExperimentOptions, Defaulted>, Partial<Pick<ExperimentOptions, Defaulted>> {
  readonly seed: number;
  /** Receives every step when it is decided. */
  readonly onStep?: (step: Step) => void;
}

export interface SearchResult {
  readonly baseline: MeasuredConfiguration;
  readonly best: MeasuredConfiguration;
  /** The best against the baseline, in turn; null if the best is the baseline. */
  readonly speedup: Comparison | null;
  /** What is faster than the best if people accept what figures cannot settle; null if nothing is. */
  readonly faster: FasterAnswer | null;
  /** What was judged on the held-out part, the fastest first. */
  readonly finalists: readonly FinalVerdict[];
  readonly steps: readonly Step[];
  readonly refused: readonly Refusal[];
  readonly pareto: readonly ParetoPoint[];
  /** Measurements by kind. */
  readonly counts: Readonly<Record<WorkKind, number>>;
  /** Seconds of each kind. */
  readonly spentSeconds: Readonly<Record<WorkKind, number>>;
  /** Runs of pipelines and engines in them. */
  readonly runs: number;
  readonly seconds: number;
  /** How many predicted gains were measured, and their median error; null without any. */
  readonly predictions: { readonly count: number; readonly medianError: number } | null;
  /** `budget`: there was more to try. */
  readonly ended: 'done' | 'budget';
}

/** A configuration that passes but for what people have to settle. */
export interface FasterAnswer {
  readonly measured: MeasuredConfiguration;
  /** Against the baseline, in turn. */
  readonly speedup: Comparison;
  /** On the held-out part. */
  readonly quality: Quality;
}

export const EXPECTED_SECONDS: Readonly<Record<WorkKind, number>> = {
  probe: 4,
  trial: 8,
  pair: 14,
  compare: 50,
  screen: 12,
  confirm: 25,
};
/** Verdicts on the held-out part. More would make each of them stricter. */
export const MOST_FINALISTS = 3;
/** Networks that are looked at on the recording before the rungs are named: each takes a run. */
const MOST_LOOKED_AT = 5;
/** What people are asked to look at is faster than what is proven by this ratio at least. */
const WORTH_A_QUESTION = 1.05;
const NOISE_RATIO = 0.05;
/** A gain of which the interval spans this ratio is not known. */
const WIDE_OPEN = 1.6;
/** Skipping is a risk: a configuration that skips must be faster by this ratio. */
const LEAST_SKIP_GAIN = 1.02;
/** A pair that shows at least this gain, but not clearly, is measured once more. */
const WORTH_A_SECOND_LOOK = 1.01;
/** A configuration replaces another in its group if it is faster by this many standard errors. */
const CLEAR_ERRORS = 2;
/** Comparisons among configurations that detect the same: those that are kept free, and the most. */
const RESERVED_COMPARISONS = 2;
const MOST_COMPARISONS = 6;
/** At most this share of the budget is kept for the confirmation. */
const RESERVED_RATIO = 0.5;

/**
 * Searches for the configuration with the most frames per second among those that pass the quality gate and meet the
 * targets. Does no I/O: everything is measured by the evaluator. Equal options and equal measurements give the same
 * path.
 *
 * 1. The baseline's own network, one lever at a time: engine, number format, threads.
 * 2. Everything else, the most promising first, until nothing is expected to raise the rate of what passes. A configuration's promise is
 *    its predicted rate and its chance to pass; its network is timed alone and screened before it is run.
 * 3. A few finalists are judged on the held-out part, the fastest first, until one passes.
 * 4. What is left of the time tunes that one by levers that change no detections. It is the result only if it is certainly faster than the
 *    baseline, measured in turn.
 *
 * Each step is measured in turn with the configuration that it starts from. A gain that is not certain is not taken.
 *
 * @throws what the evaluator throws for the baseline; the reason of `signal` if it was aborted.
 */
export async function search(options: SearchOptions): Promise<SearchResult> {
  const lab = new Experiments({
    ...options,
    expectedSeconds: options.expectedSeconds ?? EXPECTED_SECONDS,
    mostRuns: options.mostRuns ?? Number.POSITIVE_INFINITY,
    noiseRatio: options.noiseRatio ?? NOISE_RATIO,
    signal: options.signal ?? new AbortController().signal,
  });
  await lab.screen(options.baseline, true);
  return new Search(options, lab, await lab.baseline()).run();
}

class Search {
  readonly #options: SearchOptions;
  readonly #space: SearchSpace;
  readonly #lab: Experiments;
  readonly #log: StepLog;
  readonly #candidates: Candidates;
  /** Values of levers that were clearly slower, as `lever value`; they are not tried again beside other values. */
  readonly #poor = new Set<string>();
  #current: MeasuredConfiguration;
  /** Its levers that change no detections have the best known values. */
  #tuned: Configuration;
  /** Key of the detections that the held-out part has passed; null before the verdicts. */
  #accepted: string | null = null;
  /** Whether a look at the recording of the search part showed nothing that only people can settle, by network. */
  readonly #looked = new Map<string, boolean>();
  /** The fastest that passed but for what people have to settle. */
  #faster: Omit<FasterAnswer, 'speedup'> | null = null;

  constructor(options: SearchOptions, lab: Experiments, baseline: MeasuredConfiguration) {
    this.#options = options;
    this.#space = options.space;
    this.#lab = lab;
    this.#log = new StepLog(options.onStep ?? (() => undefined));
    this.#candidates = new Candidates(options.space, lab.times, lab.predictions, options.seed);
    this.#current = baseline;
    this.#tuned = options.baseline;
  }

  async run(): Promise<SearchResult> {
    const { baseline } = this.#options;
    this.#lab.reserved = this.#reserve();
    let isDone = await this.#whileTimeLasts(async () => {
      await this.#lab.probe(baseline);
      await this.#speedUpOwnNetwork();
      await this.#improve();
    });
    this.#ruleOutTheRest();
    this.#lab.reserved = ['compare'];
    const finalists = await this.#finals();
    if (this.#faster !== null) this.#lab.reserved = ['compare', 'compare'];
    isDone = (await this.#whileTimeLasts(() => this.#improve())) && isDone;
    await this.#chooseAmongEqual();
    this.#lab.reserved = this.#faster === null ? [] : ['compare'];
    await this.#keepHarmless();
    const speedup = await this.#againstBaseline();
    this.#lab.reserved = [];
    const faster = await this.#fasterAnswer();
    const { counts, spentSeconds, runs, elapsedSeconds, predictions } = this.#lab;
    return {
      baseline: this.#lab.measured(baseline)!,
      best: this.#current,
      speedup,
      faster,
      finalists,
      steps: this.#log.steps,
      refused: this.#log.refused,
      pareto: this.#pareto(),
      counts: { ...counts },
      spentSeconds,
      runs,
      seconds: elapsedSeconds,
      predictions: predictions.accuracy,
      ended: isDone ? 'done' : 'budget',
    };
  }

  /** @returns whether the work was completed. */
  async #whileTimeLasts(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (error instanceof BudgetSpent) return false;
      throw error;
    }
  }

  /** Goes to the best predicted format and threads of the baseline's network, one lever at a time, so that each gain is known. */
  async #speedUpOwnNetwork(): Promise<void> {
    const { baseline } = this.#options;
    const { model, inputSize } = baseline;
    const target = await this.#next(
      (to) => to.model === model && to.inputSize === inputSize && hasSameSkips(to, baseline),
    );
    while (target !== null) {
      const here = this.#current.configuration;
      const levers = changedLevers(here, target);
      const changes = levers
        .map((lever) => this.#changeTo(withLever(this.#space, here, lever, target[lever])))
        .filter(({ to, predictedGain }) => predictedGain >= 1 && this.#isOpen(to) && this.#chanceOf(to) > 0)
        .sort((a, b) => b.predictedGain - a.predictedGain);
      const single = this.#isShort(levers) ? changes[0] : undefined;
      if (single !== undefined && (await this.#step(single))) continue;
      if (this.#isOpen(target)) await this.#step(this.#changeTo(target));
      return;
    }
  }

  /** Returns whether single steps for these levers take at most half of what is left. */
  #isShort(levers: readonly LeverId[]): boolean {
    const steps = levers.flatMap((): WorkKind[] => ['screen', 'pair']);
    return this.#lab.fits([...steps, ...steps]);
  }

  /** Measures the most promising configurations until none is worth a run. @throws BudgetSpent */
  async #improve(): Promise<void> {
    for (let next = await this.#next(); next !== null; next = await this.#next())
      await this.#step(this.#changeTo(next));
  }

  /**
   * Returns the most promising configuration that was not run. The one that leads the ranking is timed and screened, which may cost it
   * its place: what cannot lead is never timed. Null if nothing is worth a run.
   *
   * @throws BudgetSpent
   */
  async #next(isWanted: (to: Configuration) => boolean = () => true): Promise<Configuration | null> {
    for (;;) {
      const [first] = this.#ranking().filter(({ to }) => isWanted(to));
      if (first === undefined || first.promise < LEAST_BENEFIT) return null;
      const { to } = first;
      const isTimed = this.#lab.times.measured(to) !== null;
      if (isTimed && this.#lab.qualities.judged(to) !== null) return to;
      if (isTimed) await this.#lab.screen(to);
      else await this.#lab.probe(to);
      this.#logObjection(to);
    }
  }

  #logObjection(to: Configuration): void {
    const failure = this.#lab.failureOf(to);
    const quality = this.#lab.qualities.judged(to);
    if (failure !== null) this.#log.add(this.#changeTo(to), 'failed', failure);
    else if (quality !== null && quality.verdict !== 'passed') this.#log.notPassed(this.#changeTo(to), quality);
  }

  /** Configurations that were not run, by how much each is expected to raise the rate of what passes if it is as fast as it may be. */
  #ranking(): { readonly to: Configuration; readonly fps: number; readonly promise: number }[] {
    const { finalists: all, fallback } = this.#standing();
    const finalists = chooseFinalists(all, fallback, MOST_FINALISTS);
    const known = expectedFps(finalists, fallback, MOST_FINALISTS);
    const near = [this.#current, ...this.#lab.all.sort((a, b) => b.fps - a.fps)];
    return this.#candidates
      .around(this.#current.configuration, this.#tuned)
      .filter((to) => this.#isOpen(to))
      .map((to) => {
        const fps = this.#lab.predictions.mostFps(near, to);
        const measured = { configuration: to, fps, meetsTargets: true };
        const more = [...finalists, { measured, chance: this.#chanceOf(to) }];
        return { to, fps, promise: expectedFps(more, fallback, MOST_FINALISTS) / known };
      })
      .sort((a, b) => b.promise - a.promise);
  }

  /** Whether a configuration may still be run. */
  #isOpen(to: Configuration): boolean {
    if (this.#lab.measured(to) !== null || this.#lab.failureOf(to) !== null) return false;
    const [lever, ...others] = changedLevers(this.#current.configuration, to);
    return others.length > 0 || !this.#poor.has(`${lever} ${valueText(lever!, to)}`);
  }

  /** The chance to pass on the held-out part. */
  #chanceOf(configuration: Configuration): number {
    if (this.#accepted !== null) return qualityKey(configuration) === this.#accepted ? 1 : 0;
    return this.#lab.qualities.chanceOf(configuration);
  }

  /** The fastest measured configuration of each set of detections that may pass, and the one that needs no verdict. */
  #standing(): { readonly finalists: readonly Finalist[]; readonly fallback: MeasuredConfiguration } {
    const groups = new Map<string, MeasuredConfiguration>();
    // As in a step, a configuration replaces another only for a certain gain, not for a lucky run.
    for (const measured of [this.#current, ...this.#lab.all]) {
      const key = qualityKey(measured.configuration);
      const known = groups.get(key);
      if (known === undefined || isCertainlyAhead(measured, known)) groups.set(key, measured);
    }
    const own = this.#accepted ?? qualityKey(this.#options.baseline);
    const fallback = groups.get(own)!;
    const finalists = [...groups.values()]
      .filter((measured) => measured !== fallback && isAhead(measured, fallback))
      .map((measured): Finalist => {
        const { configuration } = measured;
        const settledChance = this.#lab.qualities.settledChanceOf(configuration);
        // What the recording shows of one size of a network holds for its others.
        const isOpen = this.#looked.get(configuration.model) === false && this.#accepted === null;
        const chance = Math.min(this.#chanceOf(configuration), isOpen ? settledChance * OPEN_CHANCE : 1);
        return { measured, chance, settledChance };
      });
    return { finalists, fallback };
  }

  /** Says why each configuration that was not run is not worth it, as far as the present one is better. */
  #ruleOutTheRest(): void {
    for (const { to, fps, promise } of this.#ranking()) {
      if (promise >= LEAST_BENEFIT) continue;
      const refusal = this.#lab.qualities.likelyRefusal(to);
      const chance = this.#chanceOf(to);
      const speed = `at most ${fps.toFixed(1)} frames/s by its parts; ${this.#current.fps.toFixed(1)} were measured`;
      const unlikely = chance < 1 ? `; its chance to pass is ${chanceText(chance)}` : '';
      if (this.#lab.qualities.judged(to)?.verdict !== 'refused')
        this.#log.ruleOut(this.#changeTo(to), refusal ?? `${speed}${unlikely}`);
    }
  }

  /** Measures a change; moves there if it is certainly better. @throws BudgetSpent */
  async #step(change: Change): Promise<boolean> {
    const { to, lever } = change;
    await this.#lab.probe(to);
    const quality = this.#lab.failureOf(to) === null ? await this.#lab.screen(to) : null;
    if (quality?.verdict !== 'passed') {
      this.#logObjection(to);
      return false;
    }
    const before = this.#current;
    const predicted = this.#changeTo(to);
    const gain = await this.#gainOf(before.configuration, to);
    if (gain === null) {
      this.#logObjection(to);
      return false;
    }
    const after = this.#lab.measured(to)!;
    const verdict = verdictOn(gain, to);
    const isBetter = before.meetsTargets === after.meetsTargets ? verdict === 'better' : after.meetsTargets;
    const isTaken = isBetter && this.#worth(after) > this.#worth(before);
    const isOnlyOne = changedLevers(before.configuration, to).length === 1;
    if (verdict === 'worse' && isOnlyOne && !isPartLever(lever)) this.#poor.add(`${lever} ${valueText(lever, to)}`);
    this.#lab.predictions.add(change.from, to, predicted.predictedGain, gain.ratio);
    this.#log.add(predicted, verdict, reasonOf(gain, isTaken, before, after, this.#chanceOf(to)), {
      measuredGain: gain.ratio,
      interval: gain.interval,
      beside: gain.beside,
      isTaken,
      apLoss: LEVERS[lever].affectsDetections ? quality.loss : 0,
      measurements: [...quality.measurements, ...gain.measurements],
    });
    if (isTaken) [this.#current, this.#tuned] = [after, to];
    return isTaken;
  }

  #worth(measured: MeasuredConfiguration): number {
    return expectedAlone({ measured, chance: this.#chanceOf(measured.configuration) }, this.#standing().fallback);
  }

  /** Measures a change, twice if the first look leaves a likely gain open. @throws BudgetSpent */
  async #gainOf(from: Configuration, to: Configuration): Promise<Gain | null> {
    const first = await this.#lab.pair(from, to);
    if (first === null || verdictOn(first, to) !== 'inconclusive' || first.ratio < WORTH_A_SECOND_LOOK) return first;
    if (!this.#lab.fits(['pair'])) return first;
    const second = await this.#lab.pair(from, to);
    return second && { ...second, measurements: [...first.measurements, ...second.measurements] };
  }

  /**
   * Judges the rungs on the held-out part, the fastest first, until one is proven; it becomes the present configuration. The fastest that
   * passes but for what people have to settle is kept beside it.
   */
  async #finals(): Promise<FinalVerdict[]> {
    const { fallback } = this.#standing();
    const rungs = await this.#rungs();
    const verdicts: FinalVerdict[] = [];
    this.#current = fallback;
    let isDecided = false;
    for (const { measured } of rungs) {
      const { configuration, fps } = measured;
      const isPossible = !isDecided && this.#lab.fits(['confirm']);
      const quality = isPossible ? await this.#lab.confirm(configuration, rungs.length) : null;
      const why = isDecided
        ? 'a faster one is proven'
        : (this.#lab.failureOf(configuration) ?? 'the time was too short');
      const differences = quality?.differences ?? [];
      verdicts.push({
        configuration,
        fps,
        differences,
        verdict: quality?.verdict ?? 'not judged',
        reason: quality?.reason ?? why,
        measurements: quality?.measurements ?? [],
      });
      if (quality === null) continue;
      const isProven = quality.verdict === 'passed' && differences.length === 0;
      const isOpen = quality.verdict !== 'refused' && differences.length > 0;
      if (isProven) [this.#current, isDecided] = [this.#lab.measured(configuration)!, true];
      else if (isOpen) this.#faster ??= { measured: this.#lab.measured(configuration)!, quality };
      if (quality.verdict !== 'passed') this.#log.notPassed(this.#changeFrom(fallback, configuration), quality);
    }
    this.#accepted = qualityKey(this.#current.configuration);
    return verdicts;
  }

  /**
   * Names what is judged on the held-out part. Before that the fastest networks are looked at on the recording of the search part, until one shows
   * nothing that only people could settle: so that what is judged differs in what may become of it.
   */
  async #rungs(): Promise<Finalist[]> {
    const { baseline } = this.#options;
    for (;;) {
      const { finalists, fallback } = this.#standing();
      const [next] = finalists
        .map(({ measured }) => measured)
        .filter(({ configuration: { model } }) => model !== baseline.model && !this.#looked.has(model))
        .filter(({ configuration }) => this.#chanceOf(configuration) > 0)
        .sort((a, b) => b.fps - a.fps);
      const isEnough = [...this.#looked.values()].includes(true) || this.#looked.size === MOST_LOOKED_AT;
      if (next === undefined || isEnough || !this.#lab.fits(['screen']))
        return chooseRungs(finalists, baseline, fallback, MOST_FINALISTS);
      const { configuration } = next;
      const quality = await this.#lab.screenClip(configuration);
      const isPassed = quality?.verdict === 'passed';
      this.#looked.set(configuration.model, isPassed && quality.differences.length === 0);
      if (quality !== null && !isPassed) this.#log.notPassed(this.#changeTo(configuration), quality);
    }
  }

  /** Compares the present configuration with those that detect the same and may be faster, until none may be, or time is up. */
  async #chooseAmongEqual(): Promise<void> {
    const mostGain = ({ configuration }: MeasuredConfiguration): number =>
      this.#lab.mostGain(this.#current.configuration, configuration);
    for (let compared = 0; compared < MOST_COMPARISONS && this.#lab.fits(['compare']); compared++) {
      const { configuration: here, meetsTargets } = this.#current;
      const [challenger] = this.#lab.all
        .filter(({ configuration: to }) => configurationKey(to) !== configurationKey(here))
        .filter((other) => this.#chanceOf(other.configuration) === 1 && other.meetsTargets === meetsTargets)
        .filter((other) => mostGain(other) >= LEAST_BENEFIT && this.#lab.failureOf(other.configuration) === null)
        .sort((a, b) => mostGain(b) - mostGain(a));
      if (challenger === undefined) return;
      const change = this.#changeTo(challenger.configuration);
      const done = await this.#lab.compare(here, challenger.configuration);
      if (done === null) continue;
      const { alone, gain } = done;
      const isTaken = gain.interval[0] > 1;
      const text = isTaken ? 'taken' : 'the present configuration stays';
      const reason = `compared in turn: ${times(alone.ratio)}, with earlier runs ${times(gain.ratio)}; ${text}`;
      this.#log.add(change, verdictOn(gain, challenger.configuration), reason, {
        measuredGain: gain.ratio,
        interval: gain.interval,
        isTaken,
        measurements: alone.measurements,
        apLoss: 0,
      });
      if (isTaken) this.#current = challenger;
    }
  }

  /** Checks the result by a run. Where its levers that change no detection do, what they tune is given without them, or the baseline stays. */
  async #keepHarmless(): Promise<void> {
    this.#current = (await this.#harmless(this.#current)) ?? this.#lab.measured(this.#options.baseline)!;
  }

  /** The configuration if a run shows that it detects what it detects untuned; else the untuned one; null if that is not to be had. */
  async #harmless(measured: MeasuredConfiguration): Promise<MeasuredConfiguration | null> {
    const { baseline } = this.#options;
    const { configuration } = measured;
    const plain = untuned(configuration, baseline);
    if (configurationKey(plain) === configurationKey(configuration)) return measured;
    const harm = await this.#lab.checkHarmless(configuration);
    if (harm?.verdict === 'passed') return measured;
    const lever = changedLevers(plain, configuration)[0]!;
    const predictedGain = this.#lab.predictions.gain(plain, configuration);
    const change: Change = { lever, from: plain, to: configuration, predictedGain };
    if (harm === null) this.#log.add(change, 'failed', this.#lab.failureOf(configuration)!);
    else this.#log.notPassed(change, harm);
    const mayBeGiven = plain.maxBatch === baseline.maxBatch || this.#space.levers.includes('maxBatch');
    if (!mayBeGiven || !this.#space.isPossible(plain)) return null;
    if (this.#lab.measured(plain) === null) await this.#lab.pair(baseline, plain, true);
    return this.#lab.measured(plain);
  }

  /** The proof of the result: without a certain gain over the baseline the baseline stays. */
  async #againstBaseline(): Promise<Comparison | null> {
    const { baseline } = this.#options;
    const own = this.#lab.measured(baseline)!;
    const { configuration, meetsTargets } = this.#current;
    if (configurationKey(configuration) === configurationKey(baseline)) return null;
    const proof = await this.#proofOf(configuration);
    const isProven = proof !== null && (proof.interval[0] > 1 || (meetsTargets && !own.meetsTargets));
    if (isProven) return proof;
    const change = this.#changeFrom(own, configuration);
    const why = `measured in turn with the baseline: ${proof === null ? 'it failed' : `${times(proof.ratio)}, which may be chance`}`;
    this.#log.add(change, 'inconclusive', `${why}; the baseline stays`, {
      measuredGain: proof?.ratio ?? null,
      interval: proof?.interval ?? null,
      measurements: proof?.measurements ?? [],
    });
    this.#current = own;
    return null;
  }

  /**
   * The gain over the baseline: compared once more if there is time, else by all pairs that were measured in turn on the way. If those leave it
   * wide open, as on a busy machine, by one pair of its own.
   */
  async #proofOf(configuration: Configuration): Promise<Comparison | null> {
    const { baseline } = this.#options;
    if (this.#lab.fits(['compare'])) return (await this.#lab.compare(baseline, configuration))?.alone ?? null;
    const known = this.#lab.gainOverBaseline(configuration);
    const isOpen = known === null || known.interval[1] > WIDE_OPEN * known.interval[0];
    return isOpen ? this.#lab.pair(baseline, configuration, true) : known;
  }

  /** What is certainly faster than the result if people accept its differences. */
  async #fasterAnswer(): Promise<FasterAnswer | null> {
    if (this.#faster === null) return null;
    const tuned = await this.#tunedLikeTheBest(this.#faster.measured);
    if (tuned.fps < this.#current.fps * WORTH_A_QUESTION) return null;
    const measured = await this.#harmless(tuned);
    if (measured === null || measured.fps < this.#current.fps * WORTH_A_QUESTION) return null;
    const speedup = await this.#proofOf(measured.configuration);
    return speedup === null || speedup.interval[0] <= 1 ? null : { ...this.#faster, measured, speedup };
  }

  /** With the levers of the best that change no detection, if that is certainly faster. */
  async #tunedLikeTheBest(measured: MeasuredConfiguration): Promise<MeasuredConfiguration> {
    const { configuration: from } = measured;
    const to = this.#candidates.withTuned(from, this.#current.configuration);
    const isOther = configurationKey(to) !== configurationKey(from) && this.#space.isPossible(to);
    if (!isOther || !this.#lab.fits(['pair', 'compare'])) return measured;
    const gain = await this.#lab.pair(from, to);
    return gain !== null && gain.interval[0] > 1 ? this.#lab.measured(to)! : measured;
  }

  /** What the end of the search needs, as far as `RESERVED_RATIO` of time and runs allow it; at least the proof. The verdicts come first. */
  #reserve(): readonly WorkKind[] {
    const { budgetSeconds, mostRuns = Number.POSITIVE_INFINITY } = this.#options;
    const wanted: readonly WorkKind[] = [
      'compare',
      ...Array<WorkKind>(MOST_FINALISTS).fill('confirm'),
      ...Array<WorkKind>(RESERVED_COMPARISONS).fill('compare'),
    ];
    let [seconds, runs] = [budgetSeconds * RESERVED_RATIO, mostRuns * RESERVED_RATIO];
    const tooMuch = wanted.findIndex((kind) => {
      seconds -= this.#lab.secondsOf(kind);
      runs -= RUNS_OF[kind];
      return seconds < 0 || runs < 0;
    });
    return tooMuch < 0 ? wanted : wanted.slice(0, Math.max(1, tooMuch));
  }

  #changeTo(to: Configuration): Change {
    return this.#changeFrom(this.#current, to);
  }

  #changeFrom({ configuration: from }: MeasuredConfiguration, to: Configuration): Change {
    return { lever: changedLevers(from, to)[0]!, from, to, predictedGain: this.#lab.predictions.gain(from, to) };
  }

  #pareto(): ParetoPoint[] {
    const passed = this.#lab.all.flatMap((measured) => {
      const quality = this.#lab.qualities.judged(measured.configuration);
      if (quality?.verdict !== 'passed' || quality.loss > quality.allowed) return [];
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
  return Math.log(a.fps / b.fps) > CLEAR_ERRORS * Math.hypot(a.relativeError, b.relativeError);
}

function reasonOf(
  { ratio, beside: [from, to] }: Gain,
  isTaken: boolean,
  before: MeasuredConfiguration,
  after: MeasuredConfiguration,
  chance: number,
): string {
  const rates = `${from.toFixed(1)} to ${to.toFixed(1)} frames/s, ${times(ratio)}`;
  if (before.meetsTargets && !after.meetsTargets) return `${rates}; misses a target that was met`;
  if (!before.meetsTargets && after.meetsTargets) return `${rates}; meets the targets`;
  const unsure = chance < 1 ? `, with a chance of ${chanceText(chance)} to pass` : '';
  return `${rates}; ${isTaken ? 'taken' : 'not taken'}${unsure}`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} times`;
}
