import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { evaluatedVerdict, predictedGain } from '../../../src/cli/predicted-gain.ts';
import { temporaryFolder } from '../../support/cli.ts';

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  temporary = temporaryFolder();
});
afterEach(() => temporary.remove());

const write = (text: string): void => writeFileSync(join(temporary.path, 'result.json'), text);

it('is that of the report beside the pipeline, whatever else the report says', () => {
  write(JSON.stringify({ format: 9, speedup: { ratio: 1.9, interval: [1.7, 2.1], unit: 'x' }, best: {} }));
  expect(predictedGain(temporary.path)).toEqual({ ratio: 1.9, low: 1.7, high: 2.1 });
});

it.each([
  ['no file', null],
  ['no JSON', '{"speedup":'],
  ['no gain', '{}'],
  ['no interval', '{"speedup":{"ratio":2}}'],
  ['a gain outside of its interval', '{"speedup":{"ratio":3,"interval":[1,2]}}'],
  ['a gain of nothing', '{"speedup":{"ratio":0,"interval":[0,0]}}'],
  ['a text', '{"speedup":{"ratio":"2","interval":[1,3]}}'],
])('is unknown with %s', (_, text) => {
  if (text !== null) write(text);
  expect(predictedGain(temporary.path)).toBeNull();
});

it.each([
  ['no such file', null, /^--eval \S+gone\.json: cannot be read: (?!.*gone)/],
  ['no JSON', '{"models":', /^--eval \S+gone\.json: .*JSON/],
])('with %s, the path is named once', (_, text, says) => {
  const path = join(temporary.path, 'gone.json');
  if (text !== null) writeFileSync(path, text);
  expect(() => evaluatedVerdict(path, 'b')).toThrowError(
    expect.objectContaining({ code: 'COMMAND_INVALID', message: expect.stringMatching(says) }),
  );
});

const COMPARED = { reference: 'a', candidate: 'b', pictures: 80, loss: -0.125, interval: [-0.2, -0.05] };

/** The verdict on evaluations of a as control and b as candidate. */
function verdictOn(
  control: object,
  candidate: object,
  comparisons: readonly object[] = [COMPARED],
): ReturnType<typeof evaluatedVerdict> {
  const path = join(temporary.path, 'eval.json');
  writeFileSync(
    path,
    JSON.stringify({
      models: [
        { model: 'a', ...control },
        { model: 'b', ...candidate },
      ],
      comparisons,
    }),
  );
  return evaluatedVerdict(path, 'b');
}

it('compares the first figure of the task', () => {
  const [top, ap] = [
    { iouType: 'classes', figures: { top1: 0.5, top5: 0.9 } },
    { iouType: 'segm', figures: { AP: 0.25, AP50: 0.75 } },
  ];
  const better = { iouType: 'classes', figures: { top1: 0.625, top5: 0.7 } };
  expect(verdictOn(top, better)).toMatchObject({ controlAp: 0.5, candidateAp: 0.625, loss: -0.125 });
  expect(() => verdictOn(better, top)).toThrow(/b has top-1 0\.500, a 0\.625: it is worse/);
  expect(() => verdictOn(top, ap)).toThrow(/expected one --iou-type for both, received segm and classes/);
  expect(() => verdictOn(ap, { ...ap, figures: { AP: 0.2 } })).toThrow(/b has mask AP 0\.200, a 0\.250/);
});

it('has the pictures and the interval of the loss, whichever model was named first', () => {
  const [a, b] = [{ figures: { AP: 0.25 } }, { figures: { AP: 0.375 } }];
  expect(verdictOn(a, b)).toMatchObject({ pictures: 80, interval: { low: -0.2, high: -0.05 } });
  const turned = { ...COMPARED, reference: 'b', candidate: 'a', loss: 0.125, interval: [0.05, 0.2] };
  expect(verdictOn(a, b, [turned])).toMatchObject({ pictures: 80, interval: { low: -0.2, high: -0.05 } });
  expect(() => verdictOn(a, b, [])).toThrow(/expected a comparison of both with its interval/);
});
