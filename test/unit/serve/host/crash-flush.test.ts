import { describe, expect, it } from 'vitest';
import { CrashFlush } from '../../../../src/serve/host/crash-flush.ts';

describe('flushing before a process ends after an unexpected exception', () => {
  it('runs every flush that was added and not removed, even if one of them fails', async () => {
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

  it('returns false if one never ends', async () => {
    const crash = new CrashFlush();
    crash.add(() => new Promise(() => {}));
    expect(await crash.run(1)).toBe(false);
  });
});
