import { describe, expect, it } from 'vitest';
import { StreamFigures } from '../../../../src/after/history/stream-figures.ts';
import { percentiles, streamReport } from '../../../support/sample-reports.ts';

const START_S = 1_700_000_000;

/** One report a second. @param fps - of each second; null: nothing was published. */
function record(figures: StreamFigures, id: string, fps: readonly (number | null)[], fromS = START_S): void {
  fps.forEach((published, i) => {
    const window = published === null ? percentiles(0, 0) : percentiles(published, 10);
    const stream = {
      ...streamReport(id),
      fps: { in: 30, inferred: published ?? 0, published: published ?? 0 },
      latencyMs: { window, total: window },
    };
    figures.add({ timeMs: (fromS + i) * 1000, streams: [stream] });
  });
}

const seconds = (count: number, value: (i: number) => number | null) =>
  Array.from({ length: count }, (_, i) => value(i));

describe('the figures of a stream', () => {
  it('have each report of the last three minutes', () => {
    const figures = new StreamFigures();
    record(
      figures,
      'gate',
      seconds(400, (i) => i),
    );
    const { stepS, times, fpsPublished, p50, p99 } = figures.newest('gate', 180)!;
    expect([stepS, times.length, fpsPublished.length]).toEqual([1, 180, 180]);
    expect([times[0], times.at(-1)]).toEqual([START_S + 220, START_S + 399]);
    expect([fpsPublished.at(-1), p50.at(-1), p99.at(-1)]).toEqual([399, 399, 798]);
    expect(figures.newest('gate', 5)!.times).toEqual([394, 395, 396, 397, 398, 399].map((i) => START_S + i));
  });

  it('have steps of ten seconds: means, and the highest p99', () => {
    const figures = new StreamFigures();
    record(
      figures,
      'gate',
      seconds(3600, (i) => i % 10),
    );
    const steps = figures.take();
    expect(steps).toHaveLength(359);
    expect(new Set(steps.map(({ endS }) => endS % 10))).toEqual(new Set([0]));
    expect(
      new Set(steps.map(({ stream, fpsIn, fpsPublished, p99 }) => `${stream} ${fpsIn} ${fpsPublished} ${p99}`)),
    ).toEqual(
      // 18 is twice a median of 9.
      new Set(['gate 30 4.5 18']),
    );
    expect(figures.take()).toEqual([]);
  });

  it('say nothing about a time without results or without reports', () => {
    const figures = new StreamFigures();
    record(
      figures,
      'gate',
      seconds(60, () => null),
    );
    record(
      figures,
      'gate',
      seconds(60, () => 5),
      START_S + 1000,
    );
    const steps = figures.take();
    expect(steps.slice(0, 5).map(({ p50, fpsPublished }) => [p50, fpsPublished])).toEqual(Array(5).fill([null, 0]));
    expect(steps.at(-1)?.p50).toBe(5);
    // 120 s were reported of 1060.
    expect(steps.length).toBeLessThanOrEqual(13);
  });

  it('begin a new step when the clock was set back', () => {
    const figures = new StreamFigures();
    record(figures, 'gate', [1, 2, 3]);
    record(figures, 'gate', [7], START_S - 3600);
    record(figures, 'gate', [9], START_S - 3590);
    expect(figures.take().map(({ endS, fpsPublished }) => [endS, fpsPublished])).toEqual([
      [START_S + 10, 2],
      [START_S - 3590, 7],
    ]);
  });

  it('are forgotten with their stream', () => {
    const figures = new StreamFigures();
    record(figures, 'gate', [1, 2, 3]);
    record(figures, 'yard', [1], START_S + 3);
    expect(figures.newest('gate', 180)).toBeNull();
    expect(figures.newest('yard', 180)?.fpsPublished).toEqual([1]);
    expect(figures.newest('nobody', 180)).toBeNull();
  });
});
