import { describe, expect, it } from 'vitest';
import { monoNowMs, systemClock } from '../../../../src/base/core/clock.ts';
import { unpackDetections } from '../../../../src/base/core/detection.ts';
import { DROP_REASONS } from '../../../../src/base/core/frame.ts';
import { ID_PATTERN } from '../../../../src/base/core/ids.ts';

describe('unpackDetections', () => {
  it('reads six columns per row and labels the class', () => {
    const rows = Float32Array.of(1, 2, 3, 4, 0.5, 1, 5, 6, 7, 8, 0.25, 9);
    expect(unpackDetections(rows, ['person', 'bicycle'])).toEqual([
      { classId: 1, label: 'bicycle', score: 0.5, box: [1, 2, 3, 4] },
      { classId: 9, label: 'class 9', score: 0.25, box: [5, 6, 7, 8] },
    ]);
  });

  it('skips an incomplete row', () => {
    expect(unpackDetections(new Float32Array(11), ['a'])).toHaveLength(1);
    expect(unpackDetections(new Float32Array(0), [])).toEqual([]);
  });
});

describe('ID_PATTERN', () => {
  it.each(['a', 'Camera-1', 'x.y_z', '0', 'a'.repeat(64)])('accepts %s', (id) => {
    expect(ID_PATTERN.test(id)).toBe(true);
  });

  it.each(['', '-a', '.hidden', 'a b', 'a/b', 'ä', 'a\n', 'a'.repeat(65)])('refuses %j', (id) => {
    expect(ID_PATTERN.test(id)).toBe(false);
  });
});

it('every drop reason has a description that is a sentence', () => {
  for (const text of Object.values(DROP_REASONS)) expect(text).toMatch(/^[A-Z].+\.$/);
});

describe('systemClock', () => {
  it('never goes back', () => {
    let last = monoNowMs();
    for (let i = 0; i < 1000; i++) {
      const now = monoNowMs();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  it('cancels a timer', async () => {
    let fired = 0;
    systemClock.setTimer(() => {
      fired += 1;
    }, 1)();
    await new Promise<void>((resolve) => {
      systemClock.setTimer(resolve, 5);
      // The clock's timers do not keep a process alive; this one does for the duration of the test.
      setTimeout(() => undefined, 50);
    });
    expect(fired).toBe(0);
  });
});
