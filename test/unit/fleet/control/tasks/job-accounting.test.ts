import { describe, expect, it } from 'vitest';
import {
  busyGapMs,
  countedFrames,
  type OpenCounts,
  openTasks,
  RISES,
  segmentCompletion,
  settledMs,
  splitCompletion,
} from '../../../../../src/fleet/control/tasks/job-accounting.ts';

/** Four files: one merged, one whose merge is ready, one with two segments left, of which one is a dead letter, one not split. */
const COUNTS: OpenCounts = {
  inputs: 4,
  splits: 3,
  segments: 8,
  segmentsDone: 6,
  mergeable: 2,
  filesDone: 1,
  deadLetters: 1,
};

describe('open tasks of a job', () => {
  it('are splits, segments and merges that could run now', () => {
    // One split, two segments of which one is a dead letter, one merge.
    expect(openTasks(COUNTS)).toBe(3);
    expect(openTasks({ ...COUNTS, deadLetters: 2 })).toBe(2);
  });

  it('decide when it is finished, once, and open again', () => {
    const over = { ...COUNTS, inputs: 3, segmentsDone: 7, filesDone: 2 };
    expect(settledMs(COUNTS, null, 50)).toBeNull();
    expect(settledMs(over, null, 50)).toBe(50);
    expect(settledMs(over, 50, 90)).toBe(50);
    expect(settledMs({ ...over, deadLetters: 0 }, 50, 90)).toBeNull();
  });
});

describe('the completion of a task', () => {
  it('is one of a whole file if nothing follows the split', () => {
    expect(RISES[splitCompletion(null)]).toEqual(['splits', 'mergeable', 'filesDone']);
  });

  it('makes the merge ready with the last segment, or with the split if there is none', () => {
    expect(RISES[splitCompletion(2)]).toEqual(['splits']);
    expect(RISES[segmentCompletion(1, 2)]).toEqual(['segmentsDone']);
    expect(RISES[segmentCompletion(2, 2)]).toEqual(['segmentsDone', 'mergeable']);
    expect(RISES[splitCompletion(0)]).toEqual(['splits', 'mergeable']);
  });

  it('counts frames of segments only', () => {
    expect(countedFrames('segment', 9.6)).toBe(10);
    expect(countedFrames('split', 10)).toBe(0);
    expect(countedFrames('merge', 10)).toBe(0);
  });
});

describe('the pace', () => {
  it('counts usual gaps in full', () => {
    expect(busyGapMs(30_000, { busyMs: 50_000, segmentsDone: 5 })).toBe(30_000);
    expect(busyGapMs(90_000_000, { busyMs: 0, segmentsDone: 0 })).toBe(90_000_000);
  });

  it('counts a night’s pause as ten mean gaps, but at least five seconds', () => {
    expect(busyGapMs(8 * 3_600_000, { busyMs: 50_000, segmentsDone: 5 })).toBe(100_000);
    expect(busyGapMs(8 * 3_600_000, { busyMs: 50, segmentsDone: 5 })).toBe(5_000);
  });

  it('counts no time if the clock went back', () => {
    expect(busyGapMs(-30_000, { busyMs: 0, segmentsDone: 0 })).toBe(0);
    expect(busyGapMs(-30_000, { busyMs: 50_000, segmentsDone: 5 })).toBe(0);
  });
});
