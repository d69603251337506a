import type { Task } from '../../../wire/protocol/fleet.ts';
import type { Write } from '../store/fleet-store.ts';
import type { Transaction } from '../store/transaction.ts';

/** The rules by which a job's counts rise and its state changes. */

/** Every count rises once for each file or segment, however often its task runs. */
export interface OpenCounts {
  readonly inputs: number;
  /** Files whose segments are known and in the queue. */
  readonly splits: number;
  /** Segments of the files that were split. */
  readonly segments: number;
  readonly segmentsDone: number;
  /** Files whose segments are all done, including merged ones. */
  readonly mergeable: number;
  readonly filesDone: number;
  readonly deadLetters: number;
}

/** How each count changes the number of open tasks: a task becomes open, or is done or dead. */
const OPEN_TASKS: Readonly<Record<keyof OpenCounts, 1 | -1>> = {
  inputs: 1,
  splits: -1,
  segments: 1,
  segmentsDone: -1,
  mergeable: 1,
  filesDone: -1,
  deadLetters: -1,
};

/** Counts that rise by one when a task completes. */
export type RisingCount = 'splits' | 'segmentsDone' | 'mergeable' | 'filesDone';

/** What the first completion of a task means for its file. */
export type Completion =
  /** Segments follow, and then a merge. */
  | 'split'
  /** The file has no segment: the merge follows at once. */
  | 'splitWithoutSegments'
  /** Nothing follows: the file is done. */
  | 'splitOnly'
  | 'segment'
  | 'lastSegment'
  | 'merge';

export const RISES: Readonly<Record<Completion, readonly RisingCount[]>> = {
  split: ['splits'],
  splitWithoutSegments: ['splits', 'mergeable'],
  splitOnly: ['splits', 'mergeable', 'filesDone'],
  segment: ['segmentsDone'],
  lastSegment: ['segmentsDone', 'mergeable'],
  merge: ['filesDone'],
};

/** @param segments - that follow the split; null if nothing follows, not even a merge. */
export function splitCompletion(segments: number | null): Completion {
  if (segments === null) return 'splitOnly';
  return segments === 0 ? 'splitWithoutSegments' : 'split';
}

/** @param done - segments of the file that are done, including this one. */
export function segmentCompletion(done: number, segments: number): Completion {
  return done === segments ? 'lastSegment' : 'segment';
}

/** Returns the frames of a task that count for its job while it runs: those of a file that is merged were counted in its segments. */
export function countedFrames(kind: Task['kind'], frames: number): number {
  return kind === 'segment' ? Math.round(frames) : 0;
}

/** Returns the number of running and ready tasks: without dead letters and merges that still wait for segments. */
export function openTasks(counts: OpenCounts): number {
  let open = 0;
  for (const [name, change] of Object.entries(OPEN_TASKS)) open += change * counts[name as keyof OpenCounts];
  return open;
}

/** A job is done when the last of its files is. */
export function isDone({ inputs, filesDone }: Pick<OpenCounts, 'inputs' | 'filesDone'>): boolean {
  return filesDone === inputs;
}

/**
 * Returns when a job finished, after its counts have changed; null while it has open tasks. A job with dead letters finishes
 * too, and is open again when one is retried.
 *
 * @param finishedMs - before the change.
 */
export function settledMs(counts: OpenCounts, finishedMs: number | null, nowMs: number): number | null {
  return openTasks(counts) <= 0 ? (finishedMs ?? nowMs) : null;
}

/** A gap between two segments longer than this many mean gaps, and than `SHORT_GAP_MS`, counts as a pause. */
const PAUSE_RATIO = 10;
const SHORT_GAP_MS = 5_000;

/**
 * Returns how much of the time since the previous segment counts as working time, in whole ms. After a pause or an outage it
 * is capped at the longest gap that does not count as a pause.
 *
 * @param gapMs - since the previous segment, or since the start of the job. Negative, and no time, after the clock was set
 *   back or Redis failed over to a machine whose clock is behind.
 */
export function busyGapMs(
  gapMs: number,
  { busyMs, segmentsDone }: { readonly busyMs: number; readonly segmentsDone: number },
): number {
  const passedMs = Math.max(0, gapMs);
  if (segmentsDone === 0) return passedMs;
  return Math.floor(Math.min(passedMs, Math.max(SHORT_GAP_MS, (PAUSE_RATIO * busyMs) / segmentsDone)));
}

/** Counts in a job's hash. Its dead letters are a hash of their own. */
export const COUNT_FIELDS = ['inputs', 'splits', 'segments', 'segmentsDone', 'mergeable', 'filesDone'] as const;

/** The account of a job as it was read, before a change. */
export interface Account {
  readonly digest: string;
  readonly isCancelled: boolean;
  readonly startedMs: string | null;
  readonly finishedMs: number | null;
  readonly lastMs: number;
  readonly busyMs: number;
  readonly frames: number;
  readonly counts: OpenCounts;
  /** The file that the change is about: the first bit of its segments, how many there are and are done, and their frames; null if it was never split. */
  readonly file: {
    readonly base: number;
    readonly segments: number;
    readonly done: number;
    readonly frames: number;
  } | null;
}

/** @param file - the one that the change is about. */
export async function accountOf(transaction: Transaction, job: string, file: number): Promise<Account> {
  const [fields, deadLetters, [span = null, done = null, counted = null]] = await transaction.read(
    ['HMGET', job, 'digest', 'cancelled', 'startedMs', 'finishedMs', 'lastMs', 'busyMs', 'frames', ...COUNT_FIELDS],
    ['HLEN', `${job}:dead`],
    ['HMGET', `${job}:files`, file, `d${file}`, `f${file}`],
  );
  const [digest, cancelled, startedMs = null, finishedMs = null, lastMs, busyMs, frames, ...counts] = fields;
  const [inputs = 0, splits = 0, segments = 0, segmentsDone = 0, mergeable = 0, filesDone = 0] = counts.map(number);
  const match = /^(\d+) (\d+)$/.exec(span ?? '');
  return {
    digest: digest ?? '',
    isCancelled: cancelled !== null,
    startedMs,
    finishedMs: finishedMs === null ? null : number(finishedMs),
    lastMs: number(lastMs),
    busyMs: number(busyMs),
    frames: number(frames),
    counts: { inputs, splits, segments, segmentsDone, mergeable, filesDone, deadLetters },
    file:
      match === null
        ? null
        : { base: Number(match[1]), segments: Number(match[2]), done: number(done), frames: number(counted) },
  };
}

/** Returns where it is stored whether a task is done; null for a segment of a file that was never split. */
export function bitOf(task: Task, { file }: Account): readonly ['GETBIT', string, number] | null {
  const job = `job:${task.jobId}`;
  if (task.kind === 'split') return ['GETBIT', `${job}:split`, task.file];
  if (task.kind === 'merge') return ['GETBIT', `${job}:merged`, task.file];
  if (file === null || task.span.index >= file.segments) return null;
  return ['GETBIT', `${job}:bits`, file.base + task.span.index];
}

/** Records when the job has finished, after its counts have changed, or that it is open again. */
export function settlement(job: string, counts: OpenCounts, { finishedMs }: Account, nowMs: number): Write[] {
  const settled = settledMs(counts, finishedMs, nowMs);
  if (settled === finishedMs) return [];
  return [settled === null ? ['HDEL', job, 'finishedMs'] : ['HSET', job, 'finishedMs', settled]];
}

/** Another program may have written the text; then it counts as 0. */
export function number(text: string | null | undefined): number {
  const value = Number(text ?? 0);
  return Number.isFinite(value) ? value : 0;
}
