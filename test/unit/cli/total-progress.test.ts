import { describe, expect, it } from 'vitest';
import type { DetectItem, DetectSource } from '../../../src/cli/detect-plan.ts';
import { TotalProgress } from '../../../src/cli/total-progress.ts';

const gone = (name: string): DetectSource => {
  const isPicture = name.endsWith('.jpg');
  return { path: `/gone/${name}`, isPicture, name, stem: name };
};

/** Two videos and four pictures, none of which exists: each item counts the same. */
const ITEMS: readonly DetectItem[] = [
  { order: 0, kind: 'video', sources: [gone('a.mp4')] },
  { order: 1, kind: 'pictures', sources: ['1.jpg', '2.jpg', '3.jpg', '4.jpg'].map(gone) },
  { order: 2, kind: 'video', sources: [gone('b.mp4')] },
];

describe('the progress over all inputs', () => {
  let nowMs = 0;
  const shown: { done: number; text: string }[] = [];
  const start = (): TotalProgress => {
    nowMs = 0;
    shown.length = 0;
    const bar = {
      update: (done: number, _: number, text: string) => shown.push({ done, text }),
      stop: () => undefined,
    };
    return new TotalProgress(bar, ITEMS, () => nowMs);
  };
  const at = (ms: number, run: () => void): { done: number; text: string } => {
    nowMs = ms;
    run();
    return shown.at(-1)!;
  };

  it('says which file of how many, and the time left over all', () => {
    const progress = start();
    at(0, () => progress.update(ITEMS[0]!, 0));
    const half = at(10_000, () => progress.update(ITEMS[0]!, 0.5));
    expect(half.done).toBeCloseTo(1 / 6);
    expect(half.text).toBe('file 1 of 6 | /gone/a.mp4 | 2 of about 12 frames | 0.2 fps | 50s left');
    progress.done(ITEMS[0]!);
    expect(at(30_000, () => progress.update(ITEMS[1]!, 0.5)).text).toContain('file 4 of 6 | /gone/3.jpg');
  });

  it('does not count what an earlier run has done as its own speed', () => {
    const progress = start();
    progress.done(ITEMS[0]!);
    at(0, () => progress.update(ITEMS[1]!, 0.5));
    const { done, text } = at(60_000, () => progress.update(ITEMS[1]!, 0.75));
    expect(done).toBeCloseTo(1 / 3 + 0.25);
    // 1/12 of all in a minute, 5/12 are left.
    expect(text).toContain('| 5m0s left');
    // These two frames are 1/12 of all, and half of all is left to this run.
    expect(text).toContain('| 2 of about 12 frames |');
  });
});
