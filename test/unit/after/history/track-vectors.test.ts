import { describe, expect, it } from 'vitest';
import { TrackVectors } from '../../../../src/after/history/track-vectors.ts';
import type { Box, Detection } from '../../../../src/base/core/detection.ts';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import { publishedFrame } from '../../../support/runtime-double.ts';

const NOW_MS = 1_700_000_000_000;

function looked(atMs: number, box: Box, vector: readonly number[], model = 'm@1') {
  return { like: { vector, model, box, atUs: atMs * 1000 } };
}

function frame(ptsMs: number, detections: readonly Partial<Detection>[], more: object = {}): PublishedFrame {
  const whole = detections.map((each) => ({ classId: 0, label: 'person', score: 0.9, box: [0, 0, 9, 9], ...each }));
  return {
    ...publishedFrame('gate', 1, whole as Detection[]),
    run: 'r',
    ptsUs: ptsMs * 1000,
    width: 640,
    height: 480,
    ...more,
  } as PublishedFrame;
}

describe('the embeddings of tracks', () => {
  it('are one row for each track: when it was seen, and the vector of its largest picture, of unit length', () => {
    const vectors = new TrackVectors();
    const small = looked(900, [0, 0, 10, 20], [1, 0]);
    // A live frame is published before its crops were looked at: 100 ms ago.
    vectors.observe(frame(1000, [{ trackId: 7, attributes: small }]), NOW_MS);
    vectors.observe(frame(1040, [{ trackId: 7, attributes: small }]), NOW_MS + 40);
    const large = looked(1080, [5, 5, 30, 60], [3, 4]);
    vectors.observe(frame(1120, [{ trackId: 7, attributes: large }]), NOW_MS + 120);
    const again = looked(1160, [6, 5, 20, 40], [0, 1]);
    vectors.observe(frame(1200, [{ trackId: 7, attributes: again, label: 'man' }]), NOW_MS + 200);
    expect(vectors.take()).toEqual([
      {
        stream: 'gate',
        run: 'r',
        trackId: 7,
        attribute: 'like',
        label: 'man',
        model: 'm@1',
        firstMs: NOW_MS - 100,
        lastMs: NOW_MS + 200,
        firstUs: 900_000,
        lastUs: 1_200_000,
        bestMs: NOW_MS + 80,
        bestUs: 1_080_000,
        box: [5, 5, 30, 60],
        width: 640,
        height: 480,
        vector: Float32Array.of(0.6, 0.8),
      },
    ]);
    expect(vectors.take()).toEqual([]);
  });

  it('leave out objects without a track, attributes that are no vector, and vectors of zeros', () => {
    const vectors = new TrackVectors();
    const colour = { colour: { label: 'red', score: 0.9, atUs: 0 } };
    const given = [
      { attributes: looked(0, [0, 0, 1, 1], [1]) },
      { trackId: 1, attributes: colour },
      { trackId: 2 },
      { trackId: 3, attributes: looked(0, [0, 0, 1, 1], [0, 0]) },
    ];
    vectors.observe(frame(0, given), NOW_MS);
    expect(vectors.take()).toEqual([]);
  });

  it('keep runs, tracks and second stages apart, and take that of another model as it is', () => {
    const vectors = new TrackVectors();
    const box = [0, 0, 9, 9] as const;
    const both = { ...looked(0, box, [1]), face: { vector: [1], model: 'f@1', box, atUs: 0 } };
    vectors.observe(frame(0, [{ trackId: 1, attributes: both }]), NOW_MS);
    vectors.observe(frame(0, [{ trackId: 1, attributes: looked(0, box, [1]) }], { run: 'r2' }), NOW_MS);
    vectors.observe(frame(0, [{ trackId: 1, attributes: looked(0, [0, 0, 2, 2], [1], 'm@2') }]), NOW_MS);
    expect(vectors.take().map(({ run, attribute, model }) => [run, attribute, model])).toEqual([
      ['r', 'like', 'm@2'],
      ['r', 'face', 'f@1'],
      ['r2', 'like', 'm@1'],
    ]);
  });

  it('ask to be emptied at 5,000 tracks', () => {
    const vectors = new TrackVectors();
    const many = Array.from({ length: 5000 }, (_, trackId) => ({
      trackId,
      attributes: looked(0, [0, 0, 1, 1], [1]),
    }));
    expect(vectors.observe(frame(0, many.slice(1)), NOW_MS)).toBe(false);
    expect(vectors.observe(frame(0, many), NOW_MS)).toBe(true);
    expect(vectors.take()).toHaveLength(5000);
    expect(vectors.observe(frame(40, many.slice(1)), NOW_MS)).toBe(false);
  });
});
