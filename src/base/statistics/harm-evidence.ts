import { z } from 'zod';

/** Evidence that a figure of blocks of time lies above its limit, as plain data. */
export const harmEvidence = z
  .object({
    /** Blocks so far. */
    blocks: z.number(),
    /** Sum of the figures. */
    sum: z.number(),
    /** Wealth of each bet; their mean is the e-value. */
    wealth: z.array(z.number()).min(1).readonly(),
  })
  .readonly();
export type HarmEvidence = z.infer<typeof harmEvidence>;

/** Shares of the wealth that are bet: large ones find a large harm fast, small ones find a small one at all. */
const BETS = [0.3, 0.6, 0.9];
/** Wealth beyond this decides every question, and stays finite. */
const MOST_WEALTH = 1e30;

export const NO_EVIDENCE_OF_HARM: HarmEvidence = { blocks: 0, sum: 0, wealth: BETS.map(() => 0) };

/**
 * Adds a block to the evidence that the figure is above its limit.
 *
 * A bet of the share `c` multiplies wealth by `1 + c (figure / limit - 1)`. Its expectation is 1 at most as long as the mean of the
 * figure, given the past, is at most the limit, whatever its distribution: a test by betting (I. Waudby-Smith and A. Ramdas,
 * Estimating means of bounded random variables by betting, 2024). A new bet starts at each block `t` with `1 / (t (t + 1))` of the first
 * wealth, so harm that begins late is found too (J. Shin, A. Ramdas and A. Rinaldo, E-detectors, 2024). All wealth together starts at
 * 1, so by Ville's inequality it ever reaches `1 / alpha` with probability `alpha` at most. Needs no memory of past blocks.
 *
 * @param figure - of this block, from 0. @param limit - above 0; may differ from block to block if it is known without the figure.
 */
export function addBlock(evidence: HarmEvidence, figure: number, limit: number): HarmEvidence {
  const blocks = evidence.blocks + 1;
  const begun = 1 / (blocks * (blocks + 1));
  const wealth = evidence.wealth.map((before, i) => {
    const factor = 1 + BETS[i]! * (figure / limit - 1);
    return shortened(Math.min(MOST_WEALTH, (before + begun) * factor));
  });
  return { blocks, sum: shortened(evidence.sum + figure), wealth };
}

/** Seven digits: more would only make the saved state longer. */
function shortened(value: number): number {
  return Number(value.toPrecision(7));
}

/** The e-value: above `1 / alpha`, harm is certain at level `alpha`. */
export function eValue({ wealth }: HarmEvidence): number {
  return wealth.reduce((sum, value) => sum + value, 0) / wealth.length;
}

/**
 * Returns the share of a level that one of many tests gets, whose number is not known before. The shares of all numbers add up to 1, so
 * the tests together err as rarely as one. Falls with about `1 / (n log(n)^2)`.
 *
 * @param number - of the test, from 1, given before its first figure.
 */
export function shareOfLevel(number: number): number {
  const doubling = Math.floor(Math.log2(number));
  return 1 / (2 ** doubling * (doubling + 1) * (doubling + 2));
}
