import { describe, expect, it } from 'vitest';
import { abortedFirst, unlessAborted } from '../../../../src/base/flow/unless-aborted.ts';

describe('unlessAborted', () => {
  const rig = (work: Promise<string>, signal: AbortSignal | undefined) => {
    const undone: string[] = [];
    return { undone, outcome: unlessAborted(work, signal, async (result) => undone.push(result)) };
  };
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  it('returns the result of work that ends without a signal, or before one, and undoes nothing', async () => {
    for (const hasSignal of [false, true]) {
      const stop = new AbortController();
      const { undone, outcome } = rig(Promise.resolve('done'), hasSignal ? stop.signal : undefined);
      expect(await outcome).toBe('done');
      stop.abort();
      await settle();
      expect(undone).toEqual([]);
    }
  });

  it.each([
    ['comes while it waits', false],
    ['had come before', true],
  ])('throws the reason of a signal that %s, and undoes the result that comes later', async (_, isBefore) => {
    const stop = new AbortController();
    if (isBefore) stop.abort(new Error('stopped'));
    let end = (_: string): void => undefined;
    const work = new Promise<string>((resolve) => {
      end = resolve;
    });
    const { undone, outcome } = rig(work, stop.signal);
    stop.abort(new Error('stopped'));
    await expect(outcome).rejects.toThrow('stopped');
    expect(undone).toEqual([]);
    end('opened after all');
    await settle();
    expect(undone).toEqual(['opened after all']);
  });

  it('throws what the work throws, with nothing to undo and nobody left who listens to the signal', async () => {
    const { signal } = new AbortController();
    let listening = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listening += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listening -= 1;
      removeEventListener.apply(signal, args);
    };
    const { undone, outcome } = rig(Promise.reject(new Error('broken')), signal);
    expect(listening).toBe(1);
    await expect(outcome).rejects.toThrow('broken');
    await settle();
    expect([undone, listening]).toEqual([[], 0]);
  });
});

describe('abortedFirst', () => {
  it('throws why it was stopped, not that a program it waited for was killed by the same signal a moment before', async () => {
    const stop = new AbortController();
    const outcome = abortedFirst(Promise.reject(new Error('ffmpeg cannot be run: SIGTERM')), stop.signal);
    stop.abort(new Error('stopped'));
    await expect(outcome).rejects.toThrow('stopped');
  });

  it('throws what the work throws without a stop, and returns its result', async () => {
    const { signal } = new AbortController();
    await expect(abortedFirst(Promise.reject(new Error('no ffmpeg')), signal)).rejects.toThrow('no ffmpeg');
    expect(await abortedFirst(Promise.resolve(1), signal)).toBe(1);
  });
});
