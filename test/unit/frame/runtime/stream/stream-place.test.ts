import { describe, expect, it } from 'vitest';
import type { SlotMeta } from '../../../../../src/base/flow/slot-ring.ts';
import { StreamPlace } from '../../../../../src/frame/runtime/stream/stream-place.ts';

function read(place: StreamPlace, ptsUs: readonly number[]): void {
  for (const time of ptsUs) {
    const meta = {
      frame: place.nextFrame,
      ptsUs: time as SlotMeta['ptsUs'],
      width: 64,
      height: 48,
      shift: { x: 0, y: 0 },
    };
    place.onFrame(meta, 1);
  }
}

describe('the place of a stream', () => {
  it('begins at media time 0, and a camera goes on behind its newest frame', () => {
    const place = new StreamPlace();
    expect(place.mediaTime('live')).toEqual({ lastUs: 0, shiftUs: 0 });
    read(place, [0, 40_000]);
    expect(place.mediaTime('live')).toEqual({ lastUs: 40_000, shiftUs: null });
  });

  it('a file that is opened again goes on with the times of its container', () => {
    const place = new StreamPlace();
    read(place, [0, 40_000]);
    expect(place.mediaTime('file')).toMatchObject({ shiftUs: 0 });
    expect(place.after).toEqual({ frames: 2, ptsUs: 40_000 });
  });

  it('another file begins one frame behind the one before, and its own place counts from its start', () => {
    const place = new StreamPlace();
    read(place, [0, 40_000]);
    place.clear();
    expect(place.after).toBeNull();
    expect(place.mediaTime('file')).toMatchObject({ shiftUs: 80_000 });
    read(place, [80_000, 120_000, 160_000]);
    expect(place.after).toEqual({ frames: 3, ptsUs: 80_000 });
    place.clear();
    expect(place.mediaTime('file')).toMatchObject({ shiftUs: 200_000 });
  });
});
