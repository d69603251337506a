import { describe, expect, it } from 'vitest';
import { searchedLoss } from '../../../src/cli/quantise-judge.ts';
import { judge } from '../../../src/lab/optimize/gate/judge.ts';
import type { RecordedResults } from '../../../src/network/evaluate/recorded-results.ts';
import { labelledScene, mapDetections, seePictures } from '../../support/gate-scenes.ts';

const SCENE = labelledScene(100, 1);
const FLOAT = seePictures(SCENE, { seed: 1, missRatio: 0.03, jitter: 0.05 });
const MAX_LOSS = 0.02;

async function lossOf(int8: RecordedResults, float = FLOAT): Promise<{ searched: number; ap: number }> {
  const ground = { kind: 'labels', annotations: SCENE } as const;
  const verdict = await judge(float, int8, ground, { maxLoss: MAX_LOSS, resamples: 100 });
  return { searched: searchedLoss(verdict), ap: verdict.loss };
}

describe('the loss by which layers stay in float', () => {
  it('is within the allowance where nothing changes', async () => {
    expect(await lossOf(FLOAT)).toEqual({ searched: 0, ap: 0 });
  });

  it('is beyond it where boxes fall below the score threshold, though average precision stays', async () => {
    const weaker = mapDetections(FLOAT, (found) => ({ ...found, score: found.score * 0.6 }));
    const { searched, ap } = await lossOf(weaker);
    expect(ap).toBe(0);
    expect(searched).toBeGreaterThan(MAX_LOSS);
  });

  it('is beyond it where wrong boxes rise above the threshold', async () => {
    const wrong = { classId: 0, label: 'person', score: 0.301, box: [160, 440, 30, 30] as const };
    const frames = FLOAT.frames.map((frame) => ({ ...frame, detections: [...frame.detections, wrong, wrong] }));
    const { searched, ap } = await lossOf({ ...FLOAT, frames });
    expect(ap).toBeLessThan(MAX_LOSS);
    expect(searched).toBeGreaterThan(MAX_LOSS);
  });

  it('is that of everything where a class is lost', async () => {
    const blind = mapDetections(FLOAT, (found) => (found.label === 'dog' ? null : found));
    expect((await lossOf(blind)).searched).toBe(1);
  });

  it('is that of everything where labels show nothing: what cannot be judged is not passed', async () => {
    const silent = { ...FLOAT, scoreThreshold: 0.95 };
    expect((await lossOf(silent, silent)).searched).toBe(1);
  });
});
