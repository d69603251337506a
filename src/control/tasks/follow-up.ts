import { SightlineError } from '../../errors/sightline-error.ts';
import type { Task } from '../../protocol/fleet.ts';
import type { TaskOutcome } from '../control-plane.ts';
import { taskId } from './task-id.ts';

type Segment = Extract<Task, { kind: 'segment' }>;
type Merge = Extract<Task, { kind: 'merge' }>;

/** What a split asks for: the segments of its own file, numbered from 0, and the merge of them all. */
export interface FollowUp {
  readonly merge: Merge;
  readonly segments: readonly Segment[];
}

/**
 * Checks what a handler wants done next. Only a split has successors; one without any has finished its file.
 *
 * @throws PROTOCOL_INVALID: the handler is wrong, and would be wrong again.
 */
export function followUp(task: Task, { next }: TaskOutcome): FollowUp | null {
  if (next === null) return null;
  const { parent, children } = next;
  if (task.kind !== 'split') throw wrong(task, `nothing to follow a ${task.kind}`, taskId(parent));
  if (parent.kind !== 'merge' || !isOfFile(parent, task)) throw wrong(task, 'the merge of its file', taskId(parent));
  const segments = children.map((child, index) => {
    if (child.kind !== 'segment' || !isOfFile(child, task) || child.span.index !== index)
      throw wrong(task, `segment ${index} of its file`, taskId(child));
    return child;
  });
  if (parent.segments !== segments.length)
    throw wrong(task, `a merge of ${segments.length} segments`, `one of ${parent.segments}`);
  return { merge: parent, segments };
}

function isOfFile(task: Task, split: Task): boolean {
  return task.jobId === split.jobId && task.pipeline === split.pipeline && task.file === split.file;
}

function wrong(task: Task, expected: string, received: string): SightlineError {
  return new SightlineError(
    'PROTOCOL_INVALID',
    `follow-up of task ${taskId(task)}: expected ${expected}, received ${received}`,
  );
}
