import { describe, expect, it } from 'vitest';
import { AttemptLimit, addressKey } from '../../../../../src/serve/gateway/access/attempt-limit.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

const GUESSER = '203.0.113.9';

function afterFailures(count: number): { limit: AttemptLimit; clock: ManualClock } {
  const clock = new ManualClock();
  const limit = new AttemptLimit(clock);
  for (let i = 0; i < count; i += 1) limit.countFailure(GUESSER);
  return { limit, clock };
}

describe('the limit on wrong tokens', () => {
  it('lets an address try twenty times, then once every three seconds', () => {
    expect(afterFailures(19).limit.waitS(GUESSER)).toBe(0);
    const { limit, clock } = afterFailures(20);
    expect(limit.waitS(GUESSER)).toBe(3);
    clock.advance(2_900);
    expect(limit.waitS(GUESSER)).toBe(1);
    clock.advance(101);
    expect(limit.waitS(GUESSER)).toBe(0);
    limit.countFailure(GUESSER);
    expect(limit.waitS(GUESSER)).toBe(3);
  });

  it('allows no more than 28 820 guesses a day, however they are spread', () => {
    const { limit, clock } = afterFailures(0);
    let guesses = 0;
    for (let second = 0; second < 86_400; second += 1) {
      while (limit.waitS(GUESSER) === 0) {
        limit.countFailure(GUESSER);
        guesses += 1;
      }
      clock.advance(1000);
    }
    expect(guesses).toBeGreaterThan(28_000);
    expect(guesses).toBeLessThanOrEqual(28_820);
  });

  it('does not hold other addresses back', () => {
    expect(afterFailures(50).limit.waitS('203.0.113.10')).toBe(0);
  });

  it('remembers which tokens worked from an address before', () => {
    const { limit } = afterFailures(0);
    limit.countSuccess(GUESSER, 'hash-1');
    expect(limit.isKnown(GUESSER, 'hash-1')).toBe(true);
    expect(limit.isKnown(GUESSER, 'hash-2')).toBe(false);
    expect(limit.isKnown('203.0.113.10', 'hash-1')).toBe(false);
  });

  it('remembers a hundred tokens of an address, those that came first', () => {
    const { limit } = afterFailures(0);
    for (let i = 0; i < 101; i += 1) limit.countSuccess(GUESSER, `hash-${i}`);
    expect(['hash-0', 'hash-99', 'hash-100'].map((hash) => limit.isKnown(GUESSER, hash))).toEqual([true, true, false]);
  });

  it('forgets the address that failed longest ago once there are ten thousand', () => {
    const { limit } = afterFailures(20);
    const other = (i: number) => limit.countFailure(`198.51.${i >> 8}.${i & 255}`);
    for (let i = 0; i < 9_999; i += 1) other(i);
    expect(limit.waitS(GUESSER), 'there is room for it').toBe(3);
    limit.countFailure(GUESSER);
    for (let i = 9_999; i < 19_998; i += 1) other(i);
    expect(limit.waitS(GUESSER), 'it failed again').toBe(3);
    other(19_998);
    expect(limit.waitS(GUESSER)).toBe(0);
  });
});

describe('what counts as one client', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::9', '2001:db8:1:2'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['', ''],
  ])('%s is %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});
