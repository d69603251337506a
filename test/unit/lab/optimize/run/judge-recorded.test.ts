import { describe, expect, it } from 'vitest';
import { parseTargets } from '../../../../../src/lab/measure/targets.ts';
import type { TrialResult } from '../../../../../src/lab/measure/trial-result.ts';
import { judgeRecorded } from '../../../../../src/lab/optimize/run/judge-recorded.ts';

const SECONDS = 10;

/** A run in which one stream published so many frames per second. */
function runAt(fps: number): TrialResult {
  const frames = fps * SECONDS;
  const stream = { id: 'camera-1', fps, frames, entered: frames, dropped: 0, counts: [] };
  return { perStream: [stream], streams: 1, seconds: SECONDS, dropRatio: 0 } as unknown as TrialResult;
}

const stateOf = (target: string, fps: number, offeredFps: number | null) =>
  judgeRecorded(parseTargets(target), runAt(fps), offeredFps)[0];

describe('judgeRecorded', () => {
  it('asks a recording of 29.97 frames/s for no more than it has', () => {
    expect(stateOf('fps>=30', 29.97, 29.97)).toMatchObject({ state: 'met' });
    expect(stateOf('fps>=30', 20, 29.97)).toMatchObject({ state: 'missed' });
  });

  it('never says that a rate is met which the recording cannot show', () => {
    expect(stateOf('fps>=30', 25, 25)).toMatchObject({
      state: 'not enough frames',
      reason: 'published 25.0 frames/s of 25.0 offered; the recording has no more, so it cannot show 30',
    });
    expect(stateOf('fps>=100000', 25, 25)).toMatchObject({ state: 'not enough frames' });
    expect(stateOf('fps>=30', 12, 25)).toMatchObject({ state: 'missed' });
  });

  it('judges other targets, and recordings of unknown rate, as any run', () => {
    expect(stateOf('streams>=1', 25, 25)).toMatchObject({ state: 'met' });
    expect(stateOf('fps>=30', 25, null)).toMatchObject({ state: 'missed' });
  });
});
