import { describe, expect, it } from 'vitest';
import { FenceWatch } from '../../../../../src/fleet/control/view/fence-watch.ts';

describe('fence watch', () => {
  it('never trusts a message alone, however high its fence', () => {
    const fences = new FenceWatch();
    expect(fences.judge('gate', 'h1', 4)).toBe('newer');
    fences.confirm('gate', { hostId: 'h1', fence: 4 });
    expect(fences.judge('gate', 'h9', 9e15)).toBe('newer');
    expect(fences.judge('gate', 'h1', 4), 'the holder counts as before').toBe('current');
  });

  it('distinguishes the current holder, an older one, one without a lease, and one with a foreign fence', () => {
    const fences = new FenceWatch();
    fences.confirm('gate', { hostId: 'h1', fence: 7 });
    expect(fences.judge('gate', 'h1', 7)).toBe('current');
    expect(fences.judge('gate', 'h1', 4)).toBe('stale');
    expect(fences.judge('gate', 'h1', null)).toBe('stale');
    expect(fences.judge('gate', 'h2', 7)).toBe('foreign');
    expect(fences.judge('yard', 'h2', 7)).toBe('newer');
  });

  it('replaces an older lease by a newer one, never the reverse', () => {
    const fences = new FenceWatch();
    fences.confirm('gate', { hostId: 'h1', fence: 4 });
    fences.confirm('gate', { hostId: 'h2', fence: 9 });
    fences.confirm('gate', { hostId: 'h1', fence: 2 });
    expect(fences.judge('gate', 'h2', 9)).toBe('current');
    expect(fences.judge('gate', 'h1', 4)).toBe('stale');
    expect(fences.highest('gate')).toBe(9);
  });

  it('accepts a lower fence after three seconds of snapshots, not after a single one', () => {
    const fences = new FenceWatch();
    const snapshot = (hostId: string, fence: number) => new Map([['gate', { hostId, fence }]]);
    fences.update(snapshot('h9', 9e15), 0);
    fences.update(snapshot('h1', 7), 1_000);
    fences.update(snapshot('h1', 7), 3_900);
    expect(fences.judge('gate', 'h9', 9e15)).toBe('current');
    fences.update(snapshot('h1', 7), 4_000);
    expect(fences.judge('gate', 'h1', 7)).toBe('current');
    expect(fences.judge('gate', 'h9', 9e15)).toBe('newer');

    fences.update(snapshot('h2', 8), 5_000);
    fences.update(snapshot('h1', 7), 5_100);
    fences.update(snapshot('h2', 8), 6_000);
    fences.update(snapshot('h1', 7), 9_000);
    expect(fences.judge('gate', 'h2', 8), 'old snapshots with a newer one between them').toBe('current');
  });

  it('removes streams that are gone', () => {
    const fences = new FenceWatch();
    fences.confirm('gate', { hostId: 'h1', fence: 4 });
    fences.confirm('yard', { hostId: 'h1', fence: 5 });
    fences.keepOnly(new Set(['yard']));
    expect([fences.highest('gate'), fences.highest('yard')]).toEqual([-1, 5]);
  });
});
