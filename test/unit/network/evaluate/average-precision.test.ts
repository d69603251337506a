import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { COCO_FIGURES, type CocoFigures, scoreDetections } from '../../../../src/network/evaluate/average-precision.ts';
import type {
  CocoAnnotation,
  CocoAnnotations,
  CocoBox,
  CocoResult,
} from '../../../../src/network/evaluate/coco-dataset.ts';
import { readAnnotations, readResults } from '../../../../src/network/evaluate/coco-files.ts';
import { sharedDir } from '../../../support/shared.ts';

/** In COCO's large range: 100 x 100 is above 96 x 96. */
const LARGE: CocoBox = [0, 0, 100, 100];
const ELSEWHERE: CocoBox = [500, 500, 100, 100];

function object(box: CocoBox, more: Partial<CocoAnnotation> = {}): CocoAnnotation {
  return { imageId: 1, categoryId: 1, box, areaPx: box[2] * box[3], isCrowd: false, ...more };
}

function found(box: CocoBox, score: number, more: Partial<CocoResult> = {}): CocoResult {
  return { imageId: 1, categoryId: 1, box, score, ...more };
}

function dataset(...annotations: CocoAnnotation[]): CocoAnnotations {
  return {
    path: 'tiny.json',
    images: [2, 1].map((id) => ({ id, fileName: `${id}.jpg` })),
    categories: [
      { id: 1, name: 'person' },
      { id: 3, name: 'car' },
    ],
    annotations,
  };
}

function score(annotations: CocoAnnotation[], results: CocoResult[]): CocoFigures {
  return scoreDetections(dataset(...annotations), results);
}

