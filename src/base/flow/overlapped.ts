import type { Clock } from '../core/clock.ts';

export interface OverlapOptions {
  /** Most that count at once. */
  readonly atOnce: number;
  /** One that takes longer waits for something else than this machine, and no longer counts. */
  readonly slowMs: number;
  readonly clock: Clock;
}

/**
 * Begins `run` for each item in their order, a bounded number at once, so that one that takes long does not hold up those behind it.
 *
 * @returns the results in the order of the items, once all have ended. @throws the first error of an item, then too.
 */
export async function overlapped<Item, Result>(
  items: readonly Item[],
  run: (item: Item) => Promise<Result>,
  { atOnce, slowMs, clock }: OverlapOptions,
): Promise<Result[]> {
  const results: Promise<Result>[] = [];
  let counted = 0;
  let wake = (): void => undefined;
  for (const item of items) {
    while (counted >= atOnce)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    counted += 1;
    let isCounted = true;
    const free = (): void => {
      if (!isCounted) return;
      isCounted = false;
      counted -= 1;
      wake();
    };
    const cancel = clock.setTimer(free, slowMs);
    const result = run(item).finally(() => {
      cancel();
      free();
    });
    result.catch(() => undefined);
    results.push(result);
  }
  await Promise.allSettled(results);
  return Promise.all(results);
}
