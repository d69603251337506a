import { describe, expect, it } from 'vitest';
import type { Box, Detection } from '../../../../../src/base/core/detection.ts';
import { encodeCounts } from '../../../../../src/base/geometry/rle.ts';
import { compareFrame, type ScoreRule } from '../../../../../src/fleet/control/rollout/shadow-agreement.ts';

const RULE: ScoreRule = { controlThreshold: 0.5, candidateThreshold: 0.5, scoreSlack: 0.1 };

function found(box: Box, score = 0.9, label = 'person'): Detection {
  return { classId: 0, label, score, box };
}

/** Compares boxes, each of which is published if its score reaches the threshold of its side. */
function compare(control: readonly Detection[], candidate: readonly Detection[], rule = RULE) {
  const [own, other] = [
    { boxes: control, least: rule.controlThreshold },
    { boxes: candidate, least: rule.candidateThreshold },
  ].map(({ boxes, least }) => ({
    published: boxes.filter(({ score }) => score >= least).map((one) => ({ ...one, box: [...one.box] as Box })),
    weak: boxes.filter(({ score }) => score < least).map((one) => ({ ...one, box: [...one.box] as Box })),
  }));
  const frame = { control: own!.published, candidate: other!.published };
  const weak = { control: own!.weak, candidate: other!.weak };
  const boxes = compareFrame({ stream: 'gate', frame: 1, ...frame, weak }, rule);
  const [controls, candidates] = [
    boxes.filter(({ side }) => side === 'control'),
    boxes.filter(({ side }) => side === 'candidate'),
  ];
  return {
    boxes: controls.length,
    missed: controls.filter(({ isMissing }) => isMissing).length,
    candidateBoxes: candidates.length,
    extra: candidates.filter(({ isMissing }) => isMissing).length,
  };
}

describe('compareFrame', () => {
  const one = found([0, 0, 100, 100]);
  const at = (score: number): Detection => found([0, 0, 100, 100], score);

  it('asks for each published box on the other side', () => {
    expect(compare([one], [one])).toMatchObject({ boxes: 1, missed: 0, candidateBoxes: 1, extra: 0 });
    expect(compare([one], [])).toMatchObject({ boxes: 1, missed: 1, candidateBoxes: 0, extra: 0 });
    expect(compare([], [one])).toMatchObject({ boxes: 0, missed: 0, candidateBoxes: 1, extra: 1 });
    expect(compare([], [])).toMatchObject({ boxes: 0, missed: 0, candidateBoxes: 0, extra: 0 });
  });

  it('takes boxes for the same from an IoU of 0.5', () => {
    // 100 x 100 against 100 x 50 inside of it: 5000 / 10000.
    expect(compare([one], [found([0, 0, 100, 50])])).toMatchObject({ missed: 0, extra: 0 });
    expect(compare([one], [found([0, 0, 100, 49])])).toMatchObject({ missed: 1, extra: 1 });
  });

  it('compares persons of two pose models by their keypoints, masks by their pixels', () => {
    const pose = (shift: number): Detection => ({
      ...one,
      keypoints: Array.from({ length: 17 }, (_, i) => [10 + 5 * i + shift, 50, 0.9]).flat(),
    });
    expect(compare([pose(0)], [pose(1)])).toMatchObject({ missed: 0, extra: 0 });
    // The same box, and every keypoint 40 pixels beside it.
    expect(compare([pose(0)], [pose(40)])).toMatchObject({ missed: 1, extra: 1 });
    // Runs of columns of 100 pixels: the left and the right half of the same box.
    const half = (runs: string): Detection => ({ ...one, mask: { size: [100, 100], counts: runs } });
    const [left, right] = [encodeCounts([0, 5000, 5000]), encodeCounts([5000, 5000])];
    expect(compare([half(left)], [half(left)])).toMatchObject({ missed: 0, extra: 0 });
    expect(compare([half(left)], [half(right)])).toMatchObject({ missed: 1, extra: 1 });
  });

  it('does not take one class for another', () => {
    expect(compare([one], [found([0, 0, 100, 100], 0.9, 'dog')])).toMatchObject({ missed: 1, extra: 1 });
  });

  it('finds each box once: two boxes on one object are one too many', () => {
    expect(compare([one], [one, found([2, 2, 100, 100], 0.8)])).toMatchObject({
      missed: 0,
      candidateBoxes: 2,
      extra: 1,
    });
  });

  it('asks for weak published boxes too: what is dim on a camera counts as well', () => {
    expect(compare([at(0.5)], [])).toMatchObject({ boxes: 1, missed: 1 });
  });

  it.each([
    ['one side is just above the threshold and the other just below', 0.52, 0.47, 0],
    ['the score falls by more than the slack', 0.58, 0.47, 1],
    ['the score is far above the threshold and falls below', 0.7, 0.49, 1],
    ['the score falls, but the box is still published', 0.9, 0.5, 0],
  ])('of a box, in both directions: %s', (_, score, other, lost) => {
    expect(compare([at(score)], [at(other)]).missed).toBe(lost);
    expect(compare([at(other)], [at(score)]).extra).toBe(lost);
  });

  it('a candidate with a much higher threshold lacks the boxes that it no longer publishes', () => {
    const rule = { ...RULE, controlThreshold: 0.3, candidateThreshold: 0.8 };
    expect(compare([at(0.75)], [at(0.75)], rule)).toMatchObject({ boxes: 1, missed: 1 });
    expect(compare([at(0.35)], [at(0.35)], { ...rule, candidateThreshold: 0.4 })).toMatchObject({
      boxes: 1,
      missed: 0,
    });
  });

  it('of an older host, which sends no weak boxes, a box near the threshold is missed', () => {
    const frame = { stream: 'gate', frame: 1, control: [{ ...at(0.5), box: [0, 0, 9, 9] as Box }], candidate: [] };
    expect(compareFrame(frame, RULE)).toMatchObject([{ label: 'person', side: 'control', isMissing: true }]);
  });
});