describe('average precision, computed by hand', () => {
  it('is 1 for one object found exactly, and -1 for area ranges without an object', () => {
    const figures = score([object(LARGE)], [found(LARGE, 0.5)]);
    expect(figures.AP).toBeCloseTo(1, 12);
    expect(figures.APl).toBeCloseTo(1, 12);
    expect(figures).toMatchObject({ AR1: 1, AR10: 1, AR100: 1, ARl: 1, APs: -1, APm: -1, ARs: -1, ARm: -1 });
    expect(Object.keys(figures)).toEqual([...COCO_FIGURES]);
  });

  it('is 0 if there are objects and no detections, -1 if there are no objects', () => {
    expect(score([object(LARGE)], [])).toMatchObject({ AP: 0, AP50: 0, AR100: 0, APs: -1 });
    expect(score([], [])).toMatchObject({ AP: -1, AP50: -1, AR1: -1 });
    expect(score([], [found(LARGE, 0.9)])).toMatchObject({ AP: -1, AR100: -1 });
  });

  it('halves if a false positive has the higher score, and is unchanged if it has the lower one', () => {
    const wrongFirst = score([object(LARGE)], [found(ELSEWHERE, 0.9), found(LARGE, 0.5)]);
    expect(wrongFirst.AP).toBeCloseTo(1 / 2, 12);
    expect(wrongFirst).toMatchObject({ AR1: 0, AR10: 1 });
    const wrongLast = score([object(LARGE)], [found(ELSEWHERE, 0.1), found(LARGE, 0.5)]);
    expect(wrongLast.AP).toBeCloseTo(1, 12);
  });

  it('takes equal scores in the order of the file', () => {
    expect(score([object(LARGE)], [found(ELSEWHERE, 0.5), found(LARGE, 0.5)]).AP).toBeCloseTo(1 / 2, 12);
    expect(score([object(LARGE)], [found(LARGE, 0.5), found(ELSEWHERE, 0.5)]).AP).toBeCloseTo(1, 12);
  });

  it('takes equal scores of different images in the order of image ids, not of the file', () => {
    const objects = [object(LARGE, { imageId: 1 })];
    const results = [found(LARGE, 0.5, { imageId: 2 }), found(LARGE, 0.5, { imageId: 1 })];
    expect(score(objects, results).AP).toBeCloseTo(1, 12);
  });

  it('counts the recall points reached: one of two objects gives 51 of 101', () => {
    const figures = score([object(LARGE), object(ELSEWHERE)], [found(LARGE, 0.9)]);
    expect(figures.AP).toBeCloseTo(51 / 101, 12);
    expect(figures.AR100).toBeCloseTo(1 / 2, 12);
  });

  it('uses the best precision at that recall or a higher one', () => {
    // Hit, miss, hit on two objects: precision 1 up to recall 0.50, then 2/3 up to recall 1.
    const results = [found(LARGE, 0.9), found([900, 0, 10, 10], 0.8), found(ELSEWHERE, 0.7)];
    const figures = score([object(LARGE), object(ELSEWHERE)], results);
    expect(figures.AP).toBeCloseTo((51 + 50 * (2 / 3)) / 101, 12);
  });

  it('uses a better precision at a higher recall for lower recall as well', () => {
    // Miss, hit, hit on two objects: precision 1/2 and then 2/3, which stands for all recall points.
    const results = [found([900, 0, 10, 10], 0.9), found(LARGE, 0.8), found(ELSEWHERE, 0.7)];
    expect(score([object(LARGE), object(ELSEWHERE)], results).AP).toBeCloseTo(2 / 3, 12);
  });

  it('matches at an IoU of exactly the threshold', () => {
    // 70 of 100 columns: IoU 0.70, which reaches 0.50 0.55 0.60 0.65 0.70, five of ten thresholds.
    const figures = score([object(LARGE)], [found([0, 0, 70, 100], 0.9)]);
    expect(figures.AP).toBeCloseTo(5 / 10, 12);
    expect(figures).toMatchObject({ AP75: 0, AR100: 0.5 });
    expect(figures.AP50).toBeCloseTo(1, 12);
  });

  it('counts a second detection of the same object as false', () => {
    const results = [found(LARGE, 0.9), found(LARGE, 0.8), found(ELSEWHERE, 0.7)];
    const figures = score([object(LARGE), object(ELSEWHERE)], results);
    expect(figures.AP).toBeCloseTo((51 + 50 * (2 / 3)) / 101, 12);
  });

  it('matches each detection with the object that it overlaps most, and no object twice', () => {
    const left: CocoBox = [0, 0, 100, 100];
    const right: CocoBox = [20, 0, 100, 100];
    // Both detections overlap both objects with an IoU of at least 80 / 120.
    const figures = score([object(left), object(right)], [found(right, 0.9), found(left, 0.8)]);
    expect(figures.AP).toBeCloseTo(1, 12);
  });

  it('is the mean over the categories that have an object', () => {
    const objects = [object(LARGE), object(LARGE, { categoryId: 3 })];
    expect(score(objects, [found(LARGE, 0.9)]).AP).toBeCloseTo(1 / 2, 12);
    expect(score([object(LARGE)], [found(LARGE, 0.9), found(LARGE, 0.9, { categoryId: 3 })]).AP).toBeCloseTo(1, 12);
  });

  it('never matches a detection with an object of another category or image', () => {
    expect(score([object(LARGE, { categoryId: 3 })], [found(LARGE, 0.9)]).AP).toBe(0);
    expect(score([object(LARGE, { imageId: 2 })], [found(LARGE, 0.9)]).AP).toBe(0);
  });

  it('considers only the best 100 detections per image and category', () => {
    const wrong = Array.from({ length: 100 }, () => found(ELSEWHERE, 0.9));
    expect(score([object(LARGE)], [...wrong, found(LARGE, 0.5)])).toMatchObject({ AP: 0, AR100: 0 });
    expect(score([object(LARGE)], [...wrong.slice(1), found(LARGE, 0.5)]).AR100).toBe(1);
  });
});

