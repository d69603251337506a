import { describe, expect, it } from 'vitest';
import { FenceWatch } from '../../../../src/control/view/fence-watch.ts';

describe('fence watch', () => {
  it('admits the present holder again and again, and a newer one', () => {
    const fences = new FenceWatch();
    expect([4, 4, 7, 7].map((fence) => fences.admits('gate', fence))).toEqual([true, true, true, true]);
    expect(fences.staleCount).toBe(0);
  });

  it('drops and counts what an older holder says, and what has no fence', () => {
    const fences = new FenceWatch();
    fences.admits('gate', 7);
    expect(fences.admits('gate', 4)).toBe(false);
    expect(fences.admits('gate', null)).toBe(false);
    expect(fences.admits('yard', 4)).toBe(true);
    expect(fences.staleCount).toBe(2);
  });

  it('knows a new holder by its lease, before it has said a word', () => {
    const fences = new FenceWatch();
    fences.admits('gate', 4);
    fences.raise('gate', 9);
    expect(fences.admits('gate', 4)).toBe(false);
    fences.raise('gate', 2);
    expect(fences.highest('gate')).toBe(9);
  });

  it('forgets the streams that are gone', () => {
    const fences = new FenceWatch();
    fences.admits('gate', 4);
    fences.admits('yard', 5);
    fences.keepOnly(new Set(['yard']));
    expect([fences.highest('gate'), fences.highest('yard')]).toEqual([0, 5]);
  });
});
