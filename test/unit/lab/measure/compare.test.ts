import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import {
  type ComparisonOptions,
  compareInterleaved,
  comparisonVerdict,
  interleavedOrder,
} from '../../../../src/lab/measure/compare.ts';
import { streamFigures, trialResult } from '../../../support/trial-figures.ts';

function options(changes: Partial<ComparisonOptions> = {}): ComparisonOptions {
  return { seed: 1, signal: new AbortController().signal, note: () => undefined, ...changes };
}

describe('a verdict', () => {
  it.each([
    [[1.021, 1.3], 'better'],
    [[1.019, 1.3], 'inconclusive'],
    [[1, 1.02], 'inconclusive'],
    [[0.9, 1.1], 'inconclusive'],
    [[0.7, 0.981], 'inconclusive'],
    [[0.7, 0.979], 'worse'],
  ] as const)('on the interval %j is %s: it must clear the margin of 2 %%', (interval, verdict) => {
    expect(comparisonVerdict(interval)).toBe(verdict);
  });
});

describe('a comparison', () => {
  it('measures A B B A and so on', async () => {
    expect(interleavedOrder(4).join('')).toBe('abbaabba');
    const measured: string[] = [];
    const { order, a, b } = await compareInterleaved(
      async (which) => {
        measured.push(which);
        return trialResult();
      },
      'offline',
      options({ pairs: 5 }),
    );
    expect(measured.join('')).toBe('abbaabbaab');
    expect(order).toBe('ABBAABBAAB');
    expect([a.length, b.length]).toEqual([5, 5]);
  });

  it('is not fooled by a machine that slows down all the time', async () => {
    let speed = 100;
    const { verdict, ratio } = await compareInterleaved(
      async () => {
        speed *= 0.97;
        return trialResult({ fps: speed });
      },
      'offline',
      options(),
    );
    expect(verdict).toBe('inconclusive');
    expect(ratio).toBeCloseTo(1, 2);
  });

  it('sees what is 10 % faster although the machine drifts and is noisy', async () => {
    const random = seededRandom(4);
    const { verdict, interval } = await compareInterleaved(
      async (which) => trialResult({ fps: 100 * (which === 'b' ? 1.1 : 1) * (1 + 0.02 * (random() - 0.5)) }),
      'offline',
      options(),
    );
    expect(verdict).toBe('better');
    expect(interval[0]).toBeLessThan(1.1);
    expect(interval[1]).toBeGreaterThan(1.1);
  });

  it('less latency of the slowest stream and less CPU are better', async () => {
    const measure = async (which: 'a' | 'b') => {
      const by = which === 'b' ? 2 : 1;
      const of = (id: string, ms: number) => streamFigures(id, new Array<number>(100).fill(ms), []);
      return trialResult({
        // All together look alike.
        latencyMs: { count: 300, p50: 1, p95: 1, p99: 40, max: 1 },
        perStream: [of('a', 10), of('slow', 40 / by), of('c', 10)],
        cpuMsPerFrame: { decode: 0, preprocess: 0, infer: 0, main: 0, total: 30 * by },
      });
    };
    expect(await compareInterleaved(measure, 's', options({ metric: 'p99' }))).toMatchObject({ verdict: 'better' });
    const cpu = await compareInterleaved(measure, 's', options({ metric: 'cpu' }));
    expect(cpu.verdict).toBe('worse');
    expect(cpu.ratio).toBeCloseTo(0.5, 12);
  });

  it('refuses fewer pairs than an interval needs, before it measures', async () => {
    const measure = (): never => {
      throw new Error('measured');
    };
    await expect(compareInterleaved(measure, 's', options({ pairs: 4 }))).rejects.toThrow(RangeError);
  });

  it('ends when it is aborted', async () => {
    const stop = new AbortController();
    const measure = async () => {
      stop.abort();
      return trialResult();
    };
    await expect(compareInterleaved(measure, 's', options({ signal: stop.signal }))).rejects.toThrow('aborted');
  });
});
