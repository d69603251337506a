import { describe, expect, it } from 'vitest';
import { requireRoom } from '../../../../src/serve/host/stream-limits.ts';
import { limitsConfig } from '../../../../src/settings/config/limits.ts';

const GIB = 2 ** 30;

describe('one more stream', () => {
  const limits = limitsConfig.parse({ streams: 3, freeMemoryMb: 100 });

  it('is accepted while there is room', () => {
    expect(() => requireRoom(limits, 2, GIB)).not.toThrow();
    expect(() => requireRoom({ ...limits, freeMemoryMb: 0 }, 0, 0)).not.toThrow();
  });

  it('is refused beyond the number, and while memory is short, with what to do', () => {
    expect(() => requireRoom(limits, 3, GIB)).toThrow(/expected at most 3 streams.*raise limits.streams/);
    expect(() => requireRoom(limits, 0, 99 * 2 ** 20)).toThrow(/expected 100 MiB of available memory.*found 99/);
  });
});
