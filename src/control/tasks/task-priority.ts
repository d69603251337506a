import type { JobOrder, Task } from '../../protocol/fleet.ts';

const HIGHEST = 1000;
/** What was begun is finished first: results come file by file, and few parts lie about. */
const RANK: Readonly<Record<Task['kind'], number>> = { merge: 1, segment: 2, split: 3 };
export const KINDS_PER_PRIORITY = 3;

/** Place of a task in its pipeline's queue, 1 to 3003, the smallest first; equal ones go in the order they came. */
export function taskPriority(kind: Task['kind'], { priority }: Pick<JobOrder, 'priority'>): number {
  return (HIGHEST - priority) * KINDS_PER_PRIORITY + RANK[kind];
}
