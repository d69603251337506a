import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { scoreDetections } from '../../../../src/network/evaluate/average-precision.ts';
import type {
  CocoAnnotation,
  CocoAnnotations,
  CocoBox,
  CocoResult,
} from '../../../../src/network/evaluate/coco-dataset.ts';
import { readAnnotations, readResults } from '../../../../src/network/evaluate/coco-files.ts';
import { matchDataset } from '../../../../src/network/evaluate/match-dataset.ts';
import { ResampledPrecision } from '../../../../src/network/evaluate/resampled-precision.ts';
import { sharedDir } from '../../../support/shared.ts';

/** Random objects of all sizes, some of them crowds, and detections that find some, miss some and invent some. */
function randomDataset(seed: number): { annotations: CocoAnnotations; results: CocoResult[] } {
  const random = seededRandom(seed);
  // Ids are not in the order of the list, as in COCO's files.
  const images = [5, 3, 9, 1, 7, 2].map((id) => ({ id, fileName: `${id}.jpg` }));
  const annotations: CocoAnnotation[] = [];
  const results: CocoResult[] = [];
  for (const { id: imageId } of images) {
    for (let i = 0; i < 12; i++) {
      const size = [20, 60, 150][i % 3]! * (0.8 + random() * 0.4);
      const box: CocoBox = [random() * 400, random() * 400, size, size];
      const categoryId = 1 + Math.floor(random() * 3);
      // The area of the outline is smaller than the box, so object and detection may differ in size.
      if (random() < 0.8)
        annotations.push({ imageId, categoryId, box, areaPx: size * size * 0.8, isCrowd: random() < 0.1 });
      const shifted: CocoBox = [box[0] + random() * size * 0.3, box[1], size * (0.8 + random() * 0.3), size];
      if (random() < 0.8) results.push({ imageId, categoryId, box: shifted, score: random() });
    }
  }
  const categories = [1, 2, 3, 4].map((id) => ({ id, name: `class ${id}` }));
  return { annotations: { path: 'random.json', images, categories, annotations }, results };
}

/** Repeats each image, in order of ids, as often as it was drawn, with its objects and detections. */
function repeated({ annotations, results }: ReturnType<typeof randomDataset>, counts: Int32Array) {
  const places = annotations.images.map(({ id }) => id).sort((a, b) => a - b);
  const idsOf = new Map(
    places.map((id, place) => [id, Array.from({ length: counts[place]! }, (_, copy) => place * 1000 + copy)]),
  );
  const copies = <T extends { readonly imageId: number }>(entries: readonly T[]): T[] =>
    entries.flatMap((entry) => idsOf.get(entry.imageId)!.map((imageId) => ({ ...entry, imageId })));
  return {
    annotations: {
      ...annotations,
      images: [...idsOf.values()].flat().map((id) => ({ id, fileName: `${id}.jpg` })),
      annotations: copies(annotations.annotations),
    },
    results: copies(results),
  };
}

function drawn(images: number, random: () => number): Int32Array {
  const counts = new Int32Array(images);
  for (let i = 0; i < images; i++) counts[Math.floor(random() * images)]! += 1;
  return counts;
}

/** scoreDetections says -1 where there is no object. */
function sizesOf(data: ReturnType<typeof randomDataset>): number[] {
  const { AP, APs, APm, APl } = scoreDetections(data.annotations, data.results);
  return [AP, APs, APm, APl].map((figure) => (figure === -1 ? Number.NaN : figure));
}

describe('average precision of a resample', () => {
  it.each([1, 2, 3, 4, 5])('equals that of the data set with the drawn images repeated (seed %i)', (seed) => {
    const data = randomDataset(seed);
    const precision = new ResampledPrecision(matchDataset(data.annotations, data.results));
    const random = seededRandom(seed + 100);
    for (let i = 0; i < 40; i++) {
      const counts = drawn(data.annotations.images.length, random);
      expect([...precision.figuresOf(counts).byArea]).toEqual(sizesOf(repeated(data, counts)));
    }
  });

  it('equals the figures of the data set itself if each image is drawn once, equal scores included', () => {
    const data = randomDataset(6);
    const rounded = { ...data, results: data.results.map((result) => ({ ...result, score: 0.5 })) };
    const precision = new ResampledPrecision(matchDataset(rounded.annotations, rounded.results));
    const once = new Int32Array(data.annotations.images.length).fill(1);
    expect([...precision.figuresOf(once).byArea]).toEqual(sizesOf(rounded));
  });

  it('is that of each class alone by category, NaN for a class without an object', () => {
    const data = randomDataset(7);
    const precision = new ResampledPrecision(matchDataset(data.annotations, data.results));
    const { byCategory } = precision.figuresOf(new Int32Array(data.annotations.images.length).fill(1));
    for (const [c, category] of data.annotations.categories.entries()) {
      const alone = { ...data.annotations, categories: [category] };
      const results = data.results.filter(({ categoryId }) => categoryId === category.id);
      const { AP } = scoreDetections(alone, results);
      if (AP === -1) expect(byCategory[c]).toBeNaN();
      else expect(byCategory[c]).toBeCloseTo(AP, 12);
    }
    expect(byCategory[3]).toBeNaN();
  });

  it('is NaN if the drawn images hold no object', () => {
    const { annotations, results } = randomDataset(8);
    const without = { ...annotations, annotations: annotations.annotations.filter(({ imageId }) => imageId !== 1) };
    const precision = new ResampledPrecision(matchDataset(without, results));
    expect([...precision.figuresOf(Int32Array.from([6, 0, 0, 0, 0, 0])).byArea]).toEqual([NaN, NaN, NaN, NaN]);
  });
});

describe.skipIf(sharedDir === null)('on results of real detectors (needs the shared folder)', () => {
  const folder = `${sharedDir}/coco-val-100`;

  it.each(['deimv2_femto_416', 'fastestdet'])('a resample of %s equals the repeated data set', async (model) => {
    const annotations = await readAnnotations(`${folder}/instances.json`);
    const published = await readResults(`${folder}/results/${model}.json`);
    // The copies of two detections with one score have no natural order. Scores made distinct have one.
    const results = published.map((result, i) => ({ ...result, score: result.score - i * 1e-12 }));
    const precision = new ResampledPrecision(matchDataset(annotations, results));
    const random = seededRandom(11);
    for (let i = 0; i < 3; i++) {
      const counts = drawn(annotations.images.length, random);
      const expected = sizesOf(repeated({ annotations, results }, counts));
      expect([...precision.figuresOf(counts).byArea]).toEqual(expected);
    }
  });

  it('the figures of the whole set equal those of scoreDetections exactly', async () => {
    const annotations = await readAnnotations(`${folder}/instances.json`);
    const results = await readResults(`${folder}/results/picodet_s_416.json`);
    const precision = new ResampledPrecision(matchDataset(annotations, results));
    const once = new Int32Array(annotations.images.length).fill(1);
    expect([...precision.figuresOf(once).byArea]).toEqual(sizesOf({ annotations, results }));
  });
});
