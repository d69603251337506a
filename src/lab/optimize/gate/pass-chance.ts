import { normalCdf, normalQuantile } from '../../measure/distributions.ts';

/** What the search part says of one loss, and how much evidence the held-out part has for it. */
export interface SearchEstimate {
  readonly loss: number;
  readonly standardError: number;
  /** Pieces of evidence (pictures, blocks of video) that the estimate stands on, and those of the held-out part. */
  readonly units: number;
  readonly heldOutUnits: number;
}

/**
 * Expected loss after an estimate, if losses of its kind are about zero with a standard deviation of `deviation`: the mean of both,
 * weighted by their certainty.
 */
export function withPrior(estimate: SearchEstimate, deviation: number): SearchEstimate {
  const { loss, standardError, heldOutUnits } = estimate;
  const weight = deviation ** 2 / (deviation ** 2 + standardError ** 2);
  // The verdict on the held-out part does not use this prior, so its own standard error stays.
  return {
    ...estimate,
    loss: loss * weight,
    standardError: standardError * Math.sqrt(weight),
    heldOutUnits: heldOutUnits * weight,
  };
}

/**
 * The chance that losses which add up pass on data that nobody has looked at, by their estimates on the search part.
 *
 * A candidate passes if its losses there, each with z standard errors, stay within the allowance together. The estimates on both parts
 * scatter around the same unknown loss, and a standard error falls with the square root of the evidence.
 *
 * @param level - one-sided confidence of the verdict on the held-out part.
 * @returns 0 to 1; 1 without estimates; 0 if a loss is not known.
 */
export function passChance(estimates: readonly SearchEstimate[], allowed: number, level: number): number {
  const z = normalQuantile(level);
  let [room, variance] = [allowed, 0];
  for (const { loss, standardError, units, heldOutUnits } of estimates) {
    if (!Number.isFinite(loss) || !Number.isFinite(standardError) || units <= 0 || heldOutUnits <= 0) return 0;
    const heldOutError = standardError * Math.sqrt(units / heldOutUnits);
    room -= loss + z * heldOutError;
    variance += standardError ** 2 + heldOutError ** 2;
  }
  if (variance === 0) return room >= 0 ? 1 : 0;
  return normalCdf(room / Math.sqrt(variance));
}

/** A chance in words: what is small is not told as nothing. */
export function chanceText(chance: number): string {
  const share = Math.round(chance * 100);
  return chance > 0 && share === 0 ? 'less than 1 %' : `${share} %`;
}
