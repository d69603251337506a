import { describe, expect, it } from 'vitest';
import { DueClock } from '../../../../src/lab/measure/run-recorder.ts';

const PERIOD_MS = 40;

/** Arrivals of a camera at 25 frames/s that began at 1 s; frame k comes `lateMs[k]` after it is due. */
function clockOf(lateMs: readonly number[]): { clock: DueClock; lateness: number[] } {
  const clock = new DueClock();
  const arrivals = lateMs.map((late, k) => ({
    ptsUs: k * PERIOD_MS * 1000,
    capturedMs: 1000 + k * PERIOD_MS + late,
  }));
  for (const arrival of arrivals) clock.observe(arrival);
  return { clock, lateness: arrivals.map(({ ptsUs, capturedMs }) => capturedMs - clock.dueMs(ptsUs)) };
}

describe('the clock of a camera', () => {
  it('a stall of the decoder counts for every frame that it delays, not for the first alone', () => {
    // Frames 3 to 6 were all delivered at once, when frame 6 was due.
    expect(clockOf([0, 0, 0, 120, 80, 40, 0, 0]).lateness).toEqual([0, 0, 0, 120, 80, 40, 0, 0]);
  });

  it('takes its origin from the frame that was late the least, even if the first ones were late', () => {
    // ffmpeg takes 500 ms until it has caught up with its own pace.
    expect(clockOf([500, 300, 100, 5, 0, 7]).lateness).toEqual([500, 300, 100, 5, 0, 7]);
  });

  it('never says that a frame was delivered before it was due', () => {
    expect(Math.min(...clockOf([3, 9, 2, 8, 4]).lateness)).toBe(0);
  });
});
