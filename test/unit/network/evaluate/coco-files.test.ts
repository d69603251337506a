import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeCounts } from '../../../../src/base/geometry/rle.ts';
import type { CocoResult } from '../../../../src/network/evaluate/coco-dataset.ts';
import {
  picturePaths,
  readAnnotations,
  readResults,
  readTypedResults,
  writeResults,
} from '../../../../src/network/evaluate/coco-files.ts';
import type { IouType } from '../../../../src/network/evaluate/coco-rules.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-coco-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, 'data.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const image = { id: 7, file_name: '7.jpg', width: 64, height: 48 };
const category = { id: 1, name: 'person', supercategory: 'person' };
const annotation = { id: 3, image_id: 7, category_id: 1, bbox: [1, 2, 3, 4], area: 9.5, iscrowd: 1 };
const whole = { images: [image], categories: [category], annotations: [annotation] };

describe('the pictures of a data set', () => {
  const named = (fileName: string) => ({
    path: 'a.json',
    images: [
      { id: 1, fileName: 'a.jpg' },
      { id: 2, fileName },
    ],
  });

  it.each(['b.jpg', 'night/b.jpg', './b.jpg', 'a..b.jpg', '...jpg'])('may be %s in their folder', (name) => {
    expect(picturePaths(named(name), '/photos')).toEqual(['/photos/a.jpg', join('/photos', name)]);
  });

  it.each([
    '../b.jpg',
    'night/../../b.jpg',
    '/etc/passwd',
    '\\b.jpg',
    'night\\..\\..\\b.jpg',
    'C:b.jpg',
    '',
    'b.jpg\0',
    '..',
  ])('may not be %j outside of it', (name) => {
    expect(() => picturePaths(named(name), '/photos')).toThrowError(
      expect.objectContaining({
        code: 'DATASET_INVALID',
        message: expect.stringMatching(
          /^a\.json: images\[1\]\.file_name: expected a path inside the folder of the images/,
        ),
      }),
    );
  });
});

describe('readAnnotations', () => {
  it('reads what scoring boxes needs', async () => {
    const path = file(whole);
    expect(await readAnnotations(path)).toEqual({
      path,
      iouType: 'bbox',
      images: [{ id: 7, fileName: '7.jpg' }],
      categories: [{ id: 1, name: 'person' }],
      annotations: [{ imageId: 7, categoryId: 1, box: [1, 2, 3, 4], areaPx: 9.5, isCrowd: true }],
    });
  });

  it.each([
    ['no JSON', '{"images": [', /annotations file .*data\.json: expected JSON/],
    ['a list', [], /data\.json: expected an object, received \[\] \(object\)/],
    ['no images', { ...whole, images: undefined }, /images: expected a list, received nothing/],
    [
      'an id that is text',
      { ...whole, images: [{ ...image, id: '7' }] },
      /images\[0\]\.id: .* received "7" \(string\)/,
    ],
    ['an image twice', { ...whole, images: [image, image] }, /images\[1\]\.id: expected an id that no other/],
    ['an annotation twice', { ...whole, annotations: [annotation, annotation] }, /annotations\[1\]\.id/],
    [
      'an annotation of an unknown image',
      { ...whole, annotations: [{ ...annotation, image_id: 8 }] },
      /annotations\[0\]\.image_id: .* received 8 \(number\)/,
    ],
    [
      'a box of three numbers',
      { ...whole, annotations: [{ ...annotation, bbox: [1, 2, 3] }] },
      /annotations\[0\]\.bbox: expected \[x, y, width, height\].* received \[1,2,3\]/,
    ],
    ['no area', { ...whole, annotations: [{ ...annotation, area: undefined }] }, /annotations\[0\]\.area/],
    ['iscrowd 2', { ...whole, annotations: [{ ...annotation, iscrowd: 2 }] }, /iscrowd: expected 0 or 1, received 2/],
  ])('refuses %s with the place and what came', async (_, content, message) => {
    await expect(readAnnotations(file(content))).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('names a missing file', async () => {
    await expect(readAnnotations(join(folder, 'absent.json'))).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(/absent\.json: cannot be read: no such file/),
    });
  });
});

