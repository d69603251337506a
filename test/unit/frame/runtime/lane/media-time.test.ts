import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MonoMs } from '../../../../../src/base/core/units.ts';
import { MediaTime } from '../../../../../src/frame/runtime/lane/media-time.ts';

const ms = (value: number): MonoMs => value as MonoMs;
const camera = (lastUs = 0, shiftUs: number | null = 0): MediaTime => new MediaTime({ lastUs, shiftUs }, true, ms(0));
/** Media times of frames that are decoded 40 ms apart. */
const timesOf = (media: MediaTime, pts: readonly number[], fromMs = 0): number[] =>
  pts.map((ptsUs, i) => media.next(ptsUs, ms(fromMs + (i + 1) * 40)));

describe('the media time of a camera', () => {
  it('is that of the camera from the first frame on', () => {
    expect(timesOf(camera(), [0, 40_000, 80_000])).toEqual([0, 40_000, 80_000]);
  });

  it('goes on with the next connection, plus the time between', () => {
    const media = camera();
    timesOf(media, [0, 40_000]);
    media.reconnect();
    expect(timesOf(media, [0, 40_000], 1_080)).toEqual([1_080_000, 1_120_000]);
  });

  it('does not go back where the first frames of a connection are out of order, and is right behind them', () => {
    const media = camera(5_000_000, null);
    // As they come from a decoder that has not seen a B-frame yet.
    expect(timesOf(media, [0, 160_000, 80_000, 40_000, 120_000, 200_000, 240_000])).toEqual(
      [0, 160_000, 160_000, 160_000, 160_000, 200_000, 240_000].map((us) => 5_040_000 + us),
    );
  });

  it('does not run ahead of a camera that repeats its time stamps', () => {
    const pts = Array.from({ length: 1000 }, (_, i) => Math.floor(i / 4) * 160_000);
    expect(timesOf(camera(), pts)).toEqual(pts);
  });

  it('goes on with the time of this machine where a camera sets its clock back', () => {
    const media = camera();
    timesOf(media, [10_000_000]);
    expect(timesOf(media, [0, 40_000, 80_000], 40)).toEqual([10_040_000, 10_080_000, 10_120_000]);
  });

  it('never goes back, whatever a camera sends', () => {
    const frame = fc.record({ ptsUs: fc.integer({ min: -10_000_000, max: 10_000_000 }), isFirst: fc.boolean() });
    fc.assert(
      fc.property(fc.array(frame), (frames) => {
        const media = camera();
        const times = frames.map(({ ptsUs, isFirst }, i) => {
          if (isFirst) media.reconnect();
          return media.next(ptsUs, ms(i * 40));
        });
        expect(times).toEqual(times.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe('the media time of a file', () => {
  it('is what its container says, behind what the stream has read before', () => {
    const media = new MediaTime({ lastUs: 0, shiftUs: 7_000_000 }, false, ms(0));
    expect(timesOf(media, [0, 40_000, 40_000, 30_000])).toEqual([7_000_000, 7_040_000, 7_040_000, 7_030_000]);
  });
});
