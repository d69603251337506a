import { describe, expect, it } from 'vitest';
import { FrameTally } from '../../../../src/after/history/frame-tally.ts';
import { HEAT_GRID } from '../../../../src/after/history/history-records.ts';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import type { MonoMs, PtsUs } from '../../../../src/base/core/units.ts';

const MINUTE_S = 1_700_000_040;
const NOW_MS = MINUTE_S * 1000;
const times = { captured: 0, decoded: 0, preprocessed: 0, batched: 0, inferred: 0, published: 0 } as unknown as Record<
  'captured' | 'decoded' | 'preprocessed' | 'batched' | 'inferred' | 'published',
  MonoMs
>;

function frame(ptsMs: number, more: Partial<PublishedFrame> = {}): PublishedFrame {
  return {
    streamId: 'gate',
    run: '2026-01-01T00:00:00.000Z',
    frame: 0,
    ptsUs: (ptsMs * 1000) as PtsUs,
    width: 640,
    height: 360,
    by: 'inferred' as const,
    detections: [],
    times,
    ...more,
  };
}

/** An object whose lower edge has its middle at this point. */
function object(x: number, y: number, trackId?: number, label = 'person') {
  const box = [x - 10, y - 40, 20, 40] as const;
  return { classId: 0, label, score: 0.9, box, ...(trackId === undefined ? {} : { trackId }) };
}

describe('the tally of results', () => {
  it('adds up the media time between frames, and leaves out gaps and jumps', () => {
    const tally = new FrameTally();
    for (const ptsMs of [0, 40, 80, 9000, 9040, 100, 140, 140]) tally.observe(frame(ptsMs), NOW_MS);
    // 40 + 40, a gap of 8.92 s, 40, back, 40, the same frame again.
    expect(tally.take(NOW_MS).seen).toEqual([['gate', MINUTE_S, 8, 160]]);
    expect(tally.take(NOW_MS).seen).toEqual([]);
  });

  it('gives each minute rows of its own', () => {
    const tally = new FrameTally();
    tally.observe(frame(0), NOW_MS + 59_990);
    tally.observe(frame(40), NOW_MS + 60_030);
    tally.observe(frame(80), NOW_MS + 60_070);
    expect(tally.take(NOW_MS).seen).toEqual([
      ['gate', MINUTE_S, 1, 0],
      ['gate', MINUTE_S + 60, 2, 80],
    ]);
  });

  it('adds up the times in which a stream was watched, or was not, by minutes of the host', () => {
    const tally = new FrameTally();
    // The other clock began 100 s before the minute.
    const aheadMs = NOW_MS - 100_000;
    const spans = [
      { reason: null, fromMs: 90_000, toMs: 130_000 },
      { reason: 'down', fromMs: 130_000, toMs: 290_000 },
    ] as const;
    tally.addSeeing('gate', spans, aheadMs);
    tally.addSeeing('gate', [{ reason: null, fromMs: 290_000, toMs: 291_000 }], aheadMs);
    expect(tally.take(NOW_MS).seeing).toEqual([
      ['gate', MINUTE_S - 60, '', 10_000],
      ['gate', MINUTE_S, '', 30_000],
      ['gate', MINUTE_S, 'down', 30_000],
      ['gate', MINUTE_S + 60, 'down', 60_000],
      ['gate', MINUTE_S + 120, 'down', 60_000],
      ['gate', MINUTE_S + 180, 'down', 10_000],
      ['gate', MINUTE_S + 180, '', 1000],
    ]);
    expect(tally.take(NOW_MS).seeing).toEqual([]);
  });

  it('counts crossings by line, direction and label, and each track when it appears', () => {
    const tally = new FrameTally();
    const crossing = { lineId: 'door', trackId: 1, label: 'person', direction: 'left-to-right', ptsUs: 0 } as const;
    tally.observe(frame(0, { detections: [object(9, 90, 2), object(9, 90, 1), object(9, 90)] }), NOW_MS);
    const back = { ...crossing, direction: 'right-to-left' } as const;
    tally.observe(frame(40, { crossings: [crossing, crossing, back], detections: [object(9, 90, 1)] }), NOW_MS);
    tally.observe(frame(80, { detections: [object(9, 90, 3, 'car'), object(9, 90, 2)] }), NOW_MS);
    expect(tally.take(NOW_MS).counts).toEqual([
      ['gate', MINUTE_S, '', '', 'person', 2],
      ['gate', MINUTE_S, 'door', 'left-to-right', 'person', 2],
      ['gate', MINUTE_S, 'door', 'right-to-left', 'person', 1],
      ['gate', MINUTE_S, '', '', 'car', 1],
    ]);
    // Another run of the stream has another tracker.
    tally.observe(frame(0, { run: '2026-01-02T00:00:00.000Z', detections: [object(9, 90, 1)] }), NOW_MS);
    expect(tally.take(NOW_MS).counts).toEqual([['gate', MINUTE_S, '', '', 'person', 1]]);
  });

  it('measures how full a zone is, and how often objects come', () => {
    const tally = new FrameTally();
    const inside = [0, 1, 3, 3, 0, 1];
    for (const [i, count] of inside.entries())
      tally.observe(frame(i * 100, { zones: [{ id: 'yard', inside: count }] }), NOW_MS);
    // 1 + 3 + 3 + 0 + 1 objects for 100 ms each; 4 of 5 intervals occupied; 1 + 2 + 1 arrivals.
    expect(tally.take(NOW_MS).occupancy).toEqual([['gate', MINUTE_S, 'yard', 3, 800, 400, 4]]);
    tally.observe(frame(600, { zones: [{ id: 'yard', inside: 1 }] }), NOW_MS);
    expect(tally.take(NOW_MS).occupancy).toEqual([['gate', MINUTE_S, 'yard', 1, 100, 100, 0]]);
    tally.observe(frame(700), NOW_MS);
    expect(tally.take(NOW_MS).occupancy, 'a zone that is gone').toEqual([]);
  });

  it('notes where objects stand, up to the edges of the picture', () => {
    const tally = new FrameTally();
    const corners = [object(0, 0), object(640, 360), object(320, 180), object(650, -3)];
    tally.observe(frame(0, { detections: corners }), NOW_MS);
    tally.observe(frame(50, { detections: corners }), NOW_MS);
    const [row, ...others] = tally.take(NOW_MS).heat;
    expect([row![0], row![1], others]).toEqual(['gate', 1_699_999_200, []]);
    const { columns, rows } = HEAT_GRID;
    const cells = [...row![2].entries()].filter(([, ms]) => ms > 0);
    expect(cells).toEqual([
      [0, 50],
      [columns - 1, 50],
      [(rows / 2) * columns + columns / 2, 50],
      [rows * columns - 1, 50],
    ]);
  });

  it('forgets streams that are gone', () => {
    const tally = new FrameTally();
    tally.observe(frame(0), NOW_MS);
    tally.take(NOW_MS + 700_000);
    tally.observe(frame(40), NOW_MS + 700_000);
    // With the frame before, 40 ms would have been seen.
    expect(tally.take(NOW_MS + 700_000).seen).toEqual([['gate', MINUTE_S + 660, 1, 0]]);
  });
});
