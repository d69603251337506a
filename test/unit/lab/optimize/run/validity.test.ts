import { describe, expect, it } from 'vitest';
import { earlyWarning, validityOf } from '../../../../../src/lab/optimize/run/validity.ts';

/** Windows of a run of which some were discarded, since others used this share of the CPU. */
function windows(all: number, discarded: number, otherRatio: number | null = 0.5) {
  return Array.from({ length: all }, (_, i) => ({
    isDiscarded: i < discarded,
    machine: { otherRatio, stealRatio: 0 },
  }));
}

const record = (result: object) => ({ result }) as unknown as Parameters<typeof validityOf>[0][number];

describe('measurements', () => {
  it('hold while others take at most a quarter of the windows, of trials, pairs and comparisons alike', () => {
    expect(validityOf([record({ windows: windows(20, 5) })], false).isValid).toBe(true);
    expect(validityOf([record({ windows: windows(20, 6) })], false).isValid).toBe(false);
    const pair = { a: [{ windows: windows(4, 0) }], b: [{ windows: windows(4, 4) }] };
    expect(validityOf([record(pair), record({ windows: windows(12, 0) })], false).isValid).toBe(true);
    expect(validityOf([record(pair), record({ ratio: 2, windows: windows(12, 10) })], false)).toMatchObject({
      isValid: false,
      reasons: [expect.stringContaining('in 70 % of 20 windows'), expect.stringContaining('50 %')],
    });
  });

  it('by CPU time hold whatever others take, and the report says what such rates are', () => {
    const { isValid, reasons } = validityOf([record({ windows: windows(20, 20) })], true);
    expect({ isValid, reasons: reasons.length }).toEqual({ isValid: true, reasons: 1 });
    expect(reasons[0]).toMatch(/by CPU time/);
  });

  it('that others disturb are warned of after the first one', () => {
    expect(earlyWarning(record({ windows: windows(8, 2) }))).toBeNull();
    expect(earlyWarning(record({ windows: windows(8, 3) }))).toMatch(/in 3 of 8 windows .* \(50 % of the CPU\)/);
    expect(earlyWarning(record({ windows: windows(8, 8, null) }))).not.toMatch(/%/);
    expect(earlyWarning(record({ windows: [] }))).toBeNull();
  });
});
