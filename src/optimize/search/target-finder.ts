import { seededRandom } from '../../core/seeded-random.ts';
import type { InferPart } from '../levers/lever-options.ts';
import { configurationKey } from '../levers/levers.ts';
import { type SearchSpace, withLever } from '../levers/search-space.ts';
import type { Configuration, LeverId } from '../result.ts';
import type { Experiments, MeasuredConfiguration } from './experiments.ts';
import { type Change, differences, type StepLog } from './step-log.ts';

/** Levers that no probe measures, but whose best value follows from the formula of the cost model. */
const COUNTED: readonly LeverId[] = ['inferenceThreads', 'decodeThreads'];
/** Rivals that are predicted to be slower than this are not run: predictions are not much further off. */
const LEAST_PREDICTED_GAIN = 0.88;

/** What decides accuracy and most of the time: a part of inference, and who makes its input. */
interface Candidate {
  readonly part: InferPart;
  readonly resizeBy: Configuration['resizeBy'];
  /** Decides between equal predictions: 0 to 1, from the seed. */
  readonly lot: number;
}

/** What is looked for. */
export interface Wish {
  /** Thread counts are chosen as well, by the formula. */
  readonly isFree: boolean;
  /** Only the network of this configuration, at its size. */
  readonly only?: Configuration;
  /** Least chance to pass on the held-out part; default: what the screening passes. */
  readonly leastChance?: number;
  /** Combinations that cannot be faster than this are left out; default: the rate that `current` certainly reaches. */
  readonly leastFps?: number;
}

interface Ranked {
  readonly candidate: Candidate;
  readonly configuration: Configuration;
  /** Upper bound of its frames per second, estimated. */
  readonly ceilingFps: number;
}

/**
 * Finds the combinations of model, engine, precision, input size and resizer that are predicted to be the fastest and
 * pass the quality gate, the best first.
 *
 * A best-first search on optimistic estimates: the most promising combination is probed if its time is only estimated,
 * judged if its quality is not known, and returned if both are. A combination whose optimistic estimate does not reach the
 * front is never probed.
 */
export class TargetFinder {
  readonly #space: SearchSpace;
  readonly #lab: Experiments;
  readonly #log: StepLog;
  readonly #open: Set<Candidate>;

  constructor(space: SearchSpace, lab: Experiments, log: StepLog, seed: number) {
    this.#space = space;
    this.#lab = lab;
    this.#log = log;
    const random = seededRandom(seed);
    const kernels: readonly Configuration['resizeBy'][] = ['ffmpeg', 'sharp'];
    this.#open = new Set(space.parts.flatMap((part) => kernels.map((resizeBy) => ({ part, resizeBy, lot: random() }))));
  }

  /**
   * Returns the next best combination with the other levers as in `current`; null if none is left that could be as fast.
   *
   * @throws BudgetSpent
   */
  async next(current: MeasuredConfiguration, wish: Wish): Promise<Configuration | null> {
    for (;;) {
      const probed = await this.#firstOf(this.#ranking(current.configuration, wish), current, wish);
      if (probed !== 'probed') return probed;
    }
  }

  /** @returns the first combination that passes, null if none does, `probed` if a new time changes the ranking. */
  async #firstOf(
    ranking: readonly Ranked[],
    current: MeasuredConfiguration,
    { leastChance = 0, leastFps = current.certainFps }: Wish,
  ): Promise<Configuration | null | 'probed'> {
    for (const { candidate, configuration, ceilingFps } of ranking) {
      const change = this.#change(current, configuration);
      if (ceilingFps < leastFps) {
        this.#close(candidate, change, `at most ${ceilingFps.toFixed(1)} frames/s by its parts`, current);
        continue;
      }
      const isKnown =
        configurationKey(configuration) === configurationKey(current.configuration) ||
        this.#lab.measured(configuration) !== null;
      const failure = this.#lab.failureOf(configuration);
      const refusal = this.#lab.qualities.likelyRefusal(configuration);
      if (isKnown || (leastChance > 0 && this.#lab.qualities.isHardlySure(configuration))) this.#open.delete(candidate);
      else if (failure !== null) {
        this.#open.delete(candidate);
        this.#log.add(change, 'failed', failure);
      } else if (refusal !== null) {
        this.#open.delete(candidate);
        this.#log.ruleOut(change, refusal);
      } else if (this.#lab.times.measured(candidate.part) === null) {
        await this.#lab.probe(candidate.part);
        return 'probed';
      } else if (current.fps * change.predictedGain < Math.min(leastFps, current.fps * LEAST_PREDICTED_GAIN)) {
        const fps = current.fps * change.predictedGain;
        this.#close(candidate, change, `predicted to reach ${fps.toFixed(1)} frames/s`, current);
      } else if (await this.#passes(candidate, change, leastChance)) return configuration;
    }
    return null;
  }

  #close(candidate: Candidate, change: Change, why: string, { fps }: MeasuredConfiguration): void {
    this.#open.delete(candidate);
    this.#log.ruleOut(change, `${why}; ${fps.toFixed(1)} were measured`);
  }

  async #passes(candidate: Candidate, change: Change, leastChance: number): Promise<boolean> {
    const quality = await this.#lab.screen(change.to);
    this.#open.delete(candidate);
    if (quality?.verdict === 'passed') return quality.chance >= leastChance;
    if (quality === null) this.#log.add(change, 'failed', this.#lab.failureOf(change.to)!);
    else this.#log.notPassed(change, quality);
    return false;
  }

  /** Every open combination that is possible, the most promising first. */
  #ranking(base: Configuration, { isFree, only }: Wish): Ranked[] {
    const ranked: Ranked[] = [];
    for (const candidate of this.#open) {
      const { model, inputSize } = candidate.part;
      if (only !== undefined && (model !== only.model || inputSize !== only.inputSize)) continue;
      const configuration = this.#place(base, candidate, isFree);
      if (configuration === null) continue;
      ranked.push({ candidate, configuration, ceilingFps: this.#lab.costs.fps(configuration, true) });
    }
    return ranked.sort((a, b) => b.ceilingFps - a.ceilingFps || b.candidate.lot - a.candidate.lot);
  }

  /** Puts a candidate into a configuration; null if it is not possible there, or not its turn yet. */
  #place(base: Configuration, { part, resizeBy }: Candidate, isFree: boolean): Configuration | null {
    if (resizeBy !== base.resizeBy && !this.#space.levers.includes('resizeBy')) return null;
    const model = this.#space.models.find(({ name }) => name === part.model)!;
    // Other sizes of a model are estimated from its published one, which comes first.
    const isPublished = part.inputSize === model.inputSize;
    if (!isPublished && !this.#lab.times.isModelKnown(part.model)) return null;
    let configuration: Configuration = { ...withLever(this.#space, base, 'model', part.model), ...part, resizeBy };
    if (isFree)
      for (const lever of COUNTED) {
        for (const value of this.#space.valuesOf(lever, configuration)) {
          const other = withLever(this.#space, configuration, lever, value);
          if (this.#lab.costs.fps(other) > this.#lab.costs.fps(configuration)) configuration = other;
        }
      }
    return this.#space.isPossible(configuration) ? configuration : null;
  }

  #change({ configuration: from }: MeasuredConfiguration, to: Configuration): Change {
    const lever = differences(from, to)[0] ?? 'model';
    return { lever, from, to, predictedGain: this.#lab.costs.gain(from, to) };
  }
}
