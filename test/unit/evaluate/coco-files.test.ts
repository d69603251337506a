import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { picturePaths, readAnnotations, readResults, writeResults } from '../../../src/evaluate/coco-files.ts';

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

describe('written results', () => {
  it.each([
    [[]],
    [[{ imageId: 7, categoryId: 1, box: [0.1 + 0.2, -3, 1 / 3, 4], score: 0.30000001192092896 }]],
  ] as const)('are read back to the last digit, in their order', async (results) => {
    const path = join(folder, 'results.json');
    await writeResults(path, results);
    expect(await readResults(path)).toEqual(results);
  });
});

describe('readResults', () => {
  const result = { image_id: 7, category_id: 1, bbox: [1, 2, 3, 4], score: 0.5 };

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
