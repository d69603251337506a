import { describe, expect, it } from 'vitest';
import { categoryIdsOfClasses } from '../../../../src/network/evaluate/class-categories.ts';
import type { CocoAnnotations } from '../../../../src/network/evaluate/coco-dataset.ts';

/** Listed out of order, with a gap in the ids like COCO's own (which have no category 12). */
const annotations: CocoAnnotations = {
  path: 'tiny.json',
  images: [],
  annotations: [],
  categories: [
    { id: 13, name: 'stop sign' },
    { id: 4, name: 'motorcycle' },
    { id: 11, name: 'fire hydrant' },
  ],
};

describe('categoryIdsOfClasses', () => {
  it('maps by name, whatever the order of either list', () => {
    expect(categoryIdsOfClasses(annotations, ['stop sign', 'motorcycle', 'fire hydrant'])).toEqual([13, 4, 11]);
  });

  it('maps by sorted ids if the counts are equal and some names are spelt differently', () => {
    expect(categoryIdsOfClasses(annotations, ['motorbike', 'fire hydrant', 'stop sign'])).toEqual([4, 11, 13]);
  });

  it('returns null for classes that the file does not have', () => {
    expect(categoryIdsOfClasses(annotations, ['stop sign', 'zebra'])).toEqual([13, null]);
    expect(categoryIdsOfClasses(annotations, ['stop sign', 'zebra', 'motorcycle'])).toEqual([13, null, 4]);
  });

  it('rejects a file that has none of the classes', () => {
    expect(() => categoryIdsOfClasses(annotations, ['zebra'])).toThrowError(
      expect.objectContaining({ code: 'DATASET_INVALID' }),
    );
  });
});
