import { describe, expect, it } from 'vitest';
import { BlockSeries } from '../../../../src/control/rollout/block-series.ts';

const OPTIONS = { columns: 2, blockMs: 1000, maxRows: 4 };

function seriesOf(times: readonly number[], options = OPTIONS): BlockSeries {
  const series = new BlockSeries(options);
  for (const [i, time] of times.entries()) series.add(time, [1, i]);
  return series;
}

describe('BlockSeries', () => {
  it('sums by blocks of time and has no row where nothing happened', () => {
    const series = seriesOf([0, 400, 1200, 5000]);
    expect(series.column(0)).toEqual([2, 1, 1]);
    expect(series.column(1)).toEqual([0 + 1, 2, 3]);
  });

  it('makes its blocks longer instead of forgetting', () => {
    const series = seriesOf([0, 1000, 2000, 3000, 4000]);
    expect(series.column(0)).toEqual([2, 2, 1]);
    expect(series.sum(1)).toBe(0 + 1 + 2 + 3 + 4);
  });

  it('covers hours in bounded memory', () => {
    const series = new BlockSeries(OPTIONS);
    for (let second = 0; second < 7200; second++) series.add(second * 1000, [1, 0]);
    expect(series.sum(0)).toBe(7200);
    expect(series.column(0).length).toBeLessThanOrEqual(4);
    expect(series.spanMs).toBeGreaterThanOrEqual(7_200_000);
  });

  it('counts a time that goes back to the last row', () => {
    expect(seriesOf([3000, 1000]).column(0)).toEqual([2]);
  });

  it('finds the blocks that two series share', () => {
    const { first, second } = BlockSeries.common(seriesOf([0, 1000, 2000, 3000, 4000]), seriesOf([2500, 3500, 9000]));
    expect(first.column(0)).toEqual([2]);
    expect(second.column(0)).toEqual([2]);
  });

  it('comes back from its state as it was', () => {
    const series = seriesOf([0, 1000, 2000, 3000, 4000]);
    const restored = new BlockSeries(OPTIONS, series.state);
    restored.add(4500, [1, 7]);
    series.add(4500, [1, 7]);
    expect(restored.state).toEqual(series.state);
  });
});
