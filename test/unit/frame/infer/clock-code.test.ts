import { describe, expect, it } from 'vitest';
import {
  CLOCK_PERIOD_TICKS,
  clockScore,
  clockTicks,
  drawClock,
  readClock,
} from '../../../../src/frame/infer/clock-code.ts';

function picture(ticks: number, width: number, height: number): Uint8Array {
  const grey = new Uint8Array(width * height);
  drawClock(grey, width, height, ticks);
  return Uint8Array.from({ length: grey.length * 3 }, (_, i) => grey[Math.floor(i / 3)]!);
}

describe('the clock in a picture', () => {
  it.each([0, 1, 4_194_304, 5_592_405, CLOCK_PERIOD_TICKS - 1])('%d ticks are read as they were drawn', (ticks) => {
    for (const [width, height] of [
      [640, 360],
      [97, 41],
    ] as const)
      expect(readClock(picture(ticks, width, height), width, height)).toBe(ticks);
  });

  it('repeats after its period', () => {
    expect(readClock(picture(CLOCK_PERIOD_TICKS + 7, 64, 32), 64, 32)).toBe(7);
  });

  it('a picture without a code, or with one wrong cell, is not read', () => {
    expect(readClock(new Uint8Array(64 * 32 * 3), 64, 32)).toBeNull();
    expect(readClock(new Uint8Array(64 * 32 * 3).fill(255), 64, 32)).toBeNull();
    expect(readClock(new Uint8Array(64 * 32 * 3).fill(128), 64, 32)).toBeNull();
    for (let cell = 0; cell < 32; cell++) {
      const rgb = picture(1_234_567, 64, 32);
      const at = (Math.floor(cell / 8) * 8 + 4) * 64 + (cell % 8) * 8 + 4;
      rgb[at * 3 + 1] = 255 - rgb[at * 3 + 1]!;
      expect(readClock(rgb, 64, 32), `cell ${cell}`).toBeNull();
    }
  });

  it('a score holds a time exactly, also as a 32-bit float', () => {
    for (const ticks of [0, 1, 999_999, CLOCK_PERIOD_TICKS - 1]) {
      const score = Math.fround(clockScore(ticks));
      expect(score).toBeGreaterThanOrEqual(0.5);
      expect(score).toBeLessThan(1);
      expect(clockTicks(score)).toBe(ticks);
    }
  });
});
