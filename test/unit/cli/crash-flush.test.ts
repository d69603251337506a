import { describe, expect, it } from 'vitest';
import { CrashFlush } from '../../../src/cli/crash-flush.ts';

describe('flushing before a process ends that met an unforeseen exception', () => {
  it('runs what was added and not taken out again, whatever one of them does', async () => {
    const crash = new CrashFlush();
    const done: string[] = [];
    crash.add(() => {
      throw new Error('broken, too');
    });
    crash.add(() => Promise.reject(new Error('rejected')));
    crash.add(async () => done.push('results'));
    crash.add(async () => done.push('closed in order'))();
    expect(await crash.run(10_000)).toBe(true);
    expect(done).toEqual(['results']);
  });

  it('gives up on one that never ends', async () => {
    const crash = new CrashFlush();
    crash.add(() => new Promise(() => {}));
    expect(await crash.run(1)).toBe(false);
  });
});
