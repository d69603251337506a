import { expect, it } from 'vitest';
import { settledByLabels } from '../../../../../src/lab/optimize/gate/difference.ts';
import type { DisputedClass, DisputedObject } from '../../../../../src/network/evaluate/disputed-objects.ts';

const LOST = { kind: 'class', subject: 'handbag', text: 'handbag: lost' } as const;
const NO_LOSS = { loss: 0, interval: [0, 0], standardError: 0, units: 60 } as const;

/** Of `objects` labelled handbags both find `found`; `precision` of what the reference reports is right. */
function labelled(objects: number, found: number, precision: number) {
  const estimate = { ...NO_LOSS, reference: precision, candidate: precision };
  return [
    {
      label: 'handbag',
      units: objects,
      objects,
      foundByReference: found,
      foundByCandidate: found,
      precision: estimate,
    },
  ];
}

function missed(count: number, by: DisputedObject['by'] = 'today'): DisputedClass[] {
  const objects = Array.from({ length: count }, (_, i) => ({ id: String(i), by, boxes: [] }));
  return [{ label: 'handbag', both: 0, objects }];
}

it('lets labels settle a class of which the clip shows no more than they explain', () => {
  // Of eight reports of the reference on labelled pictures five are wrong, and so may these two be.
  const { open, settled } = settledByLabels([LOST], labelled(40, 24, 0.375), missed(2));
  expect(open).toEqual([]);
  expect(settled).toEqual([
    { ...LOST, text: 'handbag: lost; labels: of 40 objects 24 were found before, 24 now, which they pass' },
  ]);
});

it.each([
  { what: 'many objects', precision: 0.375, gone: 60 },
  { what: 'few, where what the reference reports is mostly right', precision: 0.95, gone: 4 },
])('leaves open a class that labels pass where the clip lacks $what', ({ precision, gone }) => {
  const { open, settled } = settledByLabels([LOST], labelled(40, 24, precision), missed(gone));
  expect(settled).toEqual([]);
  expect(open[0]!.text).toMatch(
    new RegExp(`which does not explain that ${gone} objects of the clip are missed: the clip is unlike`),
  );
});

it('does not count what only the candidate reports as missed', () => {
  expect(settledByLabels([LOST], labelled(40, 24, 0.95), missed(60, 'new')).open).toEqual([]);
});

it('leaves open a class of too few labelled objects, and what is not of a class', () => {
  const few = settledByLabels([LOST], labelled(8, 5, 0.9), missed(1));
  expect(few.open[0]!.text).toBe('handbag: lost; labels: 8 objects in 8 pictures, too few to judge');
  const tracks = { kind: 'tracks', subject: '', text: 'tracks are lost' } as const;
  expect(settledByLabels([tracks], labelled(40, 24, 0.9), [])).toEqual({ open: [tracks], settled: [] });
});

it('asks of a class without any labelled object that the reference finds', () => {
  const { open } = settledByLabels([LOST], labelled(40, 0, Number.NaN), missed(20));
  expect(open[0]!.text).toContain('unlike the labelled pictures');
});
