import { SightlineError } from '../../errors/sightline-error.ts';
import type { JobOrder, Task } from '../../protocol/fleet.ts';
import type { TaskContext, TaskOutcome } from '../control-plane.ts';
import { inferPart } from './infer-part.ts';
import { JobPlace } from './job-place.ts';
import type { JobTools } from './job-tools.ts';

/**
 * Infers every frame of one segment and writes its part. If the segment does not match the file's index, the file is marked
 * to be inferred as a whole by the merge task: no frame is lost, and its other segments are skipped.
 *
 * @throws SOURCE_*, DECODE_EXITED, ENGINE_FAILED, LANE_FAILED, SINK_FAILED
 */
export async function doSegment(
  tools: JobTools,
  task: Extract<Task, { kind: 'segment' }>,
  order: JobOrder,
  context: TaskContext,
): Promise<TaskOutcome> {
  const place = await JobPlace.find(tools.admission, order, task.file);
  if (await place.isMarkedWhole()) return { frames: 0, next: null };
  try {
    const { span } = task;
    const frames = await inferPart(tools, place, order, span, place.partPath(span.index), context);
    return { frames, next: null };
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'SEGMENT_MISMATCH') throw error;
    await place.markWhole(error.message);
    tools.onNotice(`${error.message}; the file is inferred as a whole`);
    return { frames: 0, next: null };
  }
}
