import { describe, expect, it } from 'vitest';
import { labelledVerdictOf } from '../../../src/fleet/control/rollout/other-detector.ts';

const { needOf, verdictOf } = await import(new URL('../../../web/rollout-labels.js', import.meta.url).href);

const CLASSES = ['person', 'car'];
const model = (name: string, family: string, reportedAp: number | null, labels = CLASSES, reportedOn = 'same') => ({
  name,
  family,
  reportedAp,
  reportedOn,
  labels,
  inputWidth: 1,
  inputHeight: 1,
});

describe('what the form asks for', () => {
  const control = model('old', 'yolox', 0.3);
  it.each([
    ['a better one', control, model('a', 'deim', 0.4)],
    ['a worse one', control, model('b', 'deim', 0.2)],
    ['one of unknown quality', control, model('c', 'deim', null)],
    ['a better one by other labels', control, model('f', 'deim', 0.4, CLASSES, 'other')],
    ['another training of the same network', control, model('d', 'yolox', null)],
    ['one with other classes', control, model('e', 'yolox', 0.4, ['face'])],
  ])('is what the host demands: %s', (_, now, next) => {
    const side = ({ name, family, reportedAp, reportedOn, labels }: typeof control) => ({
      label: name,
      model: { name },
      family,
      weights: [name],
      found: { classes: labels },
      reported:
        reportedAp === null
          ? null
          : {
              ap: reportedAp,
              apByFfmpeg: null,
              f16Loss: null,
              on: 'pictures',
              measured: { labels: reportedOn, pictures: 100, weights: [name] },
            },
    });
    let demanded = 'nothing';
    try {
      labelledVerdictOf(side(now), side(next), undefined);
    } catch (error) {
      demanded = (error as { code: string }).code === 'MODEL_INCOMPATIBLE' ? 'other' : 'labels';
    }
    expect(needOf(now, next)).toBe(demanded);
  });
});

it('reads figures of both detectors, and says what is wrong with a file', () => {
  const figures = (old: number, mine: number): string =>
    JSON.stringify({
      models: [
        { model: 'old', figures: { AP: old } },
        { model: 'mine', figures: { AP: mine } },
      ],
      comparisons: [{ reference: 'mine', candidate: 'old', pictures: 40, interval: [0.1, 0.4] }],
    });
  expect(verdictOf(figures(0.25, 0.5), 'eval.json', '/models/mine.onnx')).toEqual({
    pictures: 40,
    interval: { low: -0.4, high: -0.1 },
    controlAp: 0.25,
    candidateAp: 0.5,
    loss: -0.25,
    source: '"sightline eval" of eval.json',
    control: 'old',
  });
  expect(() => verdictOf(figures(0.5, 0.25), 'eval.json', 'mine')).toThrow('mine has 0.250, old 0.500: it is worse');
  expect(() => verdictOf('no', 'eval.json', 'mine')).toThrow('mine and the one in use, received none.');
});
