import type { JobReport, JobState } from '../../protocol/fleet.ts';

/** Every count rises once for each file or segment, however often its task runs. */
export interface OpenCounts {
  readonly inputs: number;
  /** Files whose segments are known and in the queue. */
  readonly splits: number;
  /** Segments of the files that were split. */
  readonly segments: number;
  readonly segmentsDone: number;
  /** Files whose segments are all done, including merged ones. */
  readonly mergeable: number;
  readonly filesDone: number;
  readonly deadLetters: number;
}

/** Counts and times of a job. */
export interface JobFacts extends OpenCounts {
  readonly id: string;
  readonly pipeline: string;
  readonly outDir: string;
  readonly createdMs: number;
  /** Frames of completed and of running segments. */
  readonly frames: number;
  readonly isCancelled: boolean;
  /** When its first task started. */
  readonly startedMs: number | null;
  readonly finishedMs: number | null;
  /** Time that the completed segments took together, without pauses. */
  readonly busyMs: number;
}

/** Returns the number of running and ready tasks: without dead letters and merges that still wait for segments. */
export function openTasks(counts: OpenCounts): number {
  const { inputs, splits, segments, segmentsDone, mergeable, filesDone, deadLetters } = counts;
  return inputs - splits + (segments - segmentsDone) + (mergeable - filesDone) - deadLetters;
}

/** Converts a job's facts into its public report. */
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

/** Estimates the segments of all files from the mean of those already split; null before the first split. */
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

/** A gap between two segments longer than this many mean gaps, and than `SHORT_GAP_MS`, counts as a pause. */
export const PAUSE_RATIO = 10;
export const SHORT_GAP_MS = 5_000;

/**
 * Returns how much of the time since the previous segment counts as working time. After a pause or an outage it is capped at
 * the longest gap that does not count as a pause.
 *
 * @param gapMs - since the previous segment, or since the start of the job.
 */
export function busyGapMs(gapMs: number, { busyMs, segmentsDone }: Pick<JobFacts, 'busyMs' | 'segmentsDone'>): number {
  if (segmentsDone === 0) return gapMs;
  return Math.min(gapMs, Math.max(SHORT_GAP_MS, (PAUSE_RATIO * busyMs) / segmentsDone));
}
