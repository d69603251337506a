import type { Configuration } from '../result.ts';
import { differences } from './step-log.ts';

/**
 * Corrects predictions by measured changes: a value of a lever that gained less than predicted will do so again beside other values.
 * Only changes of a single lever are used, since with several it is unknown which prediction was wrong.
 */
export class LearnedGains {
  /** Measured to predicted gain by `lever value`, the latest. */
  readonly #corrections = new Map<string, number>();

  add(from: Configuration, to: Configuration, predicted: number, measured: number): void {
    const [lever, ...others] = differences(from, to);
    if (lever === undefined || others.length > 0) return;
    const known = this.#corrections.get(`${lever} ${to[lever]}`) ?? 1;
    // `predicted` holds what was learned before.
    this.#corrections.set(`${lever} ${to[lever]}`, (known * measured) / predicted);
  }

  /** The predicted gain of a change, with what its levers are known to bring. */
  corrected(from: Configuration, to: Configuration, predicted: number): number {
    return differences(from, to).reduce(
      (gain, lever) => gain * (this.#corrections.get(`${lever} ${to[lever]}`) ?? 1),
      predicted,
    );
  }
}
