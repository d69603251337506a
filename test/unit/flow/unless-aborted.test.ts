import { describe, expect, it } from 'vitest';
import { abortedFirst } from '../../../src/flow/unless-aborted.ts';

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
