import { describe, expect, it } from 'vitest';
import { rateCommand, rateFilters } from '../../../../src/frame/decode/rate-filters.ts';

describe('rateCommand', () => {
  it('takes all frames without a rate', () => {
    expect(rateCommand({ every: 1, maxFps: null })).toBe('cmetadata@rate -1 enable 0\n');
  });

  it('is one line within what ffmpeg reads: 63 characters of target, 255 of argument', () => {
    const [, target, argument] = /^c(\S+) -1 enable (.+)\n$/.exec(rateCommand({ every: 1000, maxFps: 1000 / 7 }))!;
    expect(target!.length).toBeLessThan(64);
    expect(argument!.length).toBeLessThan(256);
    expect(argument).not.toMatch(/\s/);
  });

  it('addresses a filter that is there, and has the expression that it was started with', () => {
    const rate = { every: 2, maxFps: 5 };
    const [, target, argument] = /^c(\S+) -1 enable (.+)\n$/.exec(rateCommand(rate))!;
    const filters = rateFilters('a1b2', rate).filter((filter) => filter.startsWith(`${target}=`));
    expect(filters.map((filter) => filter.replaceAll('\\', ''))).toEqual([
      `${target}=modify:a1b2:1:enable=${argument}`,
    ]);
  });
});
