import { describe, expect, it } from 'vitest';
import {
  amount,
  counted,
  duration,
  factor,
  median,
  ms,
  percent,
  score,
  signedScore,
} from '../../../../../src/lab/measure/report/figures.ts';

/** Units stand after a no-break space. */
function plain(text: string): string {
  return text.replaceAll('\u00a0', ' ');
}

describe('figures', () => {
  it.each([
    [0, '0'],
    [0.0412, '0.041'],
    [0.9, '0.90'],
    [4.564, '4.56'],
    [9.996, '10.0'],
    [78.94, '78.9'],
    [99.96, '100'],
    [1234.4, '1,234'],
    [30, '30'],
    [-4.56, '\u22124.56'],
  ])('writes %d as %s', (value, text) => {
    expect(amount(value)).toBe(text);
  });

  it.each([
    [0.0013, '0.1 %'],
    [0.053, '5.3 %'],
    [0.01, '1 %'],
    [0.9968, '100 %'],
    [0.413, '41 %'],
  ])('writes the share %d as %s', (ratio, text) => {
    expect(plain(percent(ratio))).toBe(text);
  });

  it('writes scores with three decimals and never a negative zero', () => {
    expect([score(0.33), score(-0.0004), signedScore(0.004), signedScore(-0.0123), signedScore(0)]).toEqual([
      '0.330',
      '0.000',
      '+0.004',
      '\u22120.012',
      '0.000',
    ]);
  });

  it('writes times, ratios and counts with their units', () => {
    expect([ms(23.41), factor(1.754)].map(plain)).toEqual(['23.4 ms', '×1.75']);
    expect([counted(1, 'camera'), counted(1200, 'camera')].map(plain)).toEqual(['1 camera', '1,200 cameras']);
    expect([4.1, 45, 60, 1112, 7260].map((seconds) => plain(duration(seconds)))).toEqual([
      '4.10 s',
      '45 s',
      '1 min',
      '18 min 32 s',
      '2 h 1 min',
    ]);
  });

  it('takes the middle as median', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, Number.NaN]);
  });
});
