import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import { cropMsPerFrame, cropsPerFrame } from '../../../../../src/lab/optimize/run/crop-costs.ts';
import type { RecordedFrame } from '../../../../../src/network/evaluate/recorded-results.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import { type StageConfig, stageConfig } from '../../../../../src/settings/config/stages.ts';

const STREAM = parseStream({ id: 'cam', source: 'clip.mp4' }, {});
const SIZE = { width: 1280, height: 720 };
const FRAMES = 100;

/** Three cars for ten seconds; the first one comes nearer, so that its box is four times as large at the end. */
const RESULTS = {
  classes: ['car'],
  scoreThreshold: 0.3,
  frames: Array.from({ length: FRAMES }, (_, frame): RecordedFrame => {
    const detections = [1, 2, 3].map((trackId): Detection => {
      const side = trackId === 1 ? 100 + frame : 100;
      return { classId: 0, label: 'car', score: 0.9, box: [300 * trackId, 100, side, side], trackId };
    });
    return { frame, ptsUs: frame * 100_000, ...SIZE, detections };
  }),
};

function rateOf(config: object, inferEvery = 1, stream = STREAM): number {
  const stage: StageConfig = stageConfig.parse({ name: 'a', model: {}, ...config });
  return cropsPerFrame(RESULTS, [stage], stream, inferEvery).get('a')! * FRAMES;
}

describe('crops of a frame', () => {
  it.each([
    [{ per: 'frame' }, 300],
    [{ per: 'frame', max: 2 }, 200],
    [{ per: 'track' }, 3],
    // At 0, 2, 4, 6 and 8 s.
    [{ per: 'track', again: '2s' }, 15],
    // Twice the area after 42 frames, and not four times until the end.
    [{ per: 'bestOfTrack' }, 4],
    [{ per: 'frame', on: { labels: ['bus'] } }, 0],
    [{ per: 'frame', on: { minPixels: 150 } }, 50],
  ])('are counted as second stages choose them: %j looks %i times', (config, looks) => {
    expect(rateOf(config)).toBeCloseTo(looks);
  });

  it('are fewer where fewer frames are inferred', () => {
    expect(rateOf({ per: 'frame' }, 5)).toBeCloseTo(60);
    expect(rateOf({ per: 'track' }, 5)).toBeCloseTo(3);
  });

  it('cost what one costs alone, times their number', () => {
    const stages = [stageConfig.parse({ name: 'a', model: {}, per: 'frame' })];
    expect(cropMsPerFrame(RESULTS, stages, STREAM, 1, new Map([['a', 4]]))).toBeCloseTo(12);
  });

  it('of a stage behind another one are as many as objects were found in crops', () => {
    const found: Detection = { classId: 1, label: 'plate', score: 0.8, box: [310, 150, 30, 10], parent: 1 };
    const frames = RESULTS.frames.map((frame) => ({ ...frame, detections: [...frame.detections, found, found] }));
    const stages = ['a', 'b'].map((name) =>
      stageConfig.parse({ name, model: {}, per: 'frame', ...(name === 'b' ? { on: { from: 'a' } } : {}) }),
    );
    const ms = new Map([
      ['a', 4],
      ['b', 10],
    ]);
    expect(cropMsPerFrame({ ...RESULTS, frames }, stages, STREAM, 1, ms)).toBeCloseTo(3 * 4 + 2 * 10);
  });
});
