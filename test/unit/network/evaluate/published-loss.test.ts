import { describe, expect, it } from 'vitest';
import type { CocoAnnotations, CocoBox, CocoResult } from '../../../../src/network/evaluate/coco-dataset.ts';
import { comparePublished, equalThreshold } from '../../../../src/network/evaluate/published-loss.ts';

const OPTIONS = { seed: 1, resamples: 200 };
const at = (x: number): CocoBox => [x, 0, 10, 10];

/** Four pictures with a cat and a dog each, and a crowd of cats in the last. */
const SCENE: CocoAnnotations = {
  path: 'scene.json',
  images: [1, 2, 3, 4].map((id) => ({ id, fileName: `${id}.jpg` })),
  categories: [
    { id: 7, name: 'cat' },
    { id: 9, name: 'dog' },
    { id: 11, name: 'cow' },
  ],
  annotations: [
    ...[1, 2, 3, 4].flatMap((imageId) => [
      { imageId, categoryId: 7, box: at(0), areaPx: 100, isCrowd: false },
      { imageId, categoryId: 9, box: at(50), areaPx: 100, isCrowd: false },
    ]),
    { imageId: 4, categoryId: 7, box: [200, 0, 100, 100], areaPx: 10_000, isCrowd: true },
  ],
};

function found(imageId: number, categoryId: number, x: number, score: number): CocoResult {
  return { imageId, categoryId, box: at(x), score };
}

describe('what two sides publish', () => {
  it('is counted at the threshold of each, overall and by class', async () => {
    // All cats, two dogs and one wrong dog reach 0.5; a box in the crowd does not count.
    const reference = [
      ...[1, 2, 3, 4].map((id) => found(id, 7, 0, 0.9)),
      ...[
        found(1, 9, 50, 0.6),
        found(2, 9, 50, 0.5),
        found(3, 9, 50, 0.49),
        found(3, 9, 90, 0.8),
        found(4, 7, 210, 0.9),
      ],
    ];
    // At 0.2: three cats, one of them twice, and no dog.
    const candidate = [...[1, 2, 3].map((id) => found(id, 7, 0, 0.3)), ...[found(1, 7, 1, 0.25), found(1, 9, 50, 0.1)]];
    const { recall, precision, byClass, thresholds } = await comparePublished(
      ...([SCENE, { results: reference, scoreThreshold: 0.5 }, { results: candidate, scoreThreshold: 0.2 }] as const),
      OPTIONS,
    );
    expect(thresholds).toEqual([0.5, 0.2]);
    expect(recall).toMatchObject({ reference: 6 / 8, candidate: 3 / 8, loss: 3 / 8 });
    expect(precision).toMatchObject({ reference: 6 / 7, candidate: 3 / 4 });
    expect(byClass.map(({ label }) => label)).toEqual(['dog', 'cat']);
    expect(byClass[0]).toMatchObject({ units: 4, objects: 4, foundByReference: 2, foundByCandidate: 0 });
    expect(byClass[0]!.precision).toMatchObject({ reference: 2 / 3, candidate: Number.NaN });
    expect(byClass[1]).toMatchObject({ foundByReference: 4, foundByCandidate: 3, recall: { loss: 1 / 4 } });
  });

  it('loses nothing, with certainty, where both are the same', async () => {
    const same = { results: [1, 2].map((id) => found(id, 7, 0, 0.9)), scoreThreshold: 0.3 };
    const { recall, precision } = await comparePublished(SCENE, same, same, OPTIONS);
    expect([recall.loss, ...recall.interval, precision.loss, ...precision.interval]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe('the threshold at which another detector publishes alike', () => {
  const all = [1, 2, 3, 4].flatMap((id) => [found(id, 7, 0, 0.9), found(id, 9, 50, 0.9)]);
  // Six of eight objects are found, with two wrong boxes.
  const reference = { results: [...all.slice(0, 6), found(1, 9, 90, 0.8), found(2, 9, 90, 0.8)], scoreThreshold: 0.5 };

  it('follows scores that are higher or lower for the same boxes', () => {
    for (const factor of [0.3, 0.7, 1]) {
      const scaled = reference.results.map((one) => ({ ...one, score: one.score * factor }));
      // What it sees besides, at lower scores, is wrong.
      const noise = [1, 2, 3, 4].map((id) => found(id, 7, 120, 0.7 * factor));
      const threshold = equalThreshold(SCENE, reference, [...scaled, ...noise])!;
      expect(threshold).toBeGreaterThan(0.7 * factor);
      expect(threshold).toBeLessThanOrEqual(0.8 * factor);
    }
  });

  it('gives up neither recall nor precision for the other', () => {
    // Sure of two objects; with all eight come six wrong boxes; with five of them one.
    const candidate = [
      ...all.map((one, i) => ({ ...one, score: i < 2 ? 0.9 : i < 5 ? 0.6 : 0.2 })),
      ...[found(3, 9, 90, 0.6), ...[1, 2, 3, 4].map((id) => found(id, 7, 120, 0.2)), found(4, 9, 90, 0.2)],
    ];
    const threshold = equalThreshold(SCENE, reference, candidate)!;
    expect(threshold).toBeGreaterThan(0.2);
    expect(threshold).toBeLessThanOrEqual(0.6);
  });

  it('is none for a detector that finds nothing, and beside one that finds nothing', () => {
    expect(equalThreshold(SCENE, reference, [])).toBeNull();
    expect(equalThreshold(SCENE, reference, [found(1, 9, 90, 0.9)])).toBeNull();
    expect(equalThreshold(SCENE, { ...reference, scoreThreshold: 0.99 }, all)).toBeNull();
  });
});
