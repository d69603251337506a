import { describe, expect, it } from 'vitest';
import { WorkerWatch } from '../../../../../src/fleet/control/redis/bull-worker.ts';

const STUCK = { ready: 3, hasRoom: true, taken: 5 };

function seen(sights: readonly (typeof STUCK)[]): boolean[] {
  const watch = new WorkerWatch(3_000);
  return sights.map((sight, i) => watch.isStuck(i * 1_000, sight));
}

describe('a worker', () => {
  it('is stuck after taking nothing for the timeout although it could', () => {
    expect(seen([STUCK, STUCK, STUCK, STUCK, STUCK])).toEqual([false, false, false, false, true]);
  });

  it.each([
    ['nothing waits', { ...STUCK, ready: 0 }],
    ['it is full or paused', { ...STUCK, hasRoom: false }],
    ['it took one', { ...STUCK, taken: 6 }],
  ])('is not stuck if at times %s', (_, sight) => {
    expect(seen([STUCK, STUCK, STUCK, sight, STUCK, STUCK]).some(Boolean)).toBe(false);
  });

  it('starts a new idle time after a reset', () => {
    const watch = new WorkerWatch(3_000);
    watch.isStuck(0, STUCK);
    watch.isStuck(1_000, STUCK);
    watch.reset();
    expect(watch.isStuck(60_000, STUCK)).toBe(false);
    expect(watch.isStuck(63_000, STUCK)).toBe(true);
  });
});
