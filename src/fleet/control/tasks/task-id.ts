import { ID_PATTERN } from '../../../base/core/ids.ts';
import type { Task } from '../../../wire/protocol/fleet.ts';

const NUMBER = /^\d{1,9}$/;

/**
 * Returns the id of a task, made from job, file and segment alone, so that the same work always has the same id.
 * A job id contains no slash, and BullMQ allows no colon.
 */
export function taskId(task: Task): string {
  const base = `${task.jobId}/${task.kind}/${task.file}`;
  return task.kind === 'segment' ? `${base}/${task.span.index}` : base;
}

export interface TaskName {
  readonly jobId: string;
  readonly kind: Task['kind'];
  readonly file: number;
}

/** Parses a task id; null if it does not have the form that `taskId` returns. */
export function parseTaskId(text: string): TaskName | null {
  const [jobId = '', kind = '', file = '', segment, ...rest] = text.split('/');
  if (!ID_PATTERN.test(jobId) || !NUMBER.test(file) || rest.length > 0) return null;
  if (kind === 'segment') return segment !== undefined && NUMBER.test(segment) ? name(jobId, kind, file) : null;
  return (kind === 'split' || kind === 'merge') && segment === undefined ? name(jobId, kind, file) : null;
}

function name(jobId: string, kind: Task['kind'], file: string): TaskName {
  return { jobId, kind, file: Number(file) };
}
