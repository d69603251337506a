import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/cli.ts';
import { cliHere } from '../../support/cli-here.ts';

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  temporary = temporaryFolder();
});
afterEach(() => temporary.remove());

const ANNOTATIONS = {
  images: [{ id: 1, file_name: '1.jpg' }],
  categories: [{ id: 1, name: 'person' }],
  annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 10, 10], area: 100, iscrowd: 0 }],
};

/** Scores results with these categories. */
function score(categories: readonly number[], image_id = 1): ReturnType<typeof cliHere> {
  const [annotations, results] = ['a.json', 'r.json'].map((name) => join(temporary.path, name)) as [string, string];
  const found = categories.map((category_id) => ({ image_id, category_id, bbox: [0, 0, 10, 10], score: 0.9 }));
  writeFileSync(annotations, JSON.stringify(ANNOTATIONS));
  writeFileSync(results, JSON.stringify(found));
  return cliHere(['score', annotations, results, '--json']);
}

it('names the categories that the annotations do not have, with the number of results that are left out', async () => {
  const { code, stdout, stderr } = await score([1, 7, 7, 91]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ AP: expect.closeTo(1) });
  expect(stderr).toMatch(
    /^warning: 3 results left out, of categories that \S+a\.json does not have: 7 \(2 results\), 91 \(1 result\)\n$/,
  );
});

it.each([
  [[1], 5, /r\.json: \[0\]\.image_id: expected the id of one of the 1 images of \S+a\.json .*received 5/],
  [[7], 1, /r\.json: \[0\]\.category_id: expected an id of one of the 1 categories of \S+a\.json, received 7/],
])('names the file and the place of a result of another data set: %j of image %i', async (categories, image, said) => {
  const { code, stderr } = await score(categories, image);
  expect([code, stderr]).toEqual([2, expect.stringMatching(said)]);
});

const MASK = { size: [4, 4], counts: [5, 2, 9] };

/** Scores a single result of a mask of two pixels, which equals that of the annotation. */
function scoreMask(result: object, flags: readonly string[]): ReturnType<typeof cliHere> {
  const [annotations, results] = ['a.json', 'r.json'].map((name) => join(temporary.path, name)) as [string, string];
  const image = { ...ANNOTATIONS.images[0], width: 4, height: 4 };
  const annotated = { ...ANNOTATIONS.annotations[0], bbox: [1, 1, 1, 2], segmentation: MASK };
  writeFileSync(annotations, JSON.stringify({ ...ANNOTATIONS, images: [image], annotations: [annotated] }));
  writeFileSync(results, JSON.stringify([{ image_id: 1, category_id: 1, score: 0.9, ...result }]));
  return cliHere(['score', annotations, results, ...flags]);
}

it('scores masks by masks, unless boxes are asked for', async () => {
  // The masks are equal, the boxes far apart.
  const result = { bbox: [20, 20, 5, 5], segmentation: MASK };
  const own = await scoreMask(result, []);
  expect(own).toMatchObject({ code: 0, stderr: '' });
  expect(own.stdout).toMatch(/^AP +1\.0000 +average precision, IoU of masks 0\.50 to 0\.95$/m);
  expect((await scoreMask(result, ['--iou-type', 'bbox'])).stdout).toMatch(
    /^AP +0\.0000 +average precision, IoU 0\.50/m,
  );
});

it('prints the two figures of classes', async () => {
  const { stdout } = await scoreMask({}, ['--iou-type', 'classes']);
  expect(stdout).toMatch(/^top1 +1\.0000 +pictures whose first class is a label\ntop5 +1\.0000 .*\n$/);
});

it.each([
  [{ bbox: [1, 1, 1, 2] }, ['--iou-type', 'segm'], /r\.json: \[0\]\.segmentation: expected .* received nothing/],
  [{ bbox: [1, 1, 1, 2] }, ['--iou-type', 'keypoints'], /r\.json: \[0\]\.keypoints: expected 51 numbers/],
  [
    { keypoints: Array(51).fill(1) },
    [],
    /a\.json: annotations\[0\]\.keypoints: expected 51 numbers.* received nothing/,
  ],
  [{ segmentation: { ...MASK, size: [8, 2] } }, [], /r\.json: \[0\]\.segmentation\.size: .*\[4, 4\], received \[8,2\]/],
  [{}, ['--iou-type', 'mask'], /--iou-type.* Allowed choices are bbox, segm, keypoints, oriented-boxes, classes/],
])('refuses %j with %j', async (result, flags, said) => {
  expect(await scoreMask(result, flags)).toMatchObject({ code: 2, stderr: expect.stringMatching(said) });
});

it('says nothing if all categories are known', async () => {
  expect(await score([1])).toMatchObject({ code: 0, stderr: '' });
});
