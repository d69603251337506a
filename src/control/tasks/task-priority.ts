import type { JobOrder, Task } from '../../protocol/fleet.ts';

const HIGHEST = 1000;
/** Files in progress are finished first: results appear file by file, and few segment results exist at a time. */
const RANK: Readonly<Record<Task['kind'], number>> = { merge: 1, segment: 2, split: 3 };
const KINDS_PER_PRIORITY = 3;

/** Returns a task's priority in its pipeline's queue, 1 to 3003; the smallest runs first, equal ones in order of arrival. */
export function taskPriority(kind: Task['kind'], { priority }: Pick<JobOrder, 'priority'>): number {
  return (HIGHEST - priority) * KINDS_PER_PRIORITY + RANK[kind];
}
