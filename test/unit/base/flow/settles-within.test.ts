import { describe, expect, it } from 'vitest';
import { monoNowMs } from '../../../../src/base/core/clock.ts';
import { settlesWithin } from '../../../../src/base/flow/settles-within.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

describe('settlesWithin', () => {
  it('is true for work that ends in time, and leaves no timer', async () => {
    let timers = 0;
    const clock = {
      now: monoNowMs,
      setTimer: () => {
        timers += 1;
        return () => {
          timers -= 1;
        };
      },
    };
    expect(await settlesWithin(Promise.resolve(7), 1000, clock)).toBe(true);
    expect(timers).toBe(0);
  });

  it('is false once the time is over, and work that fails later disturbs nobody', async () => {
    const clock = new ManualClock();
    let fail = (_: Error): void => undefined;
    const work = new Promise((_, reject) => {
      fail = reject;
    });
    const answer = settlesWithin(work, 1000, clock);
    clock.advance(1000);
    expect(await answer).toBe(false);
    fail(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('throws what the work throws in time', async () => {
    let timers = 1;
    const clock = {
      now: monoNowMs,
      setTimer: () => () => {
        timers -= 1;
      },
    };
    await expect(settlesWithin(Promise.reject(new Error('broken')), 1000, clock)).rejects.toThrow('broken');
    expect(timers).toBe(0);
  });
});
