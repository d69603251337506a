import { describe, expect, it } from 'vitest';
import { parseTaskId, taskId } from '../../../../../src/fleet/control/tasks/task-id.ts';
import type { Task } from '../../../../../src/wire/protocol/fleet.ts';

const job = { jobId: 'job-1.a_b', pipeline: 'street' };
const span = { index: 12, fromUs: null, toUs: null, firstFrame: 0 };
const TASKS: readonly (readonly [string, Task])[] = [
  ['job-1.a_b/split/3', { kind: 'split', ...job, file: 3 }],
  ['job-1.a_b/segment/3/12', { kind: 'segment', ...job, file: 3, span }],
  ['job-1.a_b/merge/99999', { kind: 'merge', ...job, file: 99_999, segments: 2 }],
];

describe('the id of a task', () => {
  it.each(TASKS)('%s names the task', (name, task) => {
    expect(taskId(task)).toBe(name);
    expect(parseTaskId(name)).toEqual({ jobId: task.jobId, kind: task.kind, file: task.file });
  });

  it.each(['', 'a', 'a/split', 'a/split/x', 'a/split/1/2', 'a/segment/1', 'a/merge/-1', '../split/1', 'a/b/split/1'])(
    '"%s" is not valid',
    (name) => {
      expect(parseTaskId(name)).toBeNull();
    },
  );
});
