import { readFileSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Resampler, type ResamplerKernel } from '../../../../src/frame/preprocess/resampler.ts';

interface Fixture {
  readonly source: { readonly width: number; readonly height: number };
  readonly pictures: readonly {
    readonly kernel: ResamplerKernel;
    readonly width: number;
    readonly height: number;
    readonly rgb: string;
  }[];
}

/** Output of OpenCV and Pillow. */
const FIXTURE = JSON.parse(readFileSync('test/unit/frame/preprocess/resampled.json', 'utf8')) as Fixture;

/** Noise: the high bits of a multiplicative hash. */
function noise({ width, height }: { width: number; height: number }): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.imul(i, 2654435761) >>> 21) & 255);
}

describe('Resampler', () => {
  it.each(FIXTURE.pictures)('$kernel to $width x $height equals OpenCV or Pillow to within one level', (wanted) => {
    const expected = Buffer.from(wanted.rgb, 'base64');
    const received = new Uint8Array(expected.length);
    new Resampler(FIXTURE.source, wanted, wanted.kernel).run(noise(FIXTURE.source), received, 0, wanted.width * 3);
    const differences = received.map((level, i) => Math.abs(level - expected[i]!));
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  });

  it.each(['linear', 'cubic', 'area', 'antialiased-linear'] as const)(
    '%s keeps the level of a uniform picture, up to its edges',
    (kernel) => {
      const target = new Uint8Array(37 * 11 * 3);
      new Resampler({ width: 101, height: 5 }, { width: 37, height: 11 }, kernel).run(
        new Uint8Array(101 * 5 * 3).fill(201),
        target,
        0,
        37 * 3,
      );
      expect(new Set(target)).toEqual(new Set([201]));
    },
  );

  it('writes only its part of a larger picture', () => {
    const target = new Uint8Array(6 * 5 * 3).fill(7);
    new Resampler({ width: 8, height: 8 }, { width: 3, height: 2 }, 'linear').run(
      new Uint8Array(8 * 8 * 3).fill(90),
      target,
      (1 * 6 + 2) * 3,
      6 * 3,
    );
    const rows = Array.from({ length: 5 }, (_, y) =>
      Array.from({ length: 6 }, (_, x) => target[(y * 6 + x) * 3]!).join(' '),
    );
    expect(rows).toEqual(['7 7 7 7 7 7', '7 7 90 90 90 7', '7 7 90 90 90 7', '7 7 7 7 7 7', '7 7 7 7 7 7']);
  });

  it.each(['linear', 'cubic', 'area'] as const)('%s makes no garbage with a picture', async (kernel) => {
    const source = noise({ width: 960, height: 540 });
    const target = new Uint8Array(455 * 256 * 3);
    const resampler = new Resampler({ width: 960, height: 540 }, { width: 455, height: 256 }, kernel);
    const collections = new PerformanceObserver(() => undefined);
    collections.observe({ entryTypes: ['gc'] });
    for (let i = 0; i < 40; i++) resampler.run(source, target, 0, 455 * 3);
    await turn();
    // An object for each pixel would be 9 million of them.
    expect(collections.takeRecords().length).toBeLessThan(20);
    collections.disconnect();
  });

  it('gives the same result for a repeated picture', () => {
    const resampler = new Resampler(FIXTURE.source, { width: 9, height: 7 }, 'cubic');
    const [first, second] = [new Uint8Array(189), new Uint8Array(189)];
    resampler.run(noise(FIXTURE.source), first, 0, 27);
    resampler.run(new Uint8Array(23 * 17 * 3).fill(255), second, 0, 27);
    resampler.run(noise(FIXTURE.source), second, 0, 27);
    expect(second).toEqual(first);
  });
});
