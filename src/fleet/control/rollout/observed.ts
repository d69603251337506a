import { z } from 'zod';
import type { SideObservation } from '../../../wire/protocol/rollout-records.ts';

/** Counts of what was observed, by name, added up over any time and any number of streams. */
export type Counts<Name extends string> = Record<Name, number>;

/** How counts of these names are begun, added up and saved. */
export function countsOf<const Name extends string>(...names: readonly Name[]) {
  const each = <T>(value: T): Record<Name, T> =>
    Object.fromEntries(names.map((name) => [name, value])) as Record<Name, T>;
  return {
    state: z.object(each(z.number())),
    none: () => each(0),
    /** @param kept - share of the earlier counts that stays. */
    add(sums: Counts<Name>, more: Readonly<Counts<Name>>, kept = 1): void {
      for (const name of names) sums[name] = sums[name] * kept + more[name];
    },
  };
}

/** What all evidence counts of an observation of a side. */
export function countsIn({ frames, dropped, failed, boxes, seconds, othersRatio = 0 }: SideObservation) {
  const lost = dropped + failed;
  // `othersSeconds`: share of the CPU that others took, times seconds.
  return {
    seconds,
    frames,
    dropped,
    failed,
    lost,
    arrived: frames + lost,
    boxes,
    othersSeconds: othersRatio * seconds,
  };
}

/** What one side of a stream did in a second or so, and how many frames that side was given: published, dropped and failed. */
export interface SideCounts extends SideObservation {
  readonly arrived: number;
}

export function sideCounts(observation: SideObservation): SideCounts {
  return { ...observation, arrived: countsIn(observation).arrived };
}

/** Mean share of the CPU that others took. */
export function othersRatioOf({ othersSeconds, seconds }: Readonly<Counts<'othersSeconds' | 'seconds'>>): number {
  return ratio(othersSeconds, seconds);
}

/** Returns a share; 0 of nothing. */
export function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

export function countAbove(values: readonly number[], limit: number): number {
  let count = 0;
  for (const value of values) if (value > limit) count += 1;
  return count;
}

export function percent(share: number): string {
  return `${+(share * 100).toFixed(1)} %`;
}
