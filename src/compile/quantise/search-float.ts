/** One trial of the search. */
export interface FloatTrial {
  /** Layers that stayed in float: so many from the front of the ranked list. */
  readonly floatCount: number;
  readonly loss: number;
}

/**
 * Finds how many of the most sensitive layers must stay in float, by bisection: with all in INT8 first, since that often does.
 *
 * The loss is taken to fall as more layers stay in float. Where noise makes it not do so, what is found still was measured to be
 * within the allowance.
 *
 * @param count - layers in the ranked list.
 * @param measure - loss with so many layers in float; never asked for `count`, where nothing is left in INT8.
 * @returns the fewest that were seen to do, `count` where none did, and every trial in its order.
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
