import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { type Figures, scoreDetections, scoreResults } from '../../../../src/network/evaluate/average-precision.ts';
import type { CocoAnnotations, CocoResult } from '../../../../src/network/evaluate/coco-dataset.ts';
import { readAnnotations, readResults } from '../../../../src/network/evaluate/coco-files.ts';
import type { IouType } from '../../../../src/network/evaluate/coco-rules.ts';
import { comparePrecision } from '../../../../src/network/evaluate/precision-loss.ts';
import { sharedDir } from '../../../support/shared.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-figures-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
}

/** Random data sets, and the figures that pycocotools 2.0.11 gives; of oriented boxes with the IoU of shapely 2.1. */
interface Case {
  readonly seed: number;
  readonly kind: IouType;
  readonly gt: object;
  readonly results: readonly object[];
  readonly figures: Figures;
}

describe('random data with crowds, ties, empty masks, polygons and more detections than count', () => {
  const cases = JSON.parse(readFileSync(new URL('task-figures.json', import.meta.url), 'utf8')) as Case[];

  it.each(cases.map((one) => [one.kind, one.seed, one] as const))('%s of seed %i', async (kind, _, one) => {
    const annotations = await readAnnotations(file('gt.json', one.gt), kind);
    const figures = scoreResults(annotations, await readResults(file('results.json', one.results), kind));
    expect(Object.keys(figures)).toEqual(Object.keys(one.figures));
    for (const [name, value] of Object.entries(one.figures)) expect(figures[name], name).toBeCloseTo(value, 9);
  });
});

describe.skipIf(sharedDir === null)('results of real models (needs the shared folder)', () => {
  const expected = (name: string): string => {
    const path = join(folder, 'expected.json');
    writeFileSync(path, gunzipSync(readFileSync(`${sharedDir}/tasks/expected/${name}.json.gz`)));
    return path;
  };
  const instances = `${sharedDir}/coco-val-100/instances.json`;
  const persons = `${sharedDir}/tasks/person_keypoints_shared.json`;

  // From pycocotools 2.0.11.
  it.each<[IouType, string, string, readonly number[]]>([
    [
      'bbox',
      'yolo11n-seg.coco-val-100',
      instances,
      [
        0.419103310114, 0.584341493521, 0.449954539549, 0.235209474293, 0.44105047215, 0.589686313175, 0.359367783557,
        0.549855023871, 0.573028171755, 0.304385652767, 0.590206612779, 0.776955467372,
      ],
    ],
    [
      'segm',
      'yolo11n-seg.coco-val-100',
      instances,
      [
        0.354698776926, 0.542788758892, 0.385455592569, 0.171191970262, 0.358266395674, 0.531558415279, 0.320419828999,
        0.443606088538, 0.459627673525, 0.215024559637, 0.484066009813, 0.68171186067,
      ],
    ],
    [
      'bbox',
      'yolo11n-pose.keypoints-shared',
      persons,
      [
        0.367438734187, 0.47041593623, 0.401629918703, 0.109954048228, 0.59871807773, 0.680417087375, 0.264634146341,
        0.432926829268, 0.489024390244, 0.158974358974, 0.758823529412, 0.807692307692,
      ],
    ],
    [
      'keypoints',
      'yolo11n-pose.keypoints-shared',
      persons,
      [
        0.464994797564, 0.696048541925, 0.594222185213, 0.44883176354, 0.479025124092, 0.553658536585, 0.80487804878,
        0.658536585366, 0.58125, 0.536,
      ],
    ],
  ])('%s of %s has the figures of pycocotools', async (iouType, name, truth, figures) => {
    const own = scoreResults(await readAnnotations(truth, iouType), await readResults(expected(name), iouType));
    for (const [i, value] of Object.values(own).entries())
      expect(value, Object.keys(own)[i]).toBeCloseTo(figures[i]!, 9);
  });
});

/** Pictures 1, 2, ... with these categories as labels. */
function labelled(...labels: (readonly number[])[]): CocoAnnotations {
  const annotations = labels.flatMap((ids, i) =>
    ids.map((categoryId) => ({ imageId: i + 1, categoryId, box: [0, 0, 0, 0], areaPx: 0, isCrowd: false }) as const),
  );
  return {
    path: 'labels.json',
    iouType: 'classes',
    annotations,
    images: labels.map((_, i) => ({ id: i + 1, fileName: `${i + 1}.jpg` })),
    categories: [1, 2, 3, 4, 5, 6, 7].map((id) => ({ id, name: `class ${id}` })),
  };
}

