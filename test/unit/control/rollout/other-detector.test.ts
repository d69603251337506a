import { describe, expect, it } from 'vitest';
import { labelledVerdictOf } from '../../../../src/control/rollout/other-detector.ts';

const side = (name: string, family: string, reportedAp: number | null, weights = name) => ({
  ...{ label: `${name}@1`, model: { name }, weights: [weights], family, reportedAp, found: { classes: ['car'] } },
});
const nano = side('yolox-nano', 'yolox', 0.338);
const pico = side('picodet-s', 'gfl', 0.377);
const given = { controlAp: 0.3, candidateAp: 0.4, loss: -0.1, source: 'labels' };

describe('a candidate', () => {
  it('of the same weights must agree with the control, whatever labels say', () => {
    expect(labelledVerdictOf(nano, { ...nano, label: 'yolox-nano@2' }, given)).toBeUndefined();
  });

  it('of another family, with a higher reported AP, is judged by that', () => {
    expect(labelledVerdictOf(nano, pico, undefined)).toMatchObject({ controlAp: 0.338, candidateAp: 0.377 });
  });

  it('with a lower reported AP is refused, with what to do', () => {
    expect(() => labelledVerdictOf(pico, nano, undefined)).toThrow(
      /another detector.*0\.338.*0\.377.*sightline eval.*--eval/,
    );
    expect(labelledVerdictOf(pico, nano, given)).toBe(given);
  });

  it('is not judged by labels that compare it with another detector than the one in use', () => {
    expect(labelledVerdictOf(nano, pico, { ...given, control: 'yolox-nano' })).toMatchObject(given);
    const path = side('/models/yolox-nano.onnx', 'yolox', 0.338);
    expect(labelledVerdictOf(path, pico, { ...given, control: 'yolox-nano' })).toMatchObject(given);
    expect(() => labelledVerdictOf(nano, pico, { ...given, control: 'centernet' })).toThrow(
      /compare the candidate with centernet, and yolox-nano is in use/,
    );
  });

  it('with other classes, or of another task, is refused whatever labels say', () => {
    const others = { ...pico, found: { classes: ['face', 'car'] } };
    expect(() => labelledVerdictOf(nano, others, given)).toThrow(
      expect.objectContaining({
        code: 'MODEL_INCOMPATIBLE',
        message: expect.stringMatching(/picodet-s cannot take the place of yolox-nano: expected the same 1 classes/),
      }),
    );
    const points = { ...pico, found: { classes: ['car'], task: 'keypoints', keypoints: 5 } as const };
    expect(() => labelledVerdictOf(nano, points, undefined)).toThrow(/expected task boxes, received keypoints 5/);
  });

  it('of another family without labels is refused; a new training of the same family must agree', () => {
    expect(() => labelledVerdictOf(nano, side('mine.onnx', 'gfl', null), undefined)).toThrow(/sightline eval/);
    expect(labelledVerdictOf(nano, side('mine.onnx', 'yolox', null), undefined)).toBeUndefined();
  });
});
