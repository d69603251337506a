import { describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../../../../src/base/core/frame.ts';
import type { MonoMs, PtsUs } from '../../../../../src/base/core/units.ts';
import { PreviewPairs } from '../../../../../src/frame/runtime/stream/preview-pairs.ts';
import type { LanePreview } from '../../../../../src/wire/protocol/threads.ts';

/** Frame n is 100 ms of media time after frame n - 1. */
const us = (frame: number): PtsUs => (frame * 100_000) as PtsUs;

function frame(n: number): PublishedFrame {
  return { streamId: 's', frame: n, ptsUs: us(n) } as PublishedFrame;
}

function picture(n: number, isFrame = true): LanePreview {
  return { frame: n, isFrame, ptsUs: us(n), width: 64, height: 36, tunings: 0, jpeg: Uint8Array.of(n) };
}

/** A picture that is no frame, between frame n and the next. */
function between(n: number): LanePreview {
  return { ...picture(n, false), ptsUs: (us(n) + 50_000) as PtsUs };
}

/** What was emitted: `7 of 7` is picture 7 with the boxes of its own frame, `7 with 5` with those of frame 5. */
class Bench {
  nowMs = 0;
  readonly told: string[] = [];
  readonly pairs = new PreviewPairs(
    { id: 's', run: 'r' },
    ({ frame: result, jpeg, pictureUs, hasResult = true }) => {
      const boxes = hasResult ? `${pictureUs === undefined ? 'of' : 'with'} ${result.frame}` : 'without boxes';
      this.told.push(`${jpeg[0]} ${boxes}`);
    },
    () => this.nowMs as MonoMs,
  );
}

describe('PreviewPairs', () => {
  it('passes on none of the pictures that waited when masks changed', () => {
    const { pairs, told } = new Bench();
    pairs.onPicture(picture(1));
    pairs.forgetPictures();
    pairs.onPublished(frame(1));
    pairs.onPublished(frame(2));
    pairs.onPicture(picture(2));
    expect(told).toEqual(['2 of 2']);
  });

  it('pairs the picture and boxes of one frame, whichever comes first', () => {
    const { pairs, told } = new Bench();
    pairs.onPicture(picture(1));
    expect(told).toEqual([]);
    pairs.onPublished(frame(1));
    pairs.onPublished(frame(2));
    pairs.onPicture(picture(2));
    expect(told).toEqual(['1 of 1', '2 of 2']);
  });

  it('emits a picture once', () => {
    const { pairs, told } = new Bench();
    pairs.onPicture(picture(1));
    pairs.onPublished(frame(1));
    pairs.onPublished(frame(1));
    expect(told).toEqual(['1 of 1']);
  });

  it('gives a picture whose frame was dropped the newest result that is not newer, and says so', () => {
    const { pairs, told } = new Bench();
    pairs.onPublished(frame(1));
    pairs.onPicture(picture(3));
    expect(told, 'its own may come').toEqual([]);
    pairs.onPublished(frame(4));
    expect(told).toEqual(['3 with 1']);
  });

  it('does not wait for the result of a picture that is no frame', () => {
    const { pairs, told } = new Bench();
    pairs.onPublished(frame(1));
    pairs.onPicture(between(1));
    expect(told).toEqual(['1 with 1']);
  });

  it('never uses a result that is newer than the picture', () => {
    const { pairs, told } = new Bench();
    for (const n of [1, 2, 3]) pairs.onPublished(frame(n));
    pairs.onPicture({ ...between(3), ptsUs: us(2) });
    expect(told).toEqual(['3 with 2']);
  });

  it('shows pictures without boxes while there is no result', () => {
    const bench = new Bench();
    bench.pairs.onPicture(picture(0));
    bench.nowMs = 500;
    bench.pairs.onPicture(between(0));
    expect(bench.told).toEqual(['0 without boxes', '0 without boxes']);
  });

  it('keeps the order: a picture that waits for its boxes holds back later ones, for half a second', () => {
    const bench = new Bench();
    bench.pairs.onPublished(frame(1));
    bench.pairs.onPicture(picture(2));
    bench.nowMs = 499;
    bench.pairs.onPicture(between(4));
    expect(bench.told).toEqual([]);
    bench.nowMs = 500;
    bench.pairs.onPicture(between(5));
    expect(bench.told).toEqual(['2 with 1', '4 with 1', '5 with 1']);
  });

  it('keeps 32 results for late pictures, and no more', () => {
    const { pairs, told } = new Bench();
    for (let n = 0; n < 33; n++) pairs.onPublished(frame(n));
    pairs.onPicture(picture(0));
    pairs.onPicture(picture(1));
    expect(told).toEqual(['0 without boxes', '1 of 1']);
  });
});
