import { describe, expect, it } from 'vitest';
import { overlapped } from '../../../../src/base/flow/overlapped.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

/** Lets everything run that waits for no timer. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('overlapped', () => {
  const rig = (items: readonly string[], atOnce: number) => {
    const clock = new ManualClock();
    const begun: string[] = [];
    const ends = new Map<string, (error?: Error) => void>();
    const all = overlapped(
      items,
      (item) =>
        new Promise<string>((resolve, reject) => {
          begun.push(item);
          ends.set(item, (error) => (error === undefined ? resolve(`${item} ended`) : reject(error)));
        }),
      { atOnce, slowMs: 1_000, clock },
    );
    return { clock, begun, all, end: (item: string, error?: Error) => ends.get(item)!(error) };
  };

  it('begins in order, so many at once, and returns the results in that order', async () => {
    const { begun, all, end } = rig(['a', 'b', 'c', 'd'], 2);
    expect(begun).toEqual(['a', 'b']);
    end('b');
    await settle();
    expect(begun).toEqual(['a', 'b', 'c']);
    end('a');
    await settle();
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
    end('d');
    end('c');
    expect(await all).toEqual(['a ended', 'b ended', 'c ended', 'd ended']);
  });

  it('no longer counts those that take long', async () => {
    const { clock, begun, all, end } = rig(['a', 'b', 'c', 'd', 'e'], 2);
    clock.advance(999);
    await settle();
    expect(begun).toEqual(['a', 'b']);
    clock.advance(1);
    await settle();
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
    // It is counted no more, so its end makes no further room.
    end('a');
    await settle();
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
    end('c');
    await settle();
    for (const item of ['b', 'd', 'e']) end(item);
    expect(await all).toHaveLength(5);
  });

  it('throws the error of the first item that failed, once all have ended', async () => {
    const { all, end } = rig(['a', 'b', 'c'], 3);
    let isOver = false;
    const outcome = all.catch((error: Error) => {
      isOver = true;
      return error.message;
    });
    end('c', new Error('of c'));
    end('b', new Error('of b'));
    await settle();
    expect(isOver).toBe(false);
    end('a');
    expect(await outcome).toBe('of b');
  });

  it('of nothing is nothing', async () => {
    expect(await rig([], 2).all).toEqual([]);
  });
});
