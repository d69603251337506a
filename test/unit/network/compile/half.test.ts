import { describe, expect, it } from 'vitest';
import { f32Tensor } from '../../../../src/network/compile/graph.ts';
import { floatToHalf, floatValues, halfToFloat, toHalfTensor } from '../../../../src/network/compile/half.ts';

/** Every finite non-negative half by its bits: the table is the definition of the format. */
const HALVES = Array.from({ length: 0x7c00 }, (_, bits) => {
  const [exponent, fraction] = [bits >> 10, bits & 0x3ff];
  return exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
});

/** The nearest entry of the table; of two equally near ones the one with the even last bit. */
function nearest(value: number): number {
  let [low, high] = [0, HALVES.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (HALVES[middle]! <= value) low = middle;
    else high = middle;
  }
  const [below, above] = [value - HALVES[low]!, HALVES[high]! - value];
  if (below !== above) return below < above ? low : high;
  return low % 2 === 0 ? low : high;
}

describe('half precision', () => {
  it('returns each of the 31744 halves unchanged, and its negative', () => {
    for (const [bits, value] of HALVES.entries()) {
      expect(floatToHalf(value)).toBe(bits);
      expect(floatToHalf(-value)).toBe(bits | 0x8000);
      expect(halfToFloat(bits)).toBe(value);
    }
  });

  it('rounds a tie to the even half, and its neighbours to theirs', () => {
    for (let bits = 0; bits < 0x7bff; bits += 1) {
      const tie = (HALVES[bits]! + HALVES[bits + 1]!) / 2;
      expect(floatToHalf(tie)).toBe(bits % 2 === 0 ? bits : bits + 1);
      expect(floatToHalf(tie * (1 - 2 ** -23))).toBe(bits);
      expect(floatToHalf(tie * (1 + 2 ** -23))).toBe(bits + 1);
    }
  });

  it('rounds f32 of all sizes to the nearest half, subnormals included', () => {
    let seed = 12345;
    for (let i = 0; i < 20_000; i += 1) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      const value = Math.fround((1 + seed / 2 ** 32) * 2 ** ((seed % 42) - 27));
      expect(floatToHalf(value)).toBe(nearest(value));
    }
  });

  it('handles values that a half cannot represent', () => {
    expect(floatToHalf(65519.996)).toBe(0x7bff);
    expect(floatToHalf(65520)).toBe(0x7c00);
    expect(floatToHalf(-1e30)).toBe(0xfc00);
    expect(floatToHalf(2 ** -25)).toBe(0);
    expect(floatToHalf(2 ** -25 * 1.001)).toBe(1);
    expect(floatToHalf(-0)).toBe(0x8000);
    expect(halfToFloat(floatToHalf(Number.NaN))).toBeNaN();
  });

  it('rounds constants, and reads them back', () => {
    const half = toHalfTensor(f32Tensor([3], [1, -0.1, 65504]), 'weights');
    expect(half).toMatchObject({ type: 'f16', dims: [3] });
    expect(Array.from(floatValues(half, 'weights'))).toEqual([1, -0.0999755859375, 65504]);
  });
});
