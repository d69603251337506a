import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DECODERS } from '../../../models/decoders.ts';
import type { ModelSpec, OutputTensor } from '../../../src/base/core/model.ts';

type Row = readonly number[];

/** Random outputs, and their boxes from an independent decoder in numpy. */
const FIXTURE = JSON.parse(readFileSync('test/unit/models/gfl.json', 'utf8')) as {
  readonly width: number;
  readonly height: number;
  readonly threshold: number;
  readonly outputs: Readonly<Record<string, { readonly dims: number[]; readonly data: number[] }>>;
  readonly best: readonly (readonly Row[])[];
  readonly all: readonly (readonly Row[])[];
};

const SPEC: ModelSpec = {
  name: 'tiny',
  family: 'gfl',
  input: { width: FIXTURE.width, height: FIXTURE.height, resize: { mode: 'stretch' } },
  classes: ['a', 'b', 'c'],
  nmsIou: 0.6,
  scoreThreshold: 0.3,
  maxDetections: 100,
  classesPerBox: 'best',
};

const outputs: ReadonlyMap<string, OutputTensor> = new Map(
  Object.entries(FIXTURE.outputs).map(([name, { dims, data }]) => [name, { dims, data: Float32Array.from(data) }]),
);

function rowsOf(packed: Float32Array): Row[] {
  return Array.from({ length: packed.length / 6 }, (_, row) => Array.from(packed.slice(row * 6, row * 6 + 6)));
}

describe('generalised focal loss heads', () => {
  it.each(['best', 'all'] as const)('returns the boxes of an independent decoder, classes: %s', (classesPerBox) => {
    const images = DECODERS.gfl(outputs, 2, { ...SPEC, classesPerBox }, FIXTURE.threshold);
    const expected = FIXTURE[classesPerBox];
    expect(expected.every((rows) => rows.length > 2)).toBe(true);
    expect(images.map(rowsOf)).toEqual(
      expected.map((rows) => rows.map((row) => row.map((value) => expect.closeTo(value, 3)))),
    );
  });

  it('ignores the padding of the batch', () => {
    const images = DECODERS.gfl(outputs, 1, SPEC, FIXTURE.threshold);
    expect(images.map((rows) => rows.length / 6)).toEqual([FIXTURE.best[0]!.length]);
  });

  it('places the sides at the peak of a sharp distribution, from the centre of the cell', () => {
    // One cell of 8 px, two bins per side: left and top at 0, right and bottom at 1 stride.
    const sure = new Map<string, OutputTensor>([
      ['scores-8', { dims: [1, 1, 3], data: Float32Array.from([0.1, 0.2, 0.9]) }],
      ['distances-8', { dims: [1, 1, 8], data: Float32Array.from([99, 0, 99, 0, 0, 99, 0, 99]) }],
    ]);
    const spec: ModelSpec = { ...SPEC, input: { ...SPEC.input, width: 8, height: 8 } };
    expect(rowsOf(DECODERS.gfl(sure, 1, spec, 0.5)[0]!)).toEqual([[4, 4, 8, 8, expect.closeTo(0.9, 6), 2]]);
  });

  it('rejects a grid that does not match the input, and outputs of another family', () => {
    const narrow: ModelSpec = { ...SPEC, input: { ...SPEC.input, width: 64 } };
    expect(() => DECODERS.gfl(outputs, 2, narrow, 0.5)).toThrow(
      'tiny: expected 24 cells of 8 px for an input of 64x24, received 15',
    );
    const other = new Map([['boxes', { dims: [1, 2], data: new Float32Array(2) }]]);
    expect(() => DECODERS.gfl(other, 1, SPEC, 0.5)).toThrow('no output fits scores-8; received boxes [1, 2]');
  });
});
