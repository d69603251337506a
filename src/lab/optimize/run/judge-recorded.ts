import { judgeTargets, type Target } from '../../measure/targets.ts';
import type { TargetVerdict, TrialResult } from '../../measure/trial-result.ts';

/** A recording of 29.97 frames/s shows what 30 frames/s cost. */
const LEAST_OFFERED_RATIO = 0.98;

/**
 * Judges targets by a run on a recording, whose streams are asked for no more frames than it has. A rate far above that is never met: no
 * run on this recording can show it.
 *
 * @param offeredFps - frames per second of the recording; null if it is unknown or the streams read several
 */
export function judgeRecorded(
  targets: readonly Target[],
  result: TrialResult,
  offeredFps: number | null,
): TargetVerdict[] {
  if (offeredFps === null) return judgeTargets(targets, result);
  const perStream = result.perStream.map((stream) => ({ ...stream, offeredFps }));
  return judgeTargets(targets, { ...result, perStream }).map((verdict, i) => {
    const { metric, limit } = targets[i]!;
    if (metric !== 'fps' || verdict.state !== 'met' || offeredFps >= LEAST_OFFERED_RATIO * limit) return verdict;
    const reason = `${verdict.reason}; the recording has no more, so it cannot show ${limit}`;
    return { ...verdict, state: 'not enough frames', reason };
  });
}
