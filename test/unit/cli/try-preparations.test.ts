import { describe, expect, it } from 'vitest';
import {
  type Judge,
  judgeByRunning,
  type Preparation,
  type Scored,
  tryPreparations,
} from '../../../src/cli/try-preparations.ts';
import { tinyModel } from '../../conformance/engine-cases.ts';
import { quantisedModel } from '../../support/quantised-model.ts';

const START: Preparation = { color: 'rgb', range: 1, resize: 'letterbox' };

/** Judges by figures alone: a gain is certain if it is above `noise`. */
function judgeOf(
  score: (preparation: Preparation) => Omit<Scored<number>, 'found'> | null,
  noise = 0.001,
): Judge<number> {
  return {
    score: async (preparation) => {
      const scored = score(preparation);
      return scored === null ? null : { ...scored, found: scored.ap };
    },
    compare: async (base, other) => ({ ap: other - base, interval: [other - base - noise, other - base + noise] }),
  };
}

/** A network trained with one preparation: another range finds nothing, other channel orders or resize rules score less. */
function trainedOn(truth: Preparation, noise?: number): Judge<number> {
  return judgeOf(({ color, range, resize }) => {
    const ap =
      range === truth.range ? 0.5 - (color === truth.color ? 0 : 0.1) - (resize === truth.resize ? 0 : 0.02) : 0;
    return { ap, ap50: ap };
  }, noise);
}

describe('choosing the preparation by average precision', () => {
  it.each<Preparation>([
    { color: 'rgb', range: 1, resize: 'letterbox' },
    { color: 'bgr', range: 255, resize: 'stretch' },
    { color: 'bgr', range: 1, resize: 'letterbox-top-left' },
    { color: 'rgb', range: 255, resize: 'letterbox-top-left' },
  ])('whatever it was: $color, $range, $resize', async (truth) => {
    const { best, trials } = await tryPreparations(START, new Set(), trainedOn(truth));
    expect(best).toMatchObject({ ...truth, ap: 0.5 });
    // The start, another range, other colours, two other fits.
    expect(trials).toHaveLength(5);
  });

  it('keeps what the user stated', async () => {
    const truth = { color: 'bgr', range: 255, resize: 'stretch' } as const;
    const { best, trials } = await tryPreparations(START, new Set(['range', 'resize']), trainedOn(truth));
    expect(trials.map(({ range, resize }) => [range, resize])).toEqual([
      [1, 'letterbox'],
      [1, 'letterbox'],
    ]);
    expect(best).toMatchObject(START);
  });

  it('keeps the start if others are equal, and skips preparations that cannot be run', async () => {
    const { best, trials } = await tryPreparations(
      START,
      new Set(),
      judgeOf(({ range }) => (range === 255 ? null : { ap: 0.25, ap50: 0.5 })),
    );
    expect(best).toEqual({ ...START, ap: 0.25, ap50: 0.5, gain: null });
    expect(trials.some(({ range }) => range === 255)).toBe(false);
  });

  it('keeps the default resize rule while a better score may be chance', async () => {
    const truth: Preparation = { ...START, resize: 'letterbox-top-left' };
    expect((await tryPreparations(START, new Set(), trainedOn(truth, 0.03))).best.resize).toBe('letterbox');
    expect((await tryPreparations(START, new Set(), trainedOn(truth, 0.01))).best.resize).toBe('letterbox-top-left');
  });

  it('takes any preparation that can be run where the default cannot', async () => {
    const judge = judgeOf(({ range }) => (range === 1 ? null : { ap: 0.2, ap50: 0.3 }));
    expect((await tryPreparations(START, new Set(), judge)).best).toMatchObject({ range: 255, ap: 0.2 });
  });

  it('states the gain of each trial over the setting before it', async () => {
    const { trials } = await tryPreparations(START, new Set(['range', 'color']), trainedOn(START));
    expect(trials.map(({ resize, gain }) => [resize, gain?.ap.toFixed(2)])).toEqual([
      ['letterbox', undefined],
      ['stretch', '-0.02'],
      ['letterbox-top-left', '-0.02'],
    ]);
  });
});

describe('trials by running the model', () => {
  it('compute a quantised file in int8, which is all it can, and others in f32', () => {
    const annotations = { path: 'a.json', iouType: 'bbox', images: [], categories: [], annotations: [] } as never;
    const precisionOf = (model: string): string =>
      judgeByRunning({ model, images: '.' }, annotations, {} as never).precision;
    expect(precisionOf(quantisedModel().path)).toBe('int8');
    expect(precisionOf(tinyModel().path)).toBe('f32');
  });
});
