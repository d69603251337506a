import { stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { PtsUs } from '../../../base/core/units.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { SpanCheck } from '../../../frame/decode/span-check.ts';
import { neededScore } from '../../../frame/runtime/stream/stream-analytics.ts';
import type { JobOrder, SegmentSpan } from '../../../wire/protocol/fleet.ts';
import type { TaskContext } from '../control-plane.ts';
import type { JobPlace } from './job-place.ts';
import type { TaskTools } from './job-tools.ts';
import { RecordedInput } from './recorded-input.ts';
import { analysed } from './replayed-stages.ts';
import { type SegmentHeader, SegmentReader, SegmentWriter } from './segment-file.ts';
import type { Stretch, StretchSummary } from './segment-runner.ts';

/**
 * Infers a segment of a file and writes its result. An existing result that is complete and of the same input is kept.
 *
 * @returns the number of frames in the segment result.
 * @throws SEGMENT_MISMATCH if the segment does not match the file's index (never for a whole file), SINK_FAILED, and what
 *   `SegmentRunner.run` throws. The segment result is deleted then.
 */
export async function inferSegment(
  tools: TaskTools,
  place: JobPlace,
  order: JobOrder,
  span: SegmentSpan,
  path: string,
  context: TaskContext,
): Promise<number> {
  const header = await headerOf(tools, place, order, span);
  const known = await countFrames(path, header);
  if (known !== null) return known;
  context.signal.throwIfAborted();
  const writer = await SegmentWriter.create(path, header, place.folder);
  try {
    await fill(writer, tools, place, order, header, context);
    await writer.commit();
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return writer.frames;
}

async function headerOf(
  { runner, stages }: TaskTools,
  { inputPath }: JobPlace,
  { every, track }: JobOrder,
  span: SegmentSpan,
): Promise<SegmentHeader> {
  const { size, mtimeMs } = await stat(inputPath);
  const scoreThreshold = neededScore(analysed(track, stages), runner.reportScore);
  return { version: 1, span, every, scoreThreshold, input: { bytes: size, modifiedMs: Math.floor(mtimeMs) } };
}

/** @returns null if there is no usable segment result. */
async function countFrames(path: string, header: SegmentHeader): Promise<number | null> {
  let reader: SegmentReader | null = null;
  try {
    reader = await SegmentReader.open(path);
    if (reader === null || !isDeepStrictEqual(reader.header, header)) return null;
    let frames = 0;
    for await (const _ of reader.frames()) frames += 1;
    return frames;
  } catch (error) {
    if (error instanceof SightlineError) return null;
    throw error;
  } finally {
    await reader?.close();
  }
}

async function fill(
  writer: SegmentWriter,
  tools: TaskTools,
  { inputPath, label }: JobPlace,
  { track }: JobOrder,
  { span, every, scoreThreshold }: SegmentHeader,
  context: TaskContext,
): Promise<void> {
  const isWhole = span.fromUs === null && span.toUs === null;
  const check = new SpanCheck(span, every);
  // With a large `every` a short segment can have no frame at all, which is not an error.
  if (!isWhole && check.expectedFrames === 0) return;
  const mismatched = new AbortController();
  const { fromUs, toUs, firstFrame } = span;
  const stretch = { label, every, scoreThreshold, track, stages: tools.stages };
  const run = (part: Pick<Stretch, 'path' | 'window'>, ptsOf: (ptsUs: number) => number): Promise<StretchSummary> =>
    tools.runner.run(
      { ...stretch, ...part },
      (decoded) => {
        const frame = { ...decoded, ptsUs: ptsOf(decoded.ptsUs) as PtsUs };
        const complaint = isWhole ? null : check.next(frame);
        if (complaint !== null) mismatched.abort(mismatch(label, span, complaint));
        const wait = writer.add(frame);
        context.progress(writer.frames);
        return wait;
      },
      AbortSignal.any([context.signal, mismatched.signal]),
    );
  const recorded = await RecordedInput.open(inputPath);
  // The video of a recorded segment has nothing else.
  const summary = await (recorded === null
    ? run({ path: inputPath, window: isWhole ? null : { fromUs, toUs, firstFrame } }, (ptsUs) => ptsUs)
    : recorded.lend(span, tools, (path, ptsOf) =>
        run({ path, window: { fromUs: null, toUs: null, firstFrame } }, ptsOf),
      )
  ).catch((error: unknown) => {
    throw mismatched.signal.aborted ? mismatched.signal.reason : error;
  });
  if (mismatched.signal.aborted) throw mismatched.signal.reason;
  const complaint = isWhole ? null : check.end(summary.decodeErrors);
  if (complaint !== null) throw mismatch(label, span, complaint);
}

function mismatch(label: string, { index }: SegmentSpan, complaint: string): SightlineError {
  return new SightlineError('SEGMENT_MISMATCH', `${label}, segment ${index}: ${complaint}`, { segment: index });
}
