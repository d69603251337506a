import type { JobOrder, Task } from '../../protocol/fleet.ts';
import type { TaskContext, TaskOutcome } from '../control-plane.ts';
import { JobPlace } from './job-place.ts';
import type { JobTools } from './job-tools.ts';
import { planSegments } from './plan-segments.ts';

/** Decides where to cut one file, and returns its segments and merge as follow-up tasks. @throws SOURCE_FORBIDDEN, SOURCE_NOT_FOUND, FFMPEG_MISSING */
export async function splitFile(
  tools: JobTools,
  task: Extract<Task, { kind: 'split' }>,
  order: JobOrder,
  { signal }: TaskContext,
): Promise<TaskOutcome> {
  const { jobId, pipeline, file } = task;
  const { inputPath } = await JobPlace.find(tools.admission, order, file);
  const spans = await planSegments({
    ffmpeg: tools.ffmpeg,
    path: inputPath,
    segmentSeconds: order.segmentSeconds,
    // After the last file a host that finishes early has nothing left to do.
    tapers: file === order.inputs.length - 1,
    signal,
  });
  const parent: Task = { kind: 'merge', jobId, pipeline, file, segments: spans.length };
  const children = spans.map((span): Task => ({ kind: 'segment', jobId, pipeline, file, span }));
  return { frames: 0, next: { parent, children } };
}
