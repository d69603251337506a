import { describe, expect, it } from 'vitest';
import { labelledVerdictOf } from '../../../../../src/fleet/control/rollout/other-detector.ts';

const LABELS = { street: 'a'.repeat(64), yard: 'b'.repeat(64) };

/** @param of - of what its manifest says, the pictures, their number and the weights: a difference from a hundred of the street. */
const side = (name: string, family: string, ap: number | null, of: Partial<Measured> & { on?: string } = {}) => {
  const { on = '100 pictures of the street', ...measured } = of;
  const reported =
    ap === null
      ? null
      : {
          ap,
          apByFfmpeg: null,
          f16Loss: null,
          on,
          measured: { pictures: 100, labels: LABELS.street, weights: [name], ...measured },
        };
  return { label: `${name}@1`, model: { name }, weights: [name], family, reported, found: { classes: ['car'] } };
};
type Measured = { pictures: number; labels: string; weights: string[] };
const nano = side('yolox-nano', 'yolox', 0.338);
const pico = side('picodet-s', 'gfl', 0.377);
const given = {
  controlAp: 0.3,
  candidateAp: 0.4,
  loss: -0.1,
  source: 'labels',
  pictures: 100,
  interval: { low: -0.15, high: -0.05 },
};

describe('a candidate', () => {
  it('of the same weights must agree with the control, whatever labels say', () => {
    expect(labelledVerdictOf(nano, { ...nano, label: 'yolox-nano@2' }, given)).toBeUndefined();
  });

  it('of another family, with a higher reported AP, is judged by that', () => {
    expect(labelledVerdictOf(nano, pico, undefined)).toEqual({
      controlAp: 0.338,
      candidateAp: 0.377,
      loss: expect.closeTo(-0.039),
      pictures: 100,
      source: 'the manifests of picodet-s and yolox-nano, measured on the same 100 pictures of the street',
    });
  });

  it.each([
    [
      'on other pictures',
      { labels: LABELS.yard, on: '100 pictures of a yard' },
      /picodet-s reports AP 0\.61 on 100 pictures of a yard; these are not the same labelled pictures/,
    ],
    [
      'on ten pictures of its own',
      { labels: LABELS.yard, pictures: 10, on: '10 pictures' },
      /on 10 pictures; these are not the same/,
    ],
    [
      'with other weights, as a copy of these lines does',
      { weights: ['yolox-nano'] },
      /that of picodet-s was measured with other weights/,
    ],
  ])('whose AP was measured %s is not judged by that', (_, of, why) => {
    expect(() => labelledVerdictOf(nano, side('picodet-s', 'gfl', 0.61, of), undefined)).toThrow(why);
    // Another training of the same network must agree instead.
    expect(labelledVerdictOf(nano, side('yolox-mine', 'yolox', 0.61, of), undefined)).toBeUndefined();
  });

  it('needs a hundred pictures where nobody knows an interval', () => {
    const few = { pictures: 99 };
    expect(() =>
      labelledVerdictOf(side('yolox-nano', 'yolox', 0.3, few), side('picodet-s', 'gfl', 0.4, few), undefined),
    ).toThrow(/99 pictures are too few/);
  });

  it('is judged by labels only with enough pictures, and an interval that excludes a large loss', () => {
    const { pictures: _, ...without } = given;
    for (const [weak, why] of [
      [without, /expected the number of pictures and the interval/],
      [{ ...given, pictures: 10 }, /10 pictures are too few, expected at least 30/],
      [{ ...given, interval: { low: -0.3, high: 0.1 } }, /between -0\.300 and 0\.100 AP/],
    ] as const)
      expect(() => labelledVerdictOf(nano, pico, weak)).toThrow(why);
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
