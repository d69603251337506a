import { describe, expect, it } from 'vitest';
import { DECODERS } from '../../../models/decoders.ts';
import type { ModelSpec, OutputTensor, ReaderFamily } from '../../../src/base/core/model.ts';
import { attributesOf } from '../../../src/frame/runtime/stages/crop-readings.ts';

function spec(family: ReaderFamily, classes: readonly string[], heads?: readonly string[]): ModelSpec {
  return {
    name: 'reader',
    family,
    classes,
    nmsIou: null,
    scoreThreshold: 0.3,
    maxDetections: 1,
    classesPerBox: 'best',
    input: { width: 8, height: 8, resize: { mode: 'stretch' } },
    ...(heads === undefined ? {} : { heads }),
  };
}

function tensor(dims: readonly number[], values: readonly number[]): OutputTensor {
  return { data: Float32Array.from(values), dims };
}

/** What the second stage `s` says of each picture of a batch. */
function read(of: ModelSpec, outputs: Record<string, OutputTensor>, batchSize: number): object[] {
  const rows = DECODERS[of.family](new Map(Object.entries(outputs)), batchSize, of, 0);
  return rows.map((each) =>
    attributesOf({ spec: of, hash: 'ab'.repeat(32), scoreThreshold: of.scoreThreshold }, 's', each, [1.04, 2, 3, 4], 5),
  );
}

const near = (value: number): number => expect.closeTo(value, 3) as unknown as number;

describe('several heads', () => {
  it('gives the best class of each head, under the names of several heads, whatever the order of the outputs', () => {
    const of = spec('heads', ['car', 'bus', 'red', 'green', 'blue'], ['type', 'colour']);
    const outputs = {
      colour: tensor([2, 3, 1, 1], [0.1, 0.2, 0.7, 0.5, 0.3, 0.2]),
      type: tensor([2, 2, 1, 1], [0.9, 0.1, 0.4, 0.6]),
    };
    expect(read(of, outputs, 2)).toEqual([
      { type: { label: 'car', score: near(0.9), atUs: 5 }, colour: { label: 'blue', score: near(0.7), atUs: 5 } },
      { type: { label: 'bus', score: near(0.6), atUs: 5 }, colour: { label: 'red', score: near(0.5), atUs: 5 } },
    ]);
  });

  it('makes probabilities of logits, has the name of the stage with one head, and leaves out what is unsure', () => {
    const of = spec('heads', ['a', 'b'], ['out']);
    // 1 / (1 + e^-2), and 0.5: below nothing, but above 0.3.
    expect(read(of, { out: tensor([2, 2], [3, 1, -4, -4]) }, 2)).toEqual([
      { s: { label: 'a', score: near(0.8808), atUs: 5 } },
      { s: { label: 'a', score: near(0.5), atUs: 5 } },
    ]);
    const many = spec('heads', ['a', 'b', 'c', 'd'], ['out']);
    expect(read(many, { out: tensor([1, 4], [0, 0, 0, 0]) }, 1)).toEqual([{}]);
  });

  it('refuses a manifest with another number of classes', () => {
    const of = spec('heads', ['a', 'b', 'c'], ['out']);
    expect(() => read(of, { out: tensor([1, 2], [1, 0]) }, 1)).toThrow(
      'expected 3 scores, as the manifest has classes; received 2',
    );
  });
});

describe('labels', () => {
  it('gives each label whether it holds, and how sure that is', () => {
    const of = spec('labels', ['is_male', 'has_bag', 'has_hat']);
    const said = (label: string, score: number) => ({ label, score: near(score), atUs: 5 });
    expect(read(of, { scores: tensor([2, 3, 1, 1], [0.9, 0.1, 0.5, 0.2, 0.7, 0.02]) }, 2)).toEqual([
      { is_male: said('yes', 0.9), has_bag: said('no', 0.9), has_hat: said('yes', 0.5) },
      { is_male: said('no', 0.8), has_bag: said('yes', 0.7), has_hat: said('no', 0.98) },
    ]);
    expect(() => read(of, { scores: tensor([1, 8], [1, 0, 0, 0, 0, 0, 0, 0]) }, 1)).toThrow('received 8');
  });
});

/** Scores of steps, each with one best index. */
function steps(best: readonly number[], count: number, probability = 0.9): number[] {
  return best.flatMap((index) =>
    Array.from({ length: count }, (_, at) => (at === index ? probability : (1 - probability) / (count - 1))),
  );
}

describe('text', () => {
  it('of CTC has no blanks and no repeats, unless a blank stands between', () => {
    const of = spec('ctc', [...'ab ']);
    const first = [0, 1, 1, 0, 1, 3, 2, 2];
    const outputs = { scores: tensor([2, 8, 4], [...steps(first, 4), ...steps([0, 0, 0, 0, 0, 0, 0, 0], 4)]) };
    expect(read(of, outputs, 2)).toEqual([{ s: { label: 'aa b', score: near(0.9), atUs: 5 } }, {}]);
  });

  it('of slots has no filling', () => {
    const of = spec('slots', [...'AB1_']);
    const outputs = { scores: tensor([1, 4, 4], [...steps([0, 2], 4, 0.8), ...steps([2, 3], 4, 0.6)]) };
    expect(read(of, outputs, 1)).toEqual([{ s: { label: 'A11', score: near((0.8 + 0.8 + 0.6) / 3), atUs: 5 } }]);
  });

  it('with less certainty than the threshold is left out', () => {
    const of = spec('slots', [...'AB1_']);
    expect(read(of, { scores: tensor([1, 1, 4], steps([1], 4, 0.28)) }, 1)).toEqual([{}]);
  });
});

describe('an embedding', () => {
  it('has unit length, and as many numbers as the output', () => {
    const of = spec('embedding', ['embedding']);
    const [one, two] = read(of, { vector: tensor([2, 7], [3, 4, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]) }, 2) as {
      s: { vector: number[] };
    }[];
    expect(one).toEqual({
      s: { vector: [0.6, 0.8, 0, 0, 0, 0, 0], model: 'reader@abababababab', box: [1, 2, 3, 4], atUs: 5 },
    });
    expect(two!.s.vector).toHaveLength(7);
    expect(Math.hypot(...two!.s.vector)).toBeCloseTo(1, 4);
  });
});
