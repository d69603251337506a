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

/** Scores results of image 1 with these categories. */
function score(categories: readonly number[]): ReturnType<typeof cliHere> {
  const [annotations, results] = ['a.json', 'r.json'].map((name) => join(temporary.path, name)) as [string, string];
  const found = categories.map((category_id) => ({ image_id: 1, category_id, bbox: [0, 0, 10, 10], score: 0.9 }));
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

it('says nothing if all categories are known', async () => {
  expect(await score([1])).toMatchObject({ code: 0, stderr: '' });
});
