import { describe, expect, it } from 'vitest';
import { normalCdf, studentQuantile } from '../../../../src/lab/measure/distributions.ts';

describe('distributions', () => {
  // NIST/SEMATECH e-Handbook of Statistical Methods, tables 1.3.6.7.1 and 1.3.6.7.2.
  it.each([
    [0, 0.5],
    [1, 0.84134],
    [1.96, 0.975],
    [-1.96, 0.025],
    [-3, 0.00135],
    [40, 1],
  ])('the normal distribution has %f at its published value', (x, p) => {
    expect(normalCdf(x)).toBeCloseTo(p, 5);
  });

  it.each([
    [0.975, 1, 12.706],
    [0.975, 2, 4.303],
    [0.975, 5, 2.571],
    [0.95, 9, 1.833],
    [0.995, 30, 2.75],
    [0.975, 100, 1.984],
    [0.5, 7, 0],
  ])("Student's t has its %f quantile with %i degrees of freedom at the published value", (p, df, t) => {
    expect(studentQuantile(p, df)).toBeCloseTo(t, 3);
  });

  it('a quantile below the median or a fraction of a degree of freedom is a programmer mistake', () => {
    expect(() => studentQuantile(0.4, 3)).toThrow(RangeError);
    expect(() => studentQuantile(0.9, 1.5)).toThrow(RangeError);
  });
});
