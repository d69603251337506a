import type { JobReport, JobState } from '../../../wire/protocol/fleet.ts';
import { isDone, type OpenCounts, openTasks } from './job-accounting.ts';

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
  if (isDone(facts)) return 'done';
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
