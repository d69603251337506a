import { expect, it } from 'vitest';
import { patientTimer } from '../../../../src/base/flow/patient-timer.ts';
import { settlesWithin } from '../../../../src/base/flow/settles-within.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function timed(ms: number) {
  const clock = new ManualClock();
  let firedMs: number | null = null;
  const cancel = patientTimer(
    ms,
    () => {
      firedMs = clock.now();
    },
    clock,
  );
  return { clock, cancel, fired: () => firedMs };
}

it('fires once the limit has passed, if this process ran', () => {
  const { clock, fired } = timed(10_000);
  clock.advance(9_999);
  expect(fired()).toBeNull();
  clock.advance(1);
  expect(fired()).toBe(10_000);
  clock.advance(100_000);
  expect(fired()).toBe(10_000);
});

it('counts no time in which this process did not run', () => {
  const { clock, fired } = timed(10_000);
  clock.advance(4_000);
  // Suspended, or kept from its core.
  clock.jump(60_000);
  clock.advance(5_999);
  expect(fired()).toBeNull();
  clock.advance(2_001);
  expect(fired()).not.toBeNull();
});

it('a process that hardly ever runs waits ten times as long at most', () => {
  const { clock, fired } = timed(1_000);
  for (let i = 0; i < 40; i++) {
    clock.jump(700);
    clock.advance(1);
  }
  expect(fired()).toBeGreaterThan(10_000);
  expect(fired()).toBeLessThan(12_000);
});

it('does not fire once it is cancelled', () => {
  const { clock, cancel, fired } = timed(1_000);
  clock.advance(700);
  cancel();
  clock.advance(10_000);
  expect(fired()).toBeNull();
});

it('an answer that came while this process did not run is in time', async () => {
  const clock = new ManualClock();
  let answer = (): void => undefined;
  const within = settlesWithin(new Promise<void>((resolve) => (answer = resolve)), 5_000, clock);
  clock.jump(30_000);
  clock.advance(0);
  answer();
  expect(await within).toBe(true);
});
