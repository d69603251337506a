import { describe, expect, it } from 'vitest';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { ResultCache } from '../../../../../src/frame/runtime/inference/result-cache.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';

const ROWS = Float32Array.of(1, 2, 3, 4, 0.5, 0);

function frameOf(hash: number, size = { width: 640, height: 360 }, scale = 1): InFlightFrame {
  const meta = slotMeta({ frame: 0, ...size, hashHigh: hash, hashLow: 1 });
  const ring = { slots: { shape: {} } };
  return {
    ring,
    slot: 0,
    meta: { ...meta, placement: { ...meta.placement, scaleX: scale } },
  } as unknown as InFlightFrame;
}

describe('ResultCache', () => {
  it('knows a picture after its first result', () => {
    const cache = new ResultCache(10);
    expect(cache.ask(frameOf(7), 0.3)).toEqual({ kind: 'unknown' });
    cache.settle(frameOf(7), { rows: ROWS, scoreThreshold: 0.3 });
    expect(cache.ask(frameOf(7), 0.3)).toEqual({ kind: 'rows', rows: ROWS });
    expect(cache.ask(frameOf(8), 0.3)).toEqual({ kind: 'unknown' });
  });

  it('keeps a copy, since the thread reuses its memory', () => {
    const cache = new ResultCache(10);
    const rows = ROWS.slice();
    cache.ask(frameOf(7), 0.3);
    cache.settle(frameOf(7), { rows, scoreThreshold: 0.3 });
    rows.fill(0);
    expect(cache.ask(frameOf(7), 0.3)).toEqual({ kind: 'rows', rows: ROWS });
  });

  it('keeps apart equal inputs of pictures of different sizes or places: their boxes differ in source pixels', () => {
    const cache = new ResultCache(10);
    cache.ask(frameOf(7), 0.3);
    cache.settle(frameOf(7), { rows: ROWS, scoreThreshold: 0.3 });
    expect(cache.ask(frameOf(7, { width: 1280, height: 720 }), 0.3)).toEqual({ kind: 'unknown' });
    expect(cache.ask(frameOf(7, undefined, 0.5), 0.3)).toEqual({ kind: 'unknown' });
  });

  it('keeps apart equal inputs of frames whose views lie at different places', () => {
    const viewed = (x: number): InFlightFrame => {
      const slots = SlotRing.create({ slots: 1, inputBytes: 3, views: 2, pictureBytes: 0 });
      const { placement } = slotMeta({ frame: 0, width: 1, height: 1 });
      slots.writeView(0, 0, { placement, bounds: { x: 0, y: 0, width: 10, height: 10 } });
      slots.writeView(0, 1, { placement, bounds: { x, y: 0, width: 10, height: 10 } });
      return { ...frameOf(7), ring: { slots } } as unknown as InFlightFrame;
    };
    const cache = new ResultCache(10);
    cache.ask(viewed(8), 0.3);
    cache.settle(viewed(8), { rows: ROWS, scoreThreshold: 0.3 });
    expect(cache.ask(viewed(8), 0.3)).toEqual({ kind: 'rows', rows: ROWS });
    expect(cache.ask(viewed(6), 0.3)).toEqual({ kind: 'unknown' });
    expect(cache.ask(frameOf(7), 0.3)).toEqual({ kind: 'unknown' });
  });

  it('does not answer with a result that lacks the weak boxes a stream needs', () => {
    const cache = new ResultCache(10);
    cache.ask(frameOf(7), 0.5);
    cache.settle(frameOf(7), { rows: ROWS, scoreThreshold: 0.5 });
    expect(cache.ask(frameOf(7), 0.1)).toEqual({ kind: 'unknown' });
    cache.settle(frameOf(7), { rows: ROWS, scoreThreshold: 0.1 });
    expect(cache.ask(frameOf(7), 0.5), 'more boxes than needed are fine').toMatchObject({ kind: 'rows' });
  });

  it('lets equal pictures wait for the first one, and returns them when it is done or dropped', () => {
    const cache = new ResultCache(10);
    const [first, second, third] = [frameOf(7), frameOf(7), frameOf(7)];
    cache.ask(first, 0.3);
    expect([cache.ask(second, 0.3), cache.ask(third, 0.3)]).toEqual([{ kind: 'pending' }, { kind: 'pending' }]);
    expect(cache.settle(first, null)).toEqual([second, third]);
    expect(cache.ask(second, 0.3), 'a dropped frame leaves nothing behind').toEqual({ kind: 'unknown' });
  });

  it('is not filled by a result that was computed before weaker boxes were needed', () => {
    const cache = new ResultCache(10);
    const [early, waiting, late] = [frameOf(7), frameOf(7), frameOf(7)];
    cache.ask(early, 0.5);
    cache.ask(waiting, 0.5);
    // Another stream needs boxes from 0.1 on.
    expect(cache.ask(late, 0.1)).toEqual({ kind: 'unknown' });
    expect(cache.settle(early, { rows: ROWS, scoreThreshold: 0.5 })).toEqual([]);
    expect(cache.ask(frameOf(7), 0.1)).toEqual({ kind: 'pending' });
    expect(cache.settle(late, { rows: ROWS, scoreThreshold: 0.1 })).toHaveLength(2);
    expect(cache.ask(frameOf(7), 0.1)).toMatchObject({ kind: 'rows' });
  });

  it('keeps an entry whose frame is still being inferred when an equal one is dropped', () => {
    const cache = new ResultCache(10);
    const [early, late] = [frameOf(7), frameOf(7)];
    cache.ask(early, 0.5);
    cache.ask(late, 0.1);
    expect(cache.settle(early, null)).toEqual([]);
    expect(cache.ask(frameOf(7), 0.1)).toEqual({ kind: 'pending' });
  });

  it('states what a result has if the threshold rose before its inference', () => {
    const cache = new ResultCache(10);
    const frame = frameOf(7);
    cache.ask(frame, 0.1);
    cache.settle(frame, { rows: ROWS, scoreThreshold: 0.5 });
    expect(cache.ask(frameOf(7), 0.1)).toEqual({ kind: 'unknown' });
  });

  it('does not answer with a result without the masks that a stream needs', () => {
    const cache = new ResultCache(10);
    cache.ask(frameOf(7), 0.3, false);
    cache.settle(frameOf(7), { rows: ROWS, scoreThreshold: 0.3 });
    expect(cache.ask(frameOf(7), 0.3, true)).toEqual({ kind: 'unknown' });
    cache.settle(frameOf(7), { rows: ROWS, scoreThreshold: 0.3, hasMasks: true });
    expect(cache.ask(frameOf(7), 0.3, true)).toMatchObject({ kind: 'rows' });
    expect(cache.ask(frameOf(7), 0.3, false), 'masks that nobody needs are fine').toMatchObject({ kind: 'rows' });
  });

  it('is not filled by a result without masks that was computed before they were needed', () => {
    const cache = new ResultCache(10);
    const [early, late] = [frameOf(7), frameOf(7)];
    cache.ask(early, 0.3, false);
    expect(cache.ask(late, 0.3, true)).toEqual({ kind: 'unknown' });
    expect(cache.settle(early, { rows: ROWS, scoreThreshold: 0.3 })).toEqual([]);
    expect(cache.ask(frameOf(7), 0.3, true)).toEqual({ kind: 'pending' });
    expect(cache.settle(late, { rows: ROWS, scoreThreshold: 0.3, hasMasks: true })).toHaveLength(1);
  });

  it('never answers for a frame that was not hashed', () => {
    const cache = new ResultCache(10);
    const bare = { meta: slotMeta({ frame: 0, width: 1, height: 1 }) } as unknown as InFlightFrame;
    cache.ask(bare, 0.3);
    cache.settle(bare, { rows: ROWS, scoreThreshold: 0.3 });
    expect(cache.ask(bare, 0.3)).toEqual({ kind: 'unknown' });
  });

  it('forgets the picture that was used least recently', () => {
    const cache = new ResultCache(2);
    for (const hash of [1, 2]) {
      cache.ask(frameOf(hash), 0.3);
      cache.settle(frameOf(hash), { rows: ROWS, scoreThreshold: 0.3 });
    }
    cache.ask(frameOf(1), 0.3);
    cache.ask(frameOf(3), 0.3);
    expect(cache.size).toBe(2);
    expect(cache.ask(frameOf(1), 0.3)).toMatchObject({ kind: 'rows' });
    expect(cache.ask(frameOf(2), 0.3)).toEqual({ kind: 'unknown' });
  });
});
