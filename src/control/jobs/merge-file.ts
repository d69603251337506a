import { SightlineError } from '../../errors/sightline-error.ts';
import type { JobOrder, Task } from '../../protocol/fleet.ts';
import type { TaskContext, TaskOutcome } from '../control-plane.ts';
import { inferSegment } from './infer-segment.ts';
import { JobPlace } from './job-place.ts';
import type { JobTools } from './job-tools.ts';
import { joinSegments } from './join-segments.ts';
import { WHOLE_FILE } from './plan-segments.ts';

/**
 * Joins the segment results of one file. If they are unusable - a segment did not match the index, one is damaged, or they do
 * not belong together - it infers the whole file first. A repeated merge changes nothing.
 *
 * @throws SINK_FAILED if a segment result is missing or the result cannot be written, and what inferring the whole file throws.
 */
export async function mergeFile(
  tools: JobTools,
  task: Extract<Task, { kind: 'merge' }>,
  order: JobOrder,
  context: TaskContext,
): Promise<TaskOutcome> {
  const place = await JobPlace.find(tools.admission, order, task.file);
  let frames = 0;
  if (!(await place.isMerged())) {
    if (!(await joinOrMarkWhole(tools, task, order, place, context.signal))) {
      const path = place.segmentPath('whole');
      frames = await inferSegment(tools, place, order, WHOLE_FILE, path, context);
      await joinSegments(tools.runner, order, place, [path], context.signal);
    }
  }
  await place.clear();
  return { frames, next: null };
}

/** @returns false if the file must be inferred as a whole. */
async function joinOrMarkWhole(
  { runner, onNotice }: JobTools,
  { segments }: Extract<Task, { kind: 'merge' }>,
  order: JobOrder,
  place: JobPlace,
  signal: AbortSignal,
): Promise<boolean> {
  if (await place.isMarkedWhole()) return false;
  const paths = Array.from({ length: segments }, (_, index) => place.segmentPath(index));
  try {
    await joinSegments(runner, order, place, paths, signal);
    return true;
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'SEGMENT_MISMATCH') throw error;
    await place.markWhole(error.message);
    onNotice(`${error.message}; the file is inferred as a whole`);
    return false;
  }
}
