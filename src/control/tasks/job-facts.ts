import type { JobReport, JobState } from '../../protocol/fleet.ts';

/** Every count rises once for each file or segment, however often that is done. */
export interface OpenCounts {
  readonly inputs: number;
  /** Files whose segments are known and in the queue. */
  readonly splits: number;
  /** Segments of the files that were split. */
  readonly segments: number;
  readonly segmentsDone: number;
  /** Files whose segments are all done, so that only the merge is missing. */
  readonly mergeable: number;
  readonly filesDone: number;
  readonly deadLetters: number;
}

/** What is known of a job. */
export interface JobFacts extends OpenCounts {
  readonly id: string;
  readonly pipeline: string;
  readonly outDir: string;
  readonly createdMs: number;
  /** Frames of segments that are done, and of those that are being done. */
  readonly frames: number;
  readonly isCancelled: boolean;
  /** When its first task was begun. */
  readonly startedMs: number | null;
  readonly finishedMs: number | null;
  /** Time that the segments done so far took together, pauses left out. */
  readonly busyMs: number;
}

/** Tasks that somebody does or will do: not those that failed for good, and no merge that still waits for segments. */
export function openTasks(counts: OpenCounts): number {
  const { inputs, splits, segments, segmentsDone, mergeable, filesDone, deadLetters } = counts;
  return inputs - splits + (segments - segmentsDone) + (mergeable - filesDone) - deadLetters;
}

/** What is told of a job. */
export function jobReportOf(facts: JobFacts): JobReport {
  const { id, pipeline, outDir, createdMs, inputs, filesDone, segments, segmentsDone, deadLetters, frames } = facts;
  const state = stateOf(facts);
  return {
    id,
    pipeline,
    state,
    inputs,
    filesDone,
    segments,
    segmentsDone,
    deadLetters,
    progressRatio: progressRatio(facts, state),
    frames,
    secondsLeft: secondsLeft(facts, state),
    createdMs,
    finishedMs: facts.finishedMs,
    outDir,
  };
}

function stateOf(facts: JobFacts): JobState {
  if (facts.isCancelled) return 'cancelled';
  if (facts.filesDone === facts.inputs) return 'done';
  if (openTasks(facts) <= 0) return 'failed';
  return facts.startedMs === null ? 'waiting' : 'running';
}

/** Segments of all files, those not split yet reckoned like the others; null before the first is split. */
function expectedSegments({ inputs, splits, segments }: JobFacts): number | null {
  return splits === 0 ? null : segments + ((inputs - splits) * segments) / splits;
}

function progressRatio(facts: JobFacts, state: JobState): number {
  if (state === 'done') return 1;
  const expected = expectedSegments(facts);
  if (expected === null) return 0;
  return expected === 0 ? facts.filesDone / facts.inputs : Math.min(1, facts.segmentsDone / expected);
}

function secondsLeft(facts: JobFacts, state: JobState): number | null {
  if (state === 'done') return 0;
  const expected = expectedSegments(facts);
  if (state !== 'running' || expected === null || facts.segmentsDone === 0) return null;
  return (Math.max(0, expected - facts.segmentsDone) * facts.busyMs) / facts.segmentsDone / 1000;
}

/** A gap between two segments that is this many times the usual one, and longer than `SHORT_GAP_MS`, is a pause. */
export const PAUSE_RATIO = 10;
export const SHORT_GAP_MS = 5_000;

/**
 * How much of the time since the last segment was done counts for the pace: all of it, or the most that is usual after a
 * pause or an outage.
 *
 * @param gapMs - since the segment before, or since the start of the job.
 */
export function busyGapMs(gapMs: number, { busyMs, segmentsDone }: Pick<JobFacts, 'busyMs' | 'segmentsDone'>): number {
  if (segmentsDone === 0) return gapMs;
  return Math.min(gapMs, Math.max(SHORT_GAP_MS, (PAUSE_RATIO * busyMs) / segmentsDone));
}
