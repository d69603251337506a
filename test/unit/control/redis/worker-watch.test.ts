import { describe, expect, it } from 'vitest';
import { WorkerWatch } from '../../../../src/control/redis/worker-watch.ts';

const DEAF = { ready: 3, hasRoom: true, taken: 5 };

function seen(sights: readonly (typeof DEAF)[]): boolean[] {
  const watch = new WorkerWatch(3_000);
  return sights.map((sight, i) => watch.isStuck(i * 1_000, sight));
}

describe('a worker', () => {
  it('is stuck after taking nothing for the timeout although it could', () => {
    expect(seen([DEAF, DEAF, DEAF, DEAF, DEAF])).toEqual([false, false, false, false, true]);
  });

  it.each([
    ['nothing waits', { ...DEAF, ready: 0 }],
    ['it has its fill or is paused', { ...DEAF, hasRoom: false }],
    ['it took one', { ...DEAF, taken: 6 }],
  ])('is not where, once in a while, %s', (_, sight) => {
    expect(seen([DEAF, DEAF, DEAF, sight, DEAF, DEAF]).some(Boolean)).toBe(false);
  });

  it('starts a new idle time after a reset', () => {
    const watch = new WorkerWatch(3_000);
    watch.isStuck(0, DEAF);
    watch.isStuck(1_000, DEAF);
    watch.reset();
    expect(watch.isStuck(60_000, DEAF)).toBe(false);
    expect(watch.isStuck(63_000, DEAF)).toBe(true);
  });
});
