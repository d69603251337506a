import { describe, expect, it } from 'vitest';
import { shedCommand, shedFilters, takesCommands } from '../../../../src/frame/decode/shed-filters.ts';

/** Numbers of the frames that ffmpeg keeps, by the arithmetic of its expression `gte(mod(n*R+P,1),R)`. */
function kept(command: string, frames: number): number[] {
  const [, ratio, phase, bound] = /enable gte\(mod\(n\*([\d.]+)\+([\d.]+),1\),([\d.]+)\)\n$/.exec(command)!;
  const numbers = Array.from({ length: frames }, (_, n) => n);
  return numbers.filter((n) => (n * Number(ratio) + Number(phase)) % 1 < Number(bound));
}

describe('shedCommand', () => {
  it.each([0.01, 0.05, 0.25, 0.37, 0.5, 0.613, 0.9, 0.9999])('keeps %d of the frames, at even distances', (ratio) => {
    for (const phase of [0, 0.3, 0.618, 0.999]) {
      const numbers = kept(shedCommand(ratio, phase), 20_000);
      expect(Math.abs(numbers.length - 20_000 * ratio)).toBeLessThanOrEqual(4);
      const gaps = numbers.slice(1).map((n, i) => n - numbers[i]!);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(Math.ceil(1 / ratio));
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(Math.floor(1 / ratio));
    }
  });

  it('keeps all frames at 1', () => {
    expect(shedCommand(1, 0.4)).toBe('cmetadata@gate -1 enable 0\n');
  });

  it('is one line within what ffmpeg reads: 63 characters of target, 255 of argument', () => {
    const line = shedCommand(1 / 3, 2 / 3);
    const [, target, argument] = /^c(\S+) -1 enable (.+)\n$/.exec(line)!;
    expect(target!.length).toBeLessThan(64);
    expect(argument!.length).toBeLessThan(256);
    expect(argument).not.toMatch(/\s/);
  });

  it('addresses a filter that is there', () => {
    const [, target] = /^c(\S+) /.exec(shedCommand(0.5, 0))!;
    expect(shedFilters('a1b2').filter((filter) => filter.startsWith(`${target}=`))).toHaveLength(1);
  });
});

it('ffmpeg before version 5 ignores the command', () => {
  expect([4, 5, 6, 7, 8].map(takesCommands)).toEqual([false, true, true, true, true]);
});
