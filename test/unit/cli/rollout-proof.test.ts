import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { evaluatedVerdict, optimisedPipeline, settledClasses } from '../../../src/cli/rollout-proof.ts';
import { applyToText } from '../../../src/lab/optimize/levers/apply-configuration.ts';
import type { Configuration } from '../../../src/lab/optimize/result.ts';
import { parsePipeline } from '../../../src/serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../../../src/serve/pipeline/pipeline.ts';
import { temporaryFolder } from '../../support/cli.ts';
import { BEST, CENTERNET_BF16 } from '../../support/sample-steps.ts';

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  temporary = temporaryFolder();
});
afterEach(() => temporary.remove());

const write = (text: string): void => writeFileSync(join(temporary.path, 'result.json'), text);

/** A pipeline with the settings of a configuration, as optimize writes it; its streams may be others. */
const pipelineOf = (values: Configuration): PipelineConfig =>
  parsePipeline(applyToText(PLAIN, values, 'plain'), 'best.yaml');
const PLAIN = 'name: p\ndescription: d\nstreams:\n  - { id: gate, source: "rtsp://camera/1" }\n';
const HANDBAGS = { kind: 'class', subject: 'handbag', text: 'handbag: today 121, this one none' };
const REPORT = {
  outcome: 'faster',
  speedup: { ratio: 1.9, interval: [1.7, 2.1], unit: 'x' },
  quality: { kind: 'ap', loss: 0.001, interval: [-0.01, 0.012], pictures: 75 },
  best: { configuration: CENTERNET_BF16, fps: 41 },
  faster: {
    configuration: BEST,
    speedup: { ratio: 12, interval: [11, 13] },
    quality: { kind: 'ap', loss: -0.04, interval: [-0.08, 0.01], pictures: 75 },
    differences: [HANDBAGS],
  },
};

it('a report says of each of its two pipelines what was judged of that one', () => {
  write(JSON.stringify(REPORT));
  expect(optimisedPipeline(temporary.path, pipelineOf(CENTERNET_BF16))).toMatchObject({
    predicted: { ratio: 1.9, low: 1.7, high: 2.1 },
    labelled: { loss: 0.001, pictures: 75 },
    isFaster: false,
  });
  expect(optimisedPipeline(temporary.path, pipelineOf(BEST))).toMatchObject({
    predicted: { ratio: 12, low: 11, high: 13 },
    labelled: { loss: -0.04, interval: { low: -0.08, high: 0.01 } },
    isFaster: true,
  });
});

it.each([
  ['detector', { model: 'picodet-s' }],
  ['input size', { inputSize: '320x320' }],
  ['precision', { precision: 'int8' }],
  ['skipping', { trackBetween: 3 }],
] as const)('a pipeline with another %s than the report is not what was judged', (_, change) => {
  write(JSON.stringify(REPORT));
  expect(optimisedPipeline(temporary.path, pipelineOf({ ...BEST, ...change }))).toBeNull();
});

it('a best that is not proven has no verdict', () => {
  write(JSON.stringify({ ...REPORT, outcome: 'quality open' }));
  expect(optimisedPipeline(temporary.path, pipelineOf(CENTERNET_BF16))).toMatchObject({ labelled: null });
});

it.each([
  ['no file', null],
  ['no JSON', '{"speedup":'],
  ['no configuration', '{"outcome":"faster","speedup":{"ratio":2,"interval":[1,3]}}'],
])('nothing is known with %s', (_, text) => {
  if (text !== null) write(text);
  expect(optimisedPipeline(temporary.path, pipelineOf(CENTERNET_BF16))).toBeNull();
});

it.each([
  ['no interval', { ratio: 2 }],
  ['a gain outside of its interval', { ratio: 3, interval: [1, 2] }],
  ['a gain of nothing', { ratio: 0, interval: [0, 0] }],
  ['a text', { ratio: '2', interval: [1, 3] }],
])('the gain is unknown with %s', (_, speedup) => {
  write(JSON.stringify({ ...REPORT, speedup }));
  expect(optimisedPipeline(temporary.path, pipelineOf(CENTERNET_BF16))).toMatchObject({ predicted: null });
});

/** A review of one class of which today's detector reports twelve objects, and answers about all of them. */
function review(answer: 'yes' | 'no'): void {
  const objects = Array.from({ length: 12 }, (_, i) => ({
    id: `${i}`,
    by: 'today',
    frames: 5,
    atUs: i * 1_000_000,
    box: [i, 0, 10, 10],
    picture: `review/${i}.jpg`,
  }));
  const file = {
    kind: 'sightline-review',
    version: 1,
    subject: 's',
    createdAt: '2026-01-01T00:00:00.000Z',
    candidate: 'c',
    recording: 'r',
    size: { width: 320, height: 180 },
    allowed: 0.1,
    others: [],
    classes: [{ label: 'handbag', text: 't', both: 0, objects }],
    frames: [],
  };
  writeFileSync(join(temporary.path, 'review.json'), JSON.stringify(file));
  const answers = objects.map(({ atUs, box }) => ({ label: 'handbag', recording: 'r', atUs, box, answer }));
  const kept = { kind: 'sightline-answers', version: 1, answers };
  writeFileSync(join(temporary.path, 'answers.json'), JSON.stringify(kept));
}

it('people settle the classes that they call wrong, and refuse a pipeline that loses true objects', async () => {
  expect(await settledClasses(temporary.path)).toEqual([]);
  review('no');
  // Answers stay where a later search asks nothing.
  rmSync(join(temporary.path, 'review.json'));
  expect(await settledClasses(temporary.path)).toEqual([]);
  review('no');
  expect(await settledClasses(temporary.path)).toEqual(['handbag']);
  expect(await settledClasses(temporary.path, join(temporary.path, 'answers.json'))).toEqual(['handbag']);
  review('yes');
  await expect(settledClasses(temporary.path)).rejects.toMatchObject({
    code: 'COMMAND_INVALID',
    message: expect.stringMatching(/^by the answers this pipeline is worse, so it is not rolled out: handbag: /),
  });
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
