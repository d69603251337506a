import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Task } from '../../../wire/protocol/fleet.ts';
import type { TaskOutcome } from '../control-plane.ts';
import { taskId } from './task-id.ts';

type Segment = Extract<Task, { kind: 'segment' }>;
type Merge = Extract<Task, { kind: 'merge' }>;

/** The tasks after a split: the segments of its file, numbered from 0, and the merge of them all. */
export interface FollowUp {
  readonly merge: Merge;
  readonly segments: readonly Segment[];
}

/**
 * Validates the follow-up tasks that a handler returned. Only a split may have some; a split without any has finished its file.
 *
 * @throws PROTOCOL_INVALID, not retryable: the handler has a bug and would return the same again.
 */
export function followUp(task: Task, { next }: TaskOutcome): FollowUp | null {
  if (next === null) return null;
  const { parent, children } = next;
  if (task.kind !== 'split') throw invalid(task, `nothing to follow a ${task.kind}`, taskId(parent));
  if (parent.kind !== 'merge' || !isOfFile(parent, task)) throw invalid(task, 'the merge of its file', taskId(parent));
  const segments = children.map((child, index) => {
    if (child.kind !== 'segment' || !isOfFile(child, task) || child.span.index !== index)
      throw invalid(task, `segment ${index} of its file`, taskId(child));
    return child;
  });
  if (parent.segments !== segments.length)
    throw invalid(task, `a merge of ${segments.length} segments`, `one of ${parent.segments}`);
  return { merge: parent, segments };
}

function isOfFile(task: Task, split: Task): boolean {
  return task.jobId === split.jobId && task.pipeline === split.pipeline && task.file === split.file;
}

function invalid(task: Task, expected: string, received: string): SightlineError {
  return new SightlineError(
    'PROTOCOL_INVALID',
    `follow-up of task ${taskId(task)}: expected ${expected}, received ${received}`,
  );
}
