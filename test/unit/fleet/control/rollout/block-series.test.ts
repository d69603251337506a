import { describe, expect, it } from 'vitest';
import { BlockSeries } from '../../../../../src/fleet/control/rollout/block-series.ts';

const OPTIONS = { columns: ['count', 'sum'], blockMs: 1000, maxRows: 4 };

function seriesOf(times: readonly number[], options = OPTIONS): BlockSeries {
  const series = new BlockSeries(options);
  for (const [i, time] of times.entries()) series.add(time, { count: 1, sum: i });
  return series;
}

describe('BlockSeries', () => {
  it('sums by blocks of time and has no row where nothing happened', () => {
    const series = seriesOf([0, 400, 1200, 5000]);
    expect(series.column('count')).toEqual([2, 1, 1]);
    expect(series.column('sum')).toEqual([0 + 1, 2, 3]);
  });

  it('makes its blocks longer instead of forgetting', () => {
    const series = seriesOf([0, 1000, 2000, 3000, 4000]);
    expect(series.column('count')).toEqual([2, 2, 1]);
    expect(series.sum('sum')).toBe(0 + 1 + 2 + 3 + 4);
  });

  it('covers hours in bounded memory', () => {
    const series = new BlockSeries(OPTIONS);
    for (let second = 0; second < 7200; second++) series.add(second * 1000, { count: 1, sum: 0 });
    expect(series.sum('count')).toBe(7200);
    expect(series.column('count').length).toBeLessThanOrEqual(4);
    expect(series.spanMs).toBeGreaterThanOrEqual(7_200_000);
  });

  it('counts a time that goes back to the last row', () => {
    expect(seriesOf([3000, 1000]).column('count')).toEqual([2]);
  });

  it('finds the blocks that two series share', () => {
    const { first, second } = BlockSeries.common(seriesOf([0, 1000, 2000, 3000, 4000]), seriesOf([2500, 3500, 9000]));
    expect(first.column('count')).toEqual([2]);
    expect(second.column('count')).toEqual([2]);
  });

  it('comes back from its state as it was', () => {
    const series = seriesOf([0, 1000, 2000, 3000, 4000]);
    const restored = new BlockSeries(OPTIONS, series.state);
    restored.add(4500, { count: 1, sum: 7 });
    series.add(4500, { count: 1, sum: 7 });
    expect(restored.state).toEqual(series.state);
  });

  it('takes no state with other columns', () => {
    const { state } = seriesOf([0]);
    const other = { ...OPTIONS, columns: ['sum', 'count'] };
    expect(() => new BlockSeries(other, state)).toThrow(expect.objectContaining({ code: 'PROTOCOL_INVALID' }));
  });
});
