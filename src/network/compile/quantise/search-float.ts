/** One trial of the search. */
export interface FloatTrial {
  /** Number of layers that stayed in float: the first ones of the ranked list. */
  readonly floatCount: number;
  readonly loss: number;
}

/**
 * Finds how many of the most sensitive layers must stay in float, by bisection. It tries all layers in INT8 first, because that is
 * often good enough.
 *
 * Assumes that the loss falls as more layers stay in float. If noise breaks that, the result may not be the smallest number, but it
 * was measured to be within the allowance.
 *
 * @param count - layers in the ranked list.
 * @param measure - returns the loss with the given number of layers in float; never called with `count`, which leaves none in INT8.
 * @returns the smallest number that was measured to be within the allowance, `count` if none was, and all trials in order.
 */
export async function searchFloatCount(
  count: number,
  maxLoss: number,
  measure: (floatCount: number) => Promise<number>,
): Promise<{ readonly floatCount: number; readonly trials: readonly FloatTrial[] }> {
  const trials: FloatTrial[] = [];
  const isWithin = async (floatCount: number): Promise<boolean> => {
    const loss = await measure(floatCount);
    trials.push({ floatCount, loss });
    return loss <= maxLoss;
  };
  if (count === 0 || (await isWithin(0))) return { floatCount: 0, trials };
  let tooFew = 0;
  let enough = count;
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2);
    if (await isWithin(middle)) enough = middle;
    else tooFew = middle;
  }
  return { floatCount: enough, trials };
}
