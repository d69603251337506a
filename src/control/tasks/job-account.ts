import type { Task } from '../../protocol/fleet.ts';
import type { Write } from '../store/fleet-store.ts';
import type { Transaction } from '../store/transaction.ts';
import { type OpenCounts, settledMs } from './job-accounting.ts';

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
  /** The file that the change is about: the first bit of its segments, and how many there are; null if it was never split. */
  readonly file: { readonly base: number; readonly segments: number; readonly done: number } | null;
}

/** @param file - the one that the change is about. */
export async function accountOf(transaction: Transaction, job: string, file: number): Promise<Account> {
  const [fields, deadLetters, [span = null, done = null]] = await transaction.read(
    ['HMGET', job, 'digest', 'cancelled', 'startedMs', 'finishedMs', 'lastMs', 'busyMs', 'frames', ...COUNT_FIELDS],
    ['HLEN', `${job}:dead`],
    ['HMGET', `${job}:files`, file, `d${file}`],
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
    file: match === null ? null : { base: Number(match[1]), segments: Number(match[2]), done: number(done) },
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
