import { describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../../../src/core/frame.ts';
import { PreviewPairs } from '../../../../src/runtime/stream/preview-pairs.ts';

function frame(n: number): PublishedFrame {
  return { frame: n } as PublishedFrame;
}

function jpeg(n: number): Uint8Array {
  return Uint8Array.of(n);
}

/** The emitted pairs of frame and picture, `7` for frame 7 with picture 7. */
function bench(): { pairs: PreviewPairs; told: string[] } {
  const told: string[] = [];
  const pairs = new PreviewPairs(({ frame: n }, picture) =>
    told.push(n === picture[0] ? `${n}` : `${n}!=${picture[0]}`),
  );
  return { pairs, told };
}

describe('PreviewPairs', () => {
  it('pairs the picture and boxes of one frame, whichever comes first', () => {
    const { pairs, told } = bench();
    pairs.onPicture(1, jpeg(1));
    expect(told).toEqual([]);
    pairs.onPublished(frame(1));
    pairs.onPublished(frame(2));
    pairs.onPicture(2, jpeg(2));
    expect(told).toEqual(['1', '2']);
  });

  it('emits a picture once', () => {
    const { pairs, told } = bench();
    pairs.onPicture(1, jpeg(1));
    pairs.onPublished(frame(1));
    pairs.onPublished(frame(1));
    expect(told).toEqual(['1']);
  });

  it('never pairs a picture with the boxes of another frame', () => {
    const { pairs, told } = bench();
    pairs.onPicture(1, jpeg(1));
    for (let n = 2; n < 10; n++) pairs.onPublished(frame(n));
    pairs.onPicture(20, jpeg(20));
    pairs.onPublished(frame(20));
    expect(told).toEqual(['20']);
  });

  it('waits for a picture over 32 results, and no longer', () => {
    const { pairs, told } = bench();
    for (let n = 0; n < 33; n++) pairs.onPublished(frame(n));
    pairs.onPicture(0, jpeg(0));
    pairs.onPicture(1, jpeg(1));
    expect(told).toEqual(['1']);
  });
});
