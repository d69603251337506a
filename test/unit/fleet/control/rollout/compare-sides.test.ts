import { describe, expect, it } from 'vitest';
import { BlockSeries } from '../../../../../src/fleet/control/rollout/block-series.ts';
import { alignSides, relativeEstimate } from '../../../../../src/fleet/control/rollout/compare-sides.ts';
import { judgeTail } from '../../../../../src/fleet/control/rollout/judge-tail.ts';
import { tailColumn } from '../../../../../src/fleet/control/rollout/side-history.ts';

function seriesOf(seconds: readonly number[], row: Record<string, number>): BlockSeries {
  const series = new BlockSeries({ columns: Object.keys(row), blockMs: 1000, maxRows: 10_000 });
  for (const second of seconds) series.add(second * 1000, row);
  return series;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('blocks of both sides', () => {
  /** The control has no frames in every fifth second. */
  const aligned = (seconds: number): number[] => {
    const candidate = seriesOf(upTo(seconds), { frames: 10 });
    const control = seriesOf(
      upTo(seconds).filter((second) => second % 5 !== 0),
      { frames: 10 },
    );
    return alignSides(candidate, control, 'frames').candidate.column('frames');
  };

  it('are as short as they can be while there are few', () => {
    expect(aligned(100)).toEqual(upTo(80).map(() => 10));
  });

  it('are longer while there are many, so that hardly any frame of the candidate is left out', () => {
    expect(aligned(200)).toEqual(upTo(100).map(() => 20));
  });
});

it('a difference is relative to the control, and uncertain by the larger of both sides', () => {
  const difference = { value: 2, blocks: 10, errors: [{ standardError: 0.5, groups: 9 }], thirdMoment: 0.1 };
  const weights = { candidate: 1, control: 1 };
  expect(relativeEstimate({ difference, candidate: 10, control: 8, weights })).toEqual({
    value: 0.25,
    blocks: 10,
    errors: [{ standardError: 0.5 * (10 / 8 / 8), groups: 9 }],
    thirdMoment: 0.1 * (10 / 8 / 8) ** 3,
  });
  expect(relativeEstimate({ difference, candidate: 4, control: 8, weights })).toMatchObject({
    errors: [{ standardError: 0.0625 }],
  });
  expect(relativeEstimate({ difference, candidate: 4, control: 0, weights })).toBeNull();
});

it('the 99th percentile of the candidate is where as many of its frames are above it as 1 % of the control', () => {
  // More frames than the control above 1.5 times the tail, by 0.5 %, and fewer above twice the tail, by 0.5 %.
  const factors = [1, 1.5, 2];
  const above = { [tailColumn(1)]: 20, [tailColumn(1.5)]: 15, [tailColumn(2)]: 5 };
  const sides = {
    candidate: seriesOf(upTo(40), { frames: 1000, ...above }),
    control: seriesOf(upTo(40), { frames: 1000, [tailColumn(1)]: 10 }),
  };
  const question = { guard: 'p99', subject: 'the latency', harm: 'rise', unit: 'relative', margin: 0.1 } as const;
  const { estimate } = judgeTail(
    question,
    sides,
    factors,
    { pass: 0.05, fail: 0.01 },
    { without: 'Nothing was seen.', spanMs: 60_000 },
  );
  expect(estimate).toBeCloseTo(0.75, 6);
});
