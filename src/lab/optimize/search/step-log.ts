import { changedLevers, isPartLever, valueText } from '../levers/levers.ts';
import type { Configuration, LeverId, Refusal, Step, StepVerdict } from '../result.ts';
import type { Quality } from './evaluator.ts';

/** A change of configuration that was considered. */
export interface Change {
  readonly lever: LeverId;
  readonly from: Configuration;
  readonly to: Configuration;
  readonly predictedGain: number;
}

/** The steps of a search, and the configurations that the gate did not pass, in order. */
export class StepLog {
  readonly steps: Step[] = [];
  readonly refused: Refusal[] = [];
  readonly #onStep: (step: Step) => void;
  readonly #ruledOut = new Set<string>();

  constructor(onStep: (step: Step) => void) {
    this.#onStep = onStep;
  }

  add(
    change: Change,
    verdict: StepVerdict,
    reason: string,
    details: Partial<Pick<Step, 'measuredGain' | 'interval' | 'beside' | 'apLoss' | 'measurements' | 'isTaken'>> = {},
  ): void {
    const { lever, from, to, predictedGain } = change;
    const step: Step = {
      lever,
      from: changedText(lever, from, to),
      to: changedText(lever, to, from),
      predictedGain,
      measuredGain: null,
      interval: null,
      beside: null,
      apLoss: null,
      measurements: [],
      isTaken: false,
      ...details,
      verdict,
      reason,
    };
    this.steps.push(step);
    this.#onStep(step);
  }

  /** Records that a change is not run: once for each model and size, and for each value of another lever. */
  ruleOut(change: Change, reason: string): void {
    const { lever, to } = change;
    const key = isPartLever(lever) ? `${to.model} ${to.inputSize}` : `${lever} ${valueText(lever, to)}`;
    if (this.#ruledOut.has(key)) return;
    this.#ruledOut.add(key);
    this.add(change, 'ruled-out', reason);
  }

  /** Records that the gate did not pass a change: it refused it, or could not decide. */
  notPassed(change: Change, quality: Quality): void {
    const { loss, upperBound, allowed, reason, measurements } = quality;
    const verdict = quality.verdict === 'inconclusive' ? 'inconclusive' : 'refused';
    this.refused.push({ configuration: change.to, verdict, reason, loss, upperBound, allowed, measurements });
    this.add(change, verdict, reason, { apLoss: loss, measurements });
  }
}

/** The value of a lever, with the values that changed along with it. */
function changedText(lever: LeverId, configuration: Configuration, other: Configuration): string {
  const along = changedLevers(configuration, other)
    .filter((each) => each !== lever)
    .map((each) => `${each} ${valueText(each, configuration)}`);
  const value = valueText(lever, configuration);
  return along.length === 0 ? value : `${value} (${along.join(', ')})`;
}
