import { describe, expect, it } from 'vitest';
import { findCapacity } from '../../../../src/lab/measure/find-capacity.ts';
import type { TargetVerdict, TrialResult } from '../../../../src/lab/measure/trial-result.ts';
import { streamFigures, trialResult } from '../../../support/trial-figures.ts';

const { signal } = new AbortController();
const note = (): void => undefined;

/** A host that meets its targets with at most `capacity` cameras; records the numbers that were tried. */
function host(capacity: number, short: TargetVerdict['state'] = 'missed') {
  const tried: number[] = [];
  const measure = async (streams: number): Promise<TrialResult> => {
    tried.push(streams);
    const state = streams <= capacity ? 'met' : short;
    return trialResult({ streams, targets: [{ target: 'p99<=50ms', measured: 1, state, reason: '', gap: 0 }] });
  };
  return { tried, measure };
}

describe('the search for the capacity', () => {
  it('finds the largest number of cameras, from any start', async () => {
    for (const capacity of [1, 2, 3, 7, 8, 9, 31, 100])
      for (const start of [1, 5, 64]) {
        const { measure } = host(capacity);
        const found = await findCapacity(measure, { start, signal, note });
        expect(found.streams, `capacity ${capacity}, start ${start}`).toBe(capacity);
        expect(found.result.streams).toBe(capacity);
        expect(found.isLimited).toBe(false);
      }
  });

  it('proves the number and the one above it twice; a disturbance of either side changes nothing', async () => {
    for (const [at, wrong] of [
      [9, 0.3],
      [10, 0],
    ] as const) {
      const tried: number[] = [];
      const met = { target: 'p99<=50ms', measured: 1, state: 'met', reason: '', gap: 0 } as const;
      const disturbed = async (streams: number): Promise<TrialResult> => {
        tried.push(streams);
        const isFirst = tried.filter((other) => other === streams).length === 1;
        const dropRatio = streams === at && isFirst ? wrong : streams > 9 ? 0.3 : 0;
        return trialResult({ streams, targets: [met], dropRatio });
      };
      const found = await findCapacity(disturbed, { signal, note });
      expect(found).toMatchObject({ streams: 9, result: { streams: 9, dropRatio: 0 } });
      for (const number of [9, 10])
        expect(tried.filter((other) => other === number)).toHaveLength(number === at ? 3 : 2);
    }
  });

  it('asks for proofs only where it breaks', async () => {
    const proofs: [number, boolean][] = [];
    const { measure } = host(12);
    await findCapacity(
      (streams, isProof) => {
        proofs.push([streams, isProof]);
        return measure(streams);
      },
      { signal, note },
    );
    expect(proofs.filter(([, isProof]) => isProof)).toEqual([
      [13, true],
      [12, true],
    ]);
  });

  it('is 0 if not even one camera meets the targets, and says why', async () => {
    const { measure } = host(0);
    const found = await findCapacity(measure, { start: 4, signal, note });
    expect(found.streams).toBe(0);
    expect(found.result.targets[0]!.state).toBe('missed');
  });

  it('says that more may be possible where the limit of the search was reached', async () => {
    const { measure } = host(1000);
    expect(await findCapacity(measure, { most: 24, signal, note })).toMatchObject({ streams: 24, isLimited: true });
  });

  it('too few frames to judge a target never count as met', async () => {
    const { measure } = host(3, 'not enough frames');
    expect((await findCapacity(measure, { signal, note })).streams).toBe(3);
  });

  it('a short latency does not count where frames are dropped, unless a target allows it', async () => {
    const met = (target: string): TargetVerdict => ({ target, measured: 1, state: 'met', reason: '', gap: 0 });
    const measure = (targets: readonly TargetVerdict[]) => async (streams: number) =>
      trialResult({ streams, targets, dropRatio: streams > 6 ? 0.3 : 0.005 });
    const strict = await findCapacity(measure([met('p99<=50ms')]), { signal, note });
    expect(strict.streams).toBe(6);
    const lenient = await findCapacity(measure([met('p99<=50ms'), met('drops<=40%')]), { most: 20, signal, note });
    expect(lenient.streams).toBe(20);
  });

  it('one camera that loses its frames among sixteen is too many dropped', async () => {
    const met = { target: 'p99<=50ms', measured: 1, state: 'met', reason: '', gap: 0 } as const;
    const measure = async (streams: number): Promise<TrialResult> => {
      const perStream = Array.from({ length: streams }, (_, i) =>
        streamFigures(`trial-${i + 1}`, new Array<number>(600).fill(20), [], {
          dropped: streams > 16 && i === 3 ? 80 : 0,
        }),
      );
      return trialResult({ streams, targets: [met], perStream, dropRatio: streams > 16 ? 80 / (600 * streams) : 0 });
    };
    expect((await findCapacity(measure, { signal, note })).streams).toBe(16);
  });

  it('a target for the number of streams does not end the search below it', async () => {
    const { measure } = host(12);
    const wanted = { target: 'streams>=8', measured: 1, gap: -0.9, state: 'missed', reason: '' } as const;
    const counted = async (streams: number): Promise<TrialResult> => {
      const result = await measure(streams);
      return { ...result, targets: [...result.targets, wanted] };
    };
    expect((await findCapacity(counted, { signal, note })).streams).toBe(12);
  });

  it('ends when it is aborted, and refuses to search without targets', async () => {
    const stop = new AbortController();
    const { measure, tried } = host(100);
    const counted = async (streams: number): Promise<TrialResult> => {
      if (streams === 4) stop.abort();
      return measure(streams);
    };
    await expect(findCapacity(counted, { signal: stop.signal, note })).rejects.toThrow('aborted');
    expect(tried).toEqual([1, 2, 4]);
    await expect(findCapacity(async () => trialResult(), { signal, note })).rejects.toThrow(RangeError);
  });
});
