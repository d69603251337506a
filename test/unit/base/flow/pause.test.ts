import { expect, it } from 'vitest';
import { Pause } from '../../../../src/base/flow/pause.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

/** What of these waits is over, once everything has run that waits for no timer. */
async function over(waits: Record<string, Promise<void>>): Promise<string[]> {
  const ended: string[] = [];
  for (const [name, wait] of Object.entries(waits)) void wait.then(() => ended.push(name));
  await new Promise((resolve) => setImmediate(resolve));
  return ended;
}

it('a pause lasts its time', async () => {
  const clock = new ManualClock();
  const waited = new Pause(clock).wait(100);
  clock.advance(99);
  expect(await over({ waited })).toEqual([]);
  clock.advance(1);
  expect(await over({ waited })).toEqual(['waited']);
});

it('a pause ends early if somebody ends it, and its timer does not shorten the next one', async () => {
  const clock = new ManualClock();
  const pause = new Pause(clock);
  pause.end();
  const first = pause.wait(100);
  pause.end();
  const second = pause.wait(200);
  clock.advance(100);
  expect(await over({ first, second })).toEqual(['first']);
  clock.advance(100);
  expect(await over({ second })).toEqual(['second']);
});

it('a pause without a time lasts until somebody ends it', async () => {
  const clock = new ManualClock();
  const pause = new Pause(clock);
  const waited = pause.wait(null);
  clock.advance(1e9);
  expect(await over({ waited })).toEqual([]);
  pause.end();
  expect(await over({ waited })).toEqual(['waited']);
});
