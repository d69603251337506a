import { SINGLE_LEVEL } from '../../evaluate/loss-bootstrap.ts';

/**
 * One-sided confidence of each of several verdicts, so that the chance that any of them passes a candidate that loses too much
 * stays that of a single verdict (Bonferroni).
 *
 * @param verdicts - how many are given, at least one.
 */
export function levelFor(verdicts: number): number {
  if (!(Number.isInteger(verdicts) && verdicts >= 1))
    throw new RangeError(`verdicts: expected a whole number from 1, received ${verdicts}`);
  return 1 - (1 - SINGLE_LEVEL) / verdicts;
}
