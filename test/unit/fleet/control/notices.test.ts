import { expect, it } from 'vitest';
import { Notices } from '../../../../src/fleet/control/notices.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

it('notices are reported at most once a second, with the number of suppressed ones', () => {
  const clock = new ManualClock();
  const told: string[] = [];
  const notices = new Notices((text) => told.push(text), clock);
  for (const text of ['one', 'two', 'three']) notices.add(text);
  expect(told).toEqual(['one']);
  clock.advance(1000);
  notices.add('four');
  clock.advance(1000);
  notices.add('five');
  expect(told).toEqual(['one', 'four (and 2 more notices since the last)', 'five']);
});
