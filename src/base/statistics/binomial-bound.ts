/** Confidence at which a percentile target counts as met, as in MLPerf's LoadGen. */
const CONFIDENCE = 0.99;

/** Accepted probability of a wrong verdict on a target. */
export const RISK = 1 - CONFIDENCE;

/**
 * Returns how many frames are needed to be sure that the share `quantile` of all frames is within a limit, if
 * `misses` of the measured ones were not: the smallest n with P(X <= misses) <= `risk`, where X counts the misses among n
 * frames of which each misses with probability 1 - quantile. p99 at 1 %: 459 without a miss, 662 with one, 1,307 with five.
 *
 * @param quantile - above 0 and below 1, such as 0.99.
 * @param risk - above 0 and below 1; default 1 %. Divide it by the number of bounds of which none may be wrong.
 */
export function framesNeeded(quantile: number, misses: number, risk = RISK): number {
  if (!(quantile > 0 && quantile < 1 && risk > 0 && risk < 1 && Number.isInteger(misses) && misses >= 0))
    throw new RangeError(
      `expected a quantile and a risk between 0 and 1 and a number of misses, received ${quantile}, ${risk}, ${misses}`,
    );
  const isEnough = (frames: number): boolean => atMost(frames, misses, 1 - quantile) <= risk;
  let low = misses;
  let high = misses + 1;
  while (!isEnough(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isEnough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** True if `misses` of `frames` prove, but for `risk`, that more than `share` of all frames miss. */
export function isBeyond(share: number, misses: number, frames: number, risk = RISK): boolean {
  if (misses === 0 || share >= 1) return false;
  return share <= 0 || 1 - atMost(frames, misses - 1, share) <= risk;
}

/**
 * Returns the exact (Clopper-Pearson) interval of a share of which `hits` of `trials` were seen; from 0 to 1 without a trial.
 *
 * @param risk - that it misses the share, half of it on each side.
 */
export function shareInterval(hits: number, trials: number, risk = 0.05): readonly [low: number, high: number] {
  const lowest = (seen: number): number => {
    let [low, high] = [0, 1];
    for (let i = 0; i < 50; i++) {
      const middle = (low + high) / 2;
      if (isBeyond(middle, seen, trials, risk / 2)) low = middle;
      else high = middle;
    }
    return low;
  };
  return [lowest(hits), 1 - lowest(trials - hits)];
}

/** Probability of at most `k` events in `n` trials of probability `p`; logarithms, since the terms may be tiny. */
function atMost(n: number, k: number, p: number): number {
  if (k >= n) return 1;
  let logTerm = n * Math.log1p(-p);
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= k; i++) {
    logTerm += Math.log((n - i + 1) / i) + Math.log(p) - Math.log1p(-p);
    sum += Math.exp(logTerm);
  }
  return sum;
}