describe('readAnnotations for masks, keypoints, oriented boxes and classes', () => {
  const points = Array.from({ length: 17 }, (_, i) => [i, i, i % 3]).flat();
  const square = [10, 10, 14, 10, 14, 14, 10, 14];
  const shape = async (iouType: IouType, more: object) =>
    (await readAnnotations(file({ ...whole, annotations: [{ ...annotation, ...more }] }), iouType)).annotations[0];

  it('draws polygons on the image, and takes run lengths as text or list', async () => {
    // 4 x 4 pixels in columns 10 to 13 of an image 48 pixels high.
    const counts = [490, 4, 44, 4, 44, 4, 44, 4, 48 * 64 - 490 - 16 - 3 * 44];
    const mask = { size: [48, 64], counts: encodeCounts(counts) };
    for (const segmentation of [[square], { size: [48, 64], counts }, mask])
      expect((await shape('segm', { segmentation }))?.mask).toEqual(mask);
  });

  it('counts labelled keypoints, unless the file says how many there are', async () => {
    expect(await shape('keypoints', { keypoints: points })).toMatchObject({ keypoints: points, keypointCount: 11 });
    expect(await shape('keypoints', { keypoints: points, num_keypoints: 0 })).toMatchObject({ keypointCount: 0 });
  });

  it('takes an angle, or four corners', async () => {
    expect(await shape('oriented-boxes', { angle: -12 })).toMatchObject({ box: [1, 2, 3, 4], angle: -12 });
    expect(await shape('oriented-boxes', { segmentation: [square] })).toMatchObject({ corners: square });
  });

  it('needs no place for classes of whole pictures', async () => {
    const { id, image_id, category_id } = annotation;
    const path = file({ ...whole, annotations: [{ id, image_id, category_id }] });
    expect((await readAnnotations(path, 'classes')).annotations).toMatchObject([{ imageId: 7, categoryId: 1 }]);
  });

  it.each<[string, IouType, object, RegExp]>([
    ['no outline', 'segm', {}, /annotations\[0\]\.segmentation: expected polygons or run lengths, received nothing/],
    ['no polygon', 'segm', { segmentation: [] }, /expected at least one polygon/],
    [
      'a polygon of two points',
      'segm',
      { segmentation: [[1, 2, 3, 4]] },
      /three points or more, received \[\[1,2,3,4\]\]/,
    ],
    ['half a point', 'segm', { segmentation: [[1, 2, 3, 4, 5, 6, 7]] }, /at least one polygon/],
    ['run lengths of another size', 'segm', { segmentation: { size: [48, 64], counts: [5] } }, /valid run lengths/],
    ['cut text', 'segm', { segmentation: { size: [48, 64], counts: 'o' } }, /valid run lengths .*cut off/],
    ['no keypoints', 'keypoints', {}, /annotations\[0\]\.keypoints: expected 51 numbers.*received nothing/],
    ['21 keypoints', 'keypoints', { keypoints: Array(63).fill(1) }, /COCO's 17 points, received a list of 63/],
    ['no angle', 'oriented-boxes', {}, /segmentation: expected an angle beside bbox, or one polygon of four corners/],
    ['five corners', 'oriented-boxes', { segmentation: [[...square, 9, 9]] }, /four corners that is convex/],
    ['crossed corners', 'oriented-boxes', { segmentation: [[0, 0, 1, 1, 1, 0, 0, 1]] }, /that is convex/],
  ])('refuses %s', async (_, iouType, more, message) => {
    await expect(shape(iouType, more)).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('names an image without a size, which polygons need', async () => {
    const images = [{ ...image, height: undefined }];
    await expect(readAnnotations(file({ ...whole, images }), 'segm')).rejects.toThrow(
      /images\[0\]\.height: expected a whole number, received nothing/,
    );
  });
});

describe('written results', () => {
  it.each([
    [[]],
    [[{ imageId: 7, categoryId: 1, box: [0.1 + 0.2, -3, 1 / 3, 4], score: 0.30000001192092896 }]],
  ] as const)('are read back to the last digit, in their order', async (results) => {
    const path = join(folder, 'results.json');
    await writeResults(path, results);
    expect(await readResults(path)).toEqual(results);
  });

  const found = { imageId: 7, categoryId: 1, box: [1.5, 2, 3, 4], score: 0.5 } as const;
  it.each<[IouType, CocoResult]>([
    ['segm', { ...found, mask: { size: [4, 4], counts: '5216' } }],
    ['keypoints', { ...found, keypoints: Array.from({ length: 51 }, (_, i) => i / 4) }],
    ['oriented-boxes', { ...found, angle: 12.5 }],
    ['oriented-boxes', { ...found, box: [0, 0, 2, 2], areaPx: 2, corners: [1, 0, 2, 1, 1, 2, 0, 1] }],
    ['classes', { ...found, box: [0, 0, 0, 0] }],
  ])('of %s are read back', async (iouType, result) => {
    const path = join(folder, 'results.json');
    await writeResults(path, [result], iouType);
    expect(await readResults(path, iouType)).toEqual([result]);
    // Without a type they say themselves what they are, unless they have no place.
    if (iouType !== 'classes') expect(await readTypedResults(path)).toEqual({ iouType, results: [result] });
  });
});

describe('readResults', () => {
  const result = { image_id: 7, category_id: 1, bbox: [1, 2, 3, 4], score: 0.5 };
  /** Two of 16 pixels. */
  const segmentation = { size: [4, 4], counts: [5, 2, 9] };
  const { bbox: _, ...unboxed } = result;

  it('without boxes takes them, and the sizes of objects, from masks and keypoints', async () => {
    const [found] = await readResults(file([{ ...unboxed, segmentation }]), 'segm');
    expect(found).toMatchObject({ box: [1, 1, 1, 2], areaPx: 2 });
    const keypoints = Array.from({ length: 17 }, (_, i) => [i, 2 * i, 0]).flat();
    expect(await readResults(file([{ ...unboxed, keypoints }]), 'keypoints')).toMatchObject([{ box: [0, 0, 16, 32] }]);
  });

  it('with boxes takes sizes from them, as pycocotools does, and each entry must have one', async () => {
    const [found] = await readResults(file([{ ...result, segmentation }]), 'segm');
    expect(found).toMatchObject({ box: [1, 2, 3, 4] });
    expect(found).not.toHaveProperty('areaPx');
    await expect(
      readResults(
        file([
          { ...result, segmentation },
          { ...unboxed, segmentation },
        ]),
        'segm',
      ),
    ).rejects.toThrow(/data\.json: \[1\]\.bbox: expected .* received nothing/);
  });

  it.each<[string, IouType, unknown[], RegExp]>([
    ['masks', 'segm', [{ ...result, segmentation }, result], /\[1\]\.segmentation: .*"counts".* received nothing/],
    ['masks', 'segm', [{ ...result, segmentation: [[1, 2, 3, 4, 5, 6]] }], /\[0\]\.segmentation: expected \{"size"/],
    ['keypoints', 'keypoints', [result], /\[0\]\.keypoints: expected 51 numbers.* received nothing/],
    [
      'keypoints',
      'keypoints',
      [{ ...result, keypoints: Array(51).fill('1') }],
      /\[0\]\.keypoints: expected 51 numbers/,
    ],
    ['an angle', 'oriented-boxes', [{ ...result, angle: 1 }, result], /\[1\]\.segmentation: expected an angle/],
    ['an angle', 'oriented-boxes', [{ ...result, angle: '1' }], /\[0\]\.angle: expected a number, received "1"/],
  ])('refuses an entry without %s that is scored by %s', async (_, iouType, entries, message) => {
    await expect(readResults(file(entries), iouType)).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it.each<[IouType, object[]]>([
    ['bbox', [result]],
    ['bbox', []],
    ['segm', [{ ...result, segmentation }]],
    ['keypoints', [{ ...result, segmentation, keypoints: Array(51).fill(1) }]],
    ['oriented-boxes', [{ ...result, angle: 3 }]],
    ['oriented-boxes', [{ ...result, segmentation: [[0, 0, 1, 0, 1, 1, 0, 1]] }]],
  ])('without a type are read as %s by what the first entry has', async (iouType, entries) => {
    expect((await readTypedResults(file(entries))).iouType).toBe(iouType);
  });

  it('keeps the order of the file, and accepts an empty list', async () => {
    const path = file([result, { ...result, score: 0.9 }]);
    expect((await readResults(path)).map((entry) => entry.score)).toEqual([0.5, 0.9]);
    expect(await readResults(file([]))).toEqual([]);
  });

  it.each([
    ['an annotations file', whole, /expected a list of results, received an object with images, categories/],
    ['no score', [result, { ...result, score: undefined }], /\[1\]\.score: expected a number, received nothing/],
    ['a negative size', [{ ...result, bbox: [0, 0, -1, 5] }], /\[0\]\.bbox/],
    ['NaN', '[{"image_id": 7, "score": NaN}]', /NaN and Infinity are not JSON/],
  ])('refuses %s with the place and what came', async (_, content, message) => {
    await expect(readResults(file(content))).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(message),
    });
  });
});
