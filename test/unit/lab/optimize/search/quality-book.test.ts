import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../../../../src/lab/optimize/result.ts';
import type { Quality } from '../../../../../src/lab/optimize/search/evaluator.ts';
import { QualityBook } from '../../../../../src/lab/optimize/search/quality-book.ts';
import { BASELINE as PLAIN } from '../../../../support/sample-steps.ts';

const BASE: Configuration = {
  ...PLAIN,
  model: 'large',
  resizeBy: 'ffmpeg',
};
const SMALL = { ...BASE, model: 'small' };

function quality(loss: number, upperBound: number): Quality {
  const verdict = upperBound <= 0.02 ? 'passed' : 'refused';
  const chance = verdict === 'passed' ? 0.9 : 0.07;
  return {
    verdict,
    ap: 0.33 - loss,
    loss,
    upperBound,
    allowed: 0.02,
    chance,
    reason: 'in a test',
    differences: [],
    measurements: [],
  };
}

function bookWith(...judged: [Configuration, Quality][]): QualityBook {
  const models = ['large', 'small'].map((name) => ({ name, inputSize: '512x512', anySize: true, reportedAp: null }));
  const book = new QualityBook(models, 'large');
  book.add(BASE, quality(0, 0));
  for (const [configuration, result] of judged) book.add(configuration, result);
  return book;
}

describe('what is likely for a configuration that was not judged', () => {
  const bf16 = { ...SMALL, engine: 'openvino', precision: 'bf16' } as const;

  it('a format of a network that was refused in another one is ruled out, with the figure', () => {
    expect(bookWith([SMALL, quality(0.05, 0.08)]).likelyRefusal(bf16)).toBe(
      'small at 512x512 lost 0.050 AP in f32, a chance of 7 % to pass; its formats hardly differ',
    );
  });

  it('a network that passed the screening is screened in other formats', () => {
    expect(bookWith([SMALL, quality(0.0, 0.015)]).likelyRefusal(bf16)).toBeNull();
  });

  it('what a smaller input loses is expected to be less at the published one', () => {
    const tiny = { ...SMALL, inputSize: '256x256' };
    const larger = { ...SMALL, inputSize: '384x384' };
    expect(bookWith([tiny, quality(0.08, 0.1)]).likelyRefusal({ ...SMALL, inputSize: '288x288' })).not.toBeNull();
    expect(bookWith([tiny, quality(0.04, 0.06)]).likelyRefusal(larger)).toBeNull();
    // Above the published size it is not expected to gain more.
    const [published, huge] = ['512x512', '1024x1024'].map((inputSize) =>
      bookWith([tiny, quality(0.12, 0.13)]).likelyRefusal({ ...SMALL, inputSize }),
    );
    expect(published).toContain('expected to lose 0.053');
    expect(huge).toContain('expected to lose 0.053');
  });

  it('so is one that skips work, since skipping never makes it better', () => {
    const [skipping, book] = [{ ...SMALL, skipUnchanged: true }, bookWith([SMALL, quality(0.05, 0.08)])];
    expect(book.likelyRefusal(skipping)).toContain('lost 0.050 AP in f32');
    expect(bookWith([skipping, quality(0.05, 0.08)]).likelyRefusal(SMALL)).toBeNull();
  });

  it('a size of another aspect says less than the stated figure of the published size', () => {
    const models = ['large', 'small'].map((name, at) => ({
      name,
      inputSize: '512x512',
      anySize: true,
      reportedAp: 0.33 + 0.05 * at,
    }));
    const book = new QualityBook(models, 'large');
    book.add(BASE, quality(0, 0));
    book.add({ ...SMALL, inputSize: '512x288' }, quality(0.05, 0.07));
    expect(book.likelyRefusal({ ...SMALL, inputSize: '448x448' })).toBeNull();
    expect(book.likelyRefusal({ ...SMALL, inputSize: '480x256' })).toContain('expected to lose');
  });

  it('INT8 says nothing about the float formats; a float format rules INT8 out', () => {
    const int8 = { ...SMALL, precision: 'int8' } as const;
    expect(bookWith([int8, quality(0.05, 0.08)]).likelyRefusal(bf16)).toBeNull();
    expect(bookWith([bf16, quality(0.05, 0.08)]).likelyRefusal(int8)).toContain('lost 0.050 AP in bf16');
  });

  it('the chance to pass is that of another format, nothing where a loss is expected, and open where nothing is known', () => {
    const likely = { ...quality(0.01, 0.015), chance: 0.3 };
    expect(bookWith([SMALL, likely]).chanceOf(SMALL)).toBe(0.3);
    expect(bookWith([SMALL, likely]).chanceOf(bf16)).toBe(0.3);
    expect(bookWith([SMALL, quality(0.05, 0.08)]).chanceOf(bf16)).toBe(0);
    expect(bookWith().chanceOf(SMALL)).toBe(1);
  });

  it('with few pictures only a network that states more is likely to pass; with many, one that loses little', () => {
    const models = (
      [
        ['large', 0.33],
        ['better', 0.377],
        ['nearly', 0.32],
      ] as const
    ).map(([name, reportedAp]) => ({ name, inputSize: '512x512', anySize: true, reportedAp }));
    const chance = (model: string, pictures: number, inputSize = '512x512'): number => {
      const book = new QualityBook(models, 'large', pictures);
      book.add(BASE, quality(0, 0));
      return book.chanceOf({ ...BASE, model, inputSize });
    };
    expect(chance('better', 75)).toBeGreaterThan(0.9);
    expect(chance('nearly', 75)).toBeLessThan(0.6);
    expect(chance('nearly', 5000)).toBeGreaterThan(0.85);
    // A smaller input, or one of another aspect, loses.
    expect(chance('better', 75, '320x320')).toBeLessThan(chance('better', 75));
    expect(chance('better', 75, '672x384')).toBeLessThan(chance('better', 75));
  });
});
