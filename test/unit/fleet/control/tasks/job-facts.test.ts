import { describe, expect, it } from 'vitest';
import { type JobFacts, jobReportOf } from '../../../../../src/fleet/control/tasks/job-facts.ts';
import { jobReport } from '../../../../../src/wire/protocol/fleet.ts';

/** Ten files, four split into five segments each, five of the twenty done in 50 s. */
const FACTS: JobFacts = {
  id: 'a',
  pipeline: 'street',
  outDir: '/results',
  createdMs: 1_000,
  inputs: 10,
  splits: 4,
  segments: 20,
  segmentsDone: 5,
  mergeable: 1,
  filesDone: 1,
  deadLetters: 0,
  frames: 500,
  isCancelled: false,
  startedMs: 2_000,
  finishedMs: null,
  busyMs: 50_000,
};

describe('the report of a job', () => {
  it('estimates files that are not split yet from the others', () => {
    // 10 files of 5 segments are 50; 5 are done, 45 are left at 10 s each.
    expect(jobReportOf(FACTS)).toMatchObject({ state: 'running', progressRatio: 0.1, secondsLeft: 450 });
  });

  it('has no estimate before the first segment is done, and none once the job is finished', () => {
    expect(jobReportOf({ ...FACTS, segmentsDone: 0, busyMs: 0 }).secondsLeft).toBeNull();
    expect(jobReportOf({ ...FACTS, splits: 0, segments: 0, segmentsDone: 0 })).toMatchObject({
      progressRatio: 0,
      secondsLeft: null,
    });
    expect(jobReportOf({ ...FACTS, isCancelled: true })).toMatchObject({ state: 'cancelled', secondsLeft: null });
  });

  it('is waiting until a task has started', () => {
    expect(jobReportOf({ ...FACTS, startedMs: null }).state).toBe('waiting');
  });

  it('is failed only once nothing but dead letters is left', () => {
    const over = { ...FACTS, splits: 10, segments: 50, segmentsDone: 48, mergeable: 8, filesDone: 8, deadLetters: 2 };
    expect(jobReportOf(over).state).toBe('failed');
    expect(jobReportOf({ ...over, filesDone: 7 }).state).toBe('running');
    expect(jobReportOf({ ...over, segmentsDone: 47 }).state).toBe('running');
    expect(jobReportOf({ ...over, splits: 9 }).state).toBe('running');
  });

  it('is done when its last file is', () => {
    const done = {
      ...FACTS,
      splits: 10,
      segments: 50,
      segmentsDone: 50,
      mergeable: 10,
      filesDone: 10,
      finishedMs: 9_000,
    };
    expect(jobReportOf(done)).toMatchObject({ state: 'done', progressRatio: 1, secondsLeft: 0, finishedMs: 9_000 });
  });

  it('counts files if no file has a segment', () => {
    expect(jobReportOf({ ...FACTS, segments: 0, segmentsDone: 0, filesDone: 2 }).progressRatio).toBe(0.2);
  });

  it('matches the schema of the protocol', () => {
    expect(jobReport.parse(jobReportOf(FACTS))).toEqual(jobReportOf(FACTS));
  });
});