describe('crowds and area ranges', () => {
  const crowd = object([0, 0, 300, 300], { isCrowd: true });

  it('any number of detections inside a crowd are ignored', () => {
    const results = [found([10, 10, 50, 50], 0.95), found([100, 100, 50, 50], 0.94), found(ELSEWHERE, 0.5)];
    const figures = score([crowd, object(ELSEWHERE)], results);
    expect(figures.AP).toBeCloseTo(1, 12);
    expect(figures.AR100).toBe(1);
  });

  it('a crowd alone is not an object to find', () => {
    expect(score([crowd], [found([10, 10, 50, 50], 0.9)])).toMatchObject({ AP: -1, AR100: -1 });
  });

  it('a detection mostly outside the crowd is false', () => {
    const figures = score([crowd, object(ELSEWHERE)], [found([270, 0, 100, 100], 0.9), found(ELSEWHERE, 0.5)]);
    expect(figures.AP).toBeCloseTo(1 / 2, 12);
  });

  it('a detection prefers a counted object to a crowd with a larger overlap', () => {
    const figures = score([crowd, object([0, 0, 100, 95])], [found(LARGE, 0.9)]);
    expect(figures.AP50).toBeCloseTo(1, 12);
  });

  it('assigns objects to ranges by the area of their outline, both ends inclusive', () => {
    const on = score([object([0, 0, 40, 40], { areaPx: 32 * 32 })], [found([0, 0, 40, 40], 0.9)]);
    expect(on.APs).toBeCloseTo(1, 12);
    expect(on.APm).toBeCloseTo(1, 12);
    expect(on.APl).toBe(-1);
    const above = score([object([0, 0, 40, 40], { areaPx: 32 * 32 + 1 })], [found([0, 0, 40, 40], 0.9)]);
    expect(above.APs).toBe(-1);
  });

  it('ignores unmatched detections of another size, and counts those of the same size as false', () => {
    const small: CocoBox = [0, 0, 20, 20];
    const figures = score([object(small)], [found(ELSEWHERE, 0.9), found(small, 0.5)]);
    expect(figures.APs).toBeCloseTo(1, 12);
    expect(figures.AP).toBeCloseTo(1 / 2, 12);
    const sameSize = score([object(small)], [found([200, 200, 20, 20], 0.9), found(small, 0.5)]);
    expect(sameSize.APs).toBeCloseTo(1 / 2, 12);
  });
});

describe('results of another data set', () => {
  it('are rejected with the first unknown image id and its place', () => {
    const results = [found(LARGE, 0.9), found(LARGE, 0.9, { imageId: 77 }), found(LARGE, 0.9, { imageId: 78 })];
    expect(() => score([object(LARGE)], results)).toThrowError(
      expect.objectContaining({
        code: 'DATASET_INVALID',
        message: expect.stringMatching(
          /\[1\]\.image_id.*2 images of tiny\.json.*unknown ids: 2.*received 77 \(number\)/,
        ),
      }),
    );
  });

  it('are rejected if no category is known; if some are, unknown ones are skipped', () => {
    expect(() => score([object(LARGE)], [found(LARGE, 0.9, { categoryId: 0 })])).toThrowError(/category_id/);
    const some = [found(LARGE, 0.9), found(ELSEWHERE, 0.99, { categoryId: 0 })];
    expect(score([object(LARGE)], some).AP).toBeCloseTo(1, 12);
  });
});

describe.skipIf(sharedDir === null)('against pycocotools (needs the shared folder)', () => {
  const folder = `${sharedDir}/coco-val-100`;
  const models = ['centernet_human', 'deimv2_femto_416', 'fastestdet', 'picodet_s_416', 'yolox_nano_416'];

  it.each([...models, 'yolox_nano_640'])('all twelve figures of %s agree to 1e-9', async (model) => {
    const published = JSON.parse(readFileSync(`${folder}/expected-pycocotools.json`, 'utf8')) as Record<
      string,
      CocoFigures
    >;
    const annotations = await readAnnotations(`${folder}/instances.json`);
    const figures = scoreDetections(annotations, await readResults(`${folder}/results/${model}.json`));
    for (const figure of COCO_FIGURES) expect(figures[figure], figure).toBeCloseTo(published[model]![figure], 9);
  });
});
