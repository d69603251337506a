import { resultRecord } from '../../wire/protocol/result-record.ts';
import type { WrittenFrame } from './sink.ts';

/** Steps per pixel. */
export const FILE_BOX_STEPS = 100;

/** Returns a result as one line of JSON, without the line break. Format: `docs/results.md`. */
export function resultLine(frame: WrittenFrame, source: string): string {
  return JSON.stringify(resultRecord(frame, FILE_BOX_STEPS, source));
}

/**
 * As `resultLine`, for a command or a job that reads inputs from start to end: the input is the stream, and there is no run, so
 * that it gives the same lines each time (docs/adr/0045-one-result-record.md).
 */
export function inputLine({ run: _, ...frame }: WrittenFrame, source: string, stream = source): string {
  return resultLine({ ...frame, streamId: stream }, source);
}
