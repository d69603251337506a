import { changedLevers, partKey, valueText } from '../levers/levers.ts';
import type { Configuration, LeverId } from '../result.ts';
import type { CostModel } from './cost-model.ts';

interface Measured {
  readonly configuration: Configuration;
  readonly fps: number;
}

/** Errors of predictions, until measured ones outnumber them. */
const PRIOR_ERRORS = [0.05, 0.05, 0.05, 0.05];
/** Predictions are seldom further off than this many median errors. */
const REACH = 2;

/**
 * Predicts rates: the measured rate of a known configuration, times the ratio of the cost model's formula for both, times what the
 * changed values were measured to bring elsewhere. What the formula gets wrong for both cancels out.
 */
export class Predictions {
  readonly #costs: CostModel;
  /** Measured to predicted gain by `lever value`, the latest. */
  readonly #corrections = new Map<string, number>();
  /** Logarithms of measured to predicted rates, without sign. */
  readonly #errors: number[] = [];

  constructor(costs: CostModel) {
    this.#costs = costs;
  }

  /** Takes in what a prediction was worth. A change of a single lever also says what its value brings beside other values. */
  add(from: Configuration, to: Configuration, predicted: number, measured: number): void {
    this.#errors.push(Math.abs(Math.log(measured / predicted)));
    const [lever, ...others] = changedLevers(from, to);
    if (lever === undefined || others.length > 0) return;
    const key = `${lever} ${valueText(lever, to)}`;
    // `predicted` holds what was learned before.
    this.#corrections.set(key, ((this.#corrections.get(key) ?? 1) * measured) / predicted);
  }

  /** Likely ratio of frames per second after a change to those before. */
  gain(from: Configuration, to: Configuration): number {
    return this.#ratio(from, to, false);
  }

  /** Rate that a configuration will hardly exceed. @param near - measured ones, of which the same network counts first. */
  mostFps(near: readonly Measured[], to: Configuration): number {
    const key = partKey(to);
    const base = near.find(({ configuration }) => partKey(configuration) === key) ?? near[0]!;
    return (
      base.fps *
      this.#ratio(base.configuration, to, true) *
      Math.exp(REACH * medianOf([...PRIOR_ERRORS, ...this.#errors]))
    );
  }

  /** How many predictions were measured, and their median error; null without any. */
  get accuracy(): { readonly count: number; readonly medianError: number } | null {
    const count = this.#errors.length;
    return count === 0 ? null : { count, medianError: Math.expm1(medianOf(this.#errors)) };
  }

  #ratio(from: Configuration, to: Configuration, isOptimistic: boolean): number {
    const formula = this.#costs.fps(to, isOptimistic) / this.#costs.fps(from);
    const correctionOf = (lever: LeverId, at: Configuration): number =>
      this.#corrections.get(`${lever} ${valueText(lever, at)}`) ?? 1;
    return changedLevers(from, to).reduce(
      (gain, lever) => (gain * correctionOf(lever, to)) / correctionOf(lever, from),
      formula,
    );
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
