import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { LaneSchedule } from '../../../../../src/frame/runtime/lane/lane-schedule.ts';

const SCHED_OTHER = 0;
const SCHED_BATCH = 3;

/** Field 41 of proc(5) `stat`; the 39th after the name, which may contain blanks. */
function policyOf(thread: string): number {
  return Number(readFileSync(`/proc/${thread}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[38]);
}

function hasChrt(): boolean {
  try {
    execFileSync('chrt', ['--version'], { stdio: 'ignore' });
    return process.platform === 'linux';
  } catch {
    return false;
  }
}

describe.skipIf(!hasChrt())('LaneSchedule (needs chrt)', () => {
  const schedule = new LaneSchedule();
  const path = process.env.PATH;
  afterEach(() => {
    process.env.PATH = path;
    schedule.follow(true);
  });

  it('runs a lane of files with SCHED_BATCH, and one with a live stream with SCHED_OTHER', () => {
    schedule.follow(true);
    expect(policyOf('thread-self'), 'as it was').toBe(SCHED_OTHER);
    schedule.follow(false);
    expect(policyOf('thread-self')).toBe(SCHED_BATCH);
    schedule.follow(true);
    expect(policyOf('thread-self')).toBe(SCHED_OTHER);
  });

  it('continues without chrt', () => {
    process.env.PATH = '/nowhere';
    new LaneSchedule().follow(false);
    expect(policyOf('thread-self')).toBe(SCHED_OTHER);
  });
});
