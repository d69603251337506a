import { describe, expect, it } from 'vitest';
import { StreamHistory } from '../../../src/gateway/stream-history.ts';
import { hostReport, percentiles, streamReport } from '../../support/sample-reports.ts';

const START_S = 1_700_000_000;

/** One report a second. @param fps - of each second; null: nothing was published. */
function record(history: StreamHistory, id: string, fps: readonly (number | null)[], fromS = START_S): void {
  fps.forEach((published, i) => {
    const window = published === null ? percentiles(0, 0) : percentiles(published, 10);
    const base = streamReport(id);
    const stream = {
      ...base,
      fps: { in: 30, inferred: published ?? 0, published: published ?? 0 },
      latencyMs: { window, total: window },
    };
    history.add({ timeMs: (fromS + i) * 1000, streams: [stream], host: hostReport() });
  });
}

const seconds = (count: number, value: (i: number) => number | null) =>
  Array.from({ length: count }, (_, i) => value(i));

describe('the history of a stream', () => {
  it('has each report of the last three minutes', () => {
    const history = new StreamHistory();
    record(
      history,
      'gate',
      seconds(400, (i) => i),
    );
    const { stepS, times, fpsPublished, p50, p99 } = history.of('gate', 180)!;
    expect([stepS, times.length, fpsPublished.length]).toEqual([1, 180, 180]);
    expect([times[0], times.at(-1)]).toEqual([START_S + 220, START_S + 399]);
    expect([fpsPublished.at(-1), p50.at(-1), p99.at(-1)]).toEqual([399, 399, 798]);
    expect(history.of('gate', 5)!.times).toEqual([394, 395, 396, 397, 398, 399].map((i) => START_S + i));
  });

  it('has an hour in steps of ten seconds: means, and the highest p99', () => {
    const history = new StreamHistory();
    record(
      history,
      'gate',
      seconds(8000, (i) => i % 10),
    );
    const { stepS, times, fpsPublished, fpsIn, p99 } = history.of('gate', 3600)!;
    expect([stepS, times.length]).toEqual([10, 360]);
    expect(new Set(times.map((time) => time % 10))).toEqual(new Set([0]));
    expect(new Set(fpsPublished)).toEqual(new Set([4.5]));
    expect(new Set(fpsIn)).toEqual(new Set([30]));
    expect(new Set(p99), 'of a median of 9').toEqual(new Set([18]));
  });

  it('says nothing about a time without results or without reports', () => {
    const history = new StreamHistory();
    record(
      history,
      'gate',
      seconds(60, () => null),
    );
    record(
      history,
      'gate',
      seconds(60, () => 5),
      START_S + 1000,
    );
    const { times, p50, fpsPublished } = history.of('gate', 3600)!;
    expect(p50.slice(0, 5)).toEqual(Array(5).fill(null));
    expect(fpsPublished.slice(0, 5)).toEqual(Array(5).fill(0));
    expect(p50.at(-1)).toBe(5);
    // 120 s were reported of 1060.
    expect(times.length).toBeLessThanOrEqual(13);
  });

  it('is forgotten with its stream', () => {
    const history = new StreamHistory();
    record(history, 'gate', [1, 2, 3]);
    record(history, 'yard', [1], START_S + 3);
    expect(history.of('gate', 180)).toBeNull();
    expect(history.of('yard', 180)?.fpsPublished).toEqual([1]);
    expect(history.of('nobody', 180)).toBeNull();
  });
});
