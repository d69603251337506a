import { describe, expect, it } from 'vitest';
import { type Preparation, tryPreparations } from '../../../src/cli/try-preparations.ts';

const START: Preparation = { color: 'rgb', range: 1, resize: 'letterbox' };

/** A network trained with one preparation: another range finds nothing, other channel orders or resize rules score less. */
function trainedOn(truth: Preparation) {
  return async ({ color, range, resize }: Preparation) => {
    const ap =
      range === truth.range ? 0.5 - (color === truth.color ? 0 : 0.1) - (resize === truth.resize ? 0 : 0.02) : 0;
    return { ap, ap50: ap };
  };
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
    const { best, trials } = await tryPreparations(START, new Set(), async ({ range }) =>
      range === 255 ? null : { ap: 0.25, ap50: 0.5 },
    );
    expect(best).toEqual({ ...START, ap: 0.25, ap50: 0.5 });
    expect(trials.some(({ range }) => range === 255)).toBe(false);
  });
});
