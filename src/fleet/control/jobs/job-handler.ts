import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { JobOrder, Task } from '../../../wire/protocol/fleet.ts';
import type { TaskContext, TaskHandler, TaskOutcome } from '../control-plane.ts';
import { inferSegment } from './infer-segment.ts';
import { JobPlace } from './job-place.ts';
import type { JobTools, TaskTools } from './job-tools.ts';
import { joinSegments } from './join-segments.ts';
import { planSegments, WHOLE_FILE } from './plan-segments.ts';
import { RecordedInput } from './recorded-input.ts';

/**
 * Returns the handler for the tasks of bulk jobs. Each input file gets one JSONL file in the order's `outDir`, identical to
 * the output of `sightline detect`, however the file was cut and however often a task was repeated or killed.
 */
export function jobHandler(tools: JobTools): TaskHandler {
  return (task, order, context) =>
    tools.lendStages(order.stages ?? [], (stages) => doTask({ ...tools, stages }, task, order, context));
}

function doTask(tools: TaskTools, task: Task, order: JobOrder, context: TaskContext): Promise<TaskOutcome> {
  switch (task.kind) {
    case 'split':
      return splitFile(tools, task, order, context);
    case 'segment':
      return doSegment(tools, task, order, context);
    case 'merge':
      return mergeFile(tools, task, order, context);
  }
}

/**
 * Infers every frame of one segment and writes its result. If the segment does not match the file's index, the merge task infers the
 * file as a whole: no frame is lost, and its other segments are left out.
 *
 * @throws SOURCE_*, DECODE_EXITED, ENGINE_FAILED, LANE_FAILED, SINK_FAILED
 */
async function doSegment(
  tools: TaskTools,
  { file, span }: Extract<Task, { kind: 'segment' }>,
  order: JobOrder,
  context: TaskContext,
): Promise<TaskOutcome> {
  const place = await JobPlace.find(tools.admission, order, file);
  const path = place.segmentPath(span.index);
  const frames = await unlessMismatched(place, tools, () => inferSegment(tools, place, order, span, path, context));
  return { frames: frames ?? 0, next: null };
}

/** Runs a step of a file in segments. @returns null if the file must be inferred as a whole, for which it is marked if it was not yet. */
async function unlessMismatched<T>(place: JobPlace, { onNotice }: TaskTools, run: () => Promise<T>): Promise<T | null> {
  if (await place.isMarkedWhole()) return null;
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'SEGMENT_MISMATCH') throw error;
    await place.markWhole(error.message);
    onNotice(`${error.message}; the file is inferred as a whole`);
    return null;
  }
}

/** Decides where to cut one file, and returns its segments and merge as follow-up tasks. @throws SOURCE_FORBIDDEN, SOURCE_NOT_FOUND, FFMPEG_MISSING */
async function splitFile(
  tools: TaskTools,
  task: Extract<Task, { kind: 'split' }>,
  order: JobOrder,
  { signal }: TaskContext,
): Promise<TaskOutcome> {
  const { jobId, pipeline, file } = task;
  const { inputPath } = await JobPlace.find(tools.admission, order, file);
  const recorded = await RecordedInput.open(inputPath);
  const spans =
    recorded?.segments(order.segmentSeconds) ??
    (await planSegments({
      ffmpeg: tools.ffmpeg,
      path: inputPath,
      segmentSeconds: order.segmentSeconds,
      // After the last file a host that finishes early has nothing left to do.
      tapers: file === order.inputs.length - 1,
      signal,
    }));
  const parent: Task = { kind: 'merge', jobId, pipeline, file, segments: spans.length };
  const children = spans.map((span): Task => ({ kind: 'segment', jobId, pipeline, file, span }));
  return { frames: 0, next: { parent, children } };
}

/**
 * Joins the segment results of one file. If they are unusable - a segment did not match the index, one is damaged, or they do
 * not belong together - it infers the whole file first. A repeated merge changes nothing.
 *
 * @throws SINK_FAILED if a segment result is missing or the result cannot be written, and what inferring the whole file throws.
 */
async function mergeFile(
  tools: TaskTools,
  { file, segments }: Extract<Task, { kind: 'merge' }>,
  order: JobOrder,
  context: TaskContext,
): Promise<TaskOutcome> {
  const place = await JobPlace.find(tools.admission, order, file);
  const join = async (paths: readonly string[]): Promise<true> => {
    await joinSegments(tools, order, place, paths, context.signal);
    return true;
  };
  const parts = Array.from({ length: segments }, (_, index) => place.segmentPath(index));
  let frames = 0;
  if (!(await place.isMerged()) && (await unlessMismatched(place, tools, () => join(parts))) === null) {
    const path = place.segmentPath('whole');
    frames = await inferSegment(tools, place, order, WHOLE_FILE, path, context);
    await join([path]);
  }
  await place.clear();
  return { frames, next: null };
}
