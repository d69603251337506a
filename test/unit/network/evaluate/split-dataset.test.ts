import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import type { CocoAnnotation, CocoAnnotations } from '../../../../src/network/evaluate/coco-dataset.ts';
import { splitDataset, subsetOf } from '../../../../src/network/evaluate/split-dataset.ts';

/** A common class in every image, a rarer one in every fifth, a rare one in eight, and images with nothing at all. */
function dataset(images: number): CocoAnnotations {
  const random = seededRandom(3);
  const names = Array.from({ length: images }, (_, i) => ({ id: i + 1, fileName: `${i}.jpg` }));
  const annotations = names.flatMap(({ id }): CocoAnnotation[] => {
    if (id % 10 === 0) return [];
    const labels = [1, ...(id % 5 === 1 ? [2] : []), ...(id % Math.floor(images / 8) === 1 ? [3] : [])];
    return labels.map((categoryId) => ({
      imageId: id,
      categoryId,
      box: [random() * 100, 0, 10, 10] as const,
      areaPx: 100,
      isCrowd: false,
    }));
  });
  const categories = ['common', 'rarer', 'rare'].map((name, i) => ({ id: i + 1, name }));
  return { path: 'made.json', images: names, categories, annotations };
}

function imagesWith(set: CocoAnnotations, category: number): number {
  return new Set(set.annotations.filter(({ categoryId }) => categoryId === category).map(({ imageId }) => imageId))
    .size;
}

describe('a split data set', () => {
  const set = dataset(200);
  const { first, second } = splitDataset(set, 50);

  it('holds each image once', () => {
    expect(first).toHaveLength(50);
    expect([...first, ...second].sort((a, b) => a - b)).toEqual(set.images.map((_, i) => i));
  });

  it('gives each class its share of both parts, the rare ones too', () => {
    const [small, large] = [subsetOf(set, first), subsetOf(set, second)];
    for (const category of [1, 2, 3]) {
      const all = imagesWith(set, category);
      expect(Math.abs(imagesWith(small, category) - all / 4), `class ${category}`).toBeLessThanOrEqual(1);
      expect(Math.abs(imagesWith(large, category) - (all * 3) / 4), `class ${category}`).toBeLessThanOrEqual(1);
    }
  });

  it('does not depend on the order of the images', () => {
    const reversed = { ...set, images: [...set.images].reverse() };
    const again = splitDataset(reversed, 50);
    const names = (from: CocoAnnotations, places: readonly number[]): string[] =>
      places.map((place) => from.images[place]!.fileName).sort();
    expect(names(reversed, again.first)).toEqual(names(set, first));
  });

  it('leaves out objects of a class that is not in the list of categories', () => {
    const stray = set.annotations.map((annotation) => ({ ...annotation, categoryId: 9 }));
    expect(splitDataset({ ...set, annotations: [...set.annotations, ...stray] }, 50)).toEqual({ first, second });
  });

  it.each([
    [0, 0],
    [1, 1],
    [199, 199],
    [200, 200],
  ])('may have %i images in the first part', (wanted, got) => {
    expect(splitDataset(set, wanted).first).toHaveLength(got);
  });

  it('may be empty, or hold a single image', () => {
    expect(splitDataset({ ...set, images: [], annotations: [] }, 0)).toEqual({ first: [], second: [] });
    const one = subsetOf(set, [0]);
    expect(splitDataset(one, 1)).toEqual({ first: [0], second: [] });
  });

  it('cannot give more than there is', () => {
    expect(() => splitDataset(set, 201)).toThrow('expected a whole number from 0 to 200, received 201');
  });
});

describe('a subset', () => {
  it('keeps the annotations of its images only', () => {
    const set = dataset(40);
    const subset = subsetOf(set, [3, 1]);
    expect(subset.images.map(({ id }) => id)).toEqual([4, 2]);
    expect(new Set(subset.annotations.map(({ imageId }) => imageId))).toEqual(new Set([2, 4]));
  });
});