/** Classes that are found in a picture, with scores that fall in this order. */
function found(imageId: number, ...categories: readonly number[]): CocoResult[] {
  return categories.map((categoryId, i) => ({ imageId, categoryId, box: [0, 0, 0, 0], score: 0.9 - 0.1 * i }));
}

describe('classes of whole pictures', () => {
  it('are right as first, or among the first five, of the pictures that have a label', () => {
    const annotations = labelled([1], [2], [3], [4], []);
    const results = [...found(1, 1, 2), ...found(2, 1, 3, 4, 5, 2), ...found(3, 1, 2, 4, 5, 6, 3), ...found(5, 1)];
    expect(scoreResults(annotations, results)).toEqual({ top1: 1 / 4, top5: 2 / 4 });
  });

  it('take equal scores in the order given, and any label of a picture', () => {
    const tied = (ids: readonly number[]) => found(1, ...ids).map((result) => ({ ...result, score: 0.5 }));
    expect(scoreResults(labelled([2]), tied([1, 2]))).toEqual({ top1: 0, top5: 1 });
    expect(scoreResults(labelled([2]), tied([2, 1]))).toEqual({ top1: 1, top5: 1 });
    expect(scoreResults(labelled([7, 2]), tied([2, 1]))).toEqual({ top1: 1, top5: 1 });
  });

  it('are -1 without a label, and refuse results of other pictures', () => {
    expect(scoreResults(labelled([]), found(1, 1))).toEqual({ top1: -1, top5: -1 });
    expect(() => scoreResults(labelled([1]), found(2, 1))).toThrow(/\[0\]\.image_id: .* received 2/);
  });

  it('lose by a bootstrap over pictures, overall and by class', async () => {
    const labels = Array.from({ length: 100 }, (_, i) => [1 + (i % 2)]);
    const annotations = labelled(...labels);
    const reference = labels.flatMap(([label], i) => found(i + 1, label!));
    // Every tenth picture, all of class 1, is wrong.
    const candidate = labels.flatMap(([label], i) => found(i + 1, i % 10 === 0 ? 7 : label!));
    const loss = await comparePrecision(annotations, reference, candidate, { seed: 1, resamples: 400 });
    expect(loss.overall).toMatchObject({ reference: 1, candidate: 0.9, loss: expect.closeTo(0.1) });
    // The deviation of a share of 0.1 in 100 is 0.03.
    expect(loss.overall.standardError).toBeGreaterThan(0.025);
    expect(loss.overall.standardError).toBeLessThan(0.035);
    expect(loss).toMatchObject({ bySize: [], pictures: 100 });
    expect(loss.byClass).toMatchObject([
      { label: 'class 1', objects: 50, units: 50, candidate: 0.8 },
      { label: 'class 2', objects: 50, units: 50, candidate: 1 },
    ]);
  });
});

describe('what is matched', () => {
  const box = { imageId: 1, categoryId: 1, box: [0, 0, 4, 4] } as const;
  const mask = { size: [4, 4], counts: '05;' } as const;
  const dataset = (iouType: IouType, more: object): CocoAnnotations => ({
    path: 'a.json',
    iouType,
    images: [{ id: 1, fileName: '1.jpg', size: [4, 4] }],
    categories: [{ id: 1, name: 'person' }],
    annotations: [{ ...box, areaPx: 16, isCrowd: false, ...more }],
  });

  it.each<[string, IouType, object, object, RegExp]>([
    ['a result without a mask', 'segm', { mask }, {}, /results: \[0\]\.segmentation: .* received nothing/],
    ['an object without a mask', 'segm', {}, { mask }, /a\.json: annotations\[0\]\.segmentation: .* received nothing/],
    [
      'a mask of another size',
      'segm',
      { mask },
      { mask: { size: [2, 8], counts: '0@' } },
      /size: .*\[4, 4\], received/,
    ],
    ['a result without points', 'keypoints', { keypoints: [] }, {}, /\[0\]\.keypoints: .* received nothing/],
    ['a result without an angle', 'oriented-boxes', { angle: 1 }, {}, /\[0\]\.angle: .* received nothing/],
  ])('refuses %s', (_, iouType, object, result, message) => {
    expect(() => scoreResults(dataset(iouType, object), [{ ...box, score: 0.5, ...result }])).toThrowError(
      expect.objectContaining({ code: 'DATASET_INVALID', message: expect.stringMatching(message) }),
    );
  });

  it('is never boxes where keypoints or classes are asked for', () => {
    for (const iouType of ['keypoints', 'classes'] as const)
      expect(() => scoreDetections(dataset(iouType, {}), [])).toThrow(/expected annotations of boxes or masks/);
  });
});
