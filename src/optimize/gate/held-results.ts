import type { RecordedFrame } from '../../evaluate/recorded-results.ts';
import type { CollectedResults } from './collect-results.ts';

/** Rounding of media times. */
const ROUNDING_US = 1000;

/**
 * What a run that decodes some frames says of every frame: its last result, until the next one.
 *
 * @param every - a run over the same clips that decodes all of them.
 * @returns the results of `some` with the frame numbers and times of `every`. A frame before the first result of its clip has no objects.
 */
export function heldResults(every: CollectedResults, some: CollectedResults): CollectedResults {
  const frames = every.startsUs.flatMap((startUs, clip): RecordedFrame[] => {
    const results = framesOf(some, clip);
    const shiftUs = some.startsUs[clip]! - startUs;
    let known = 0;
    return framesOf(every, clip).map(({ frame, ptsUs, width, height }) => {
      while (known < results.length && results[known]!.ptsUs - shiftUs <= ptsUs + ROUNDING_US) known += 1;
      const last = results[known - 1];
      return { frame, ptsUs, width, height, detections: last?.detections ?? [], by: 'unchanged' };
    });
  });
  return { ...some, frames, startsUs: every.startsUs };
}

function framesOf({ frames, startsUs }: CollectedResults, clip: number): readonly RecordedFrame[] {
  const [fromUs, toUs] = [startsUs[clip]!, startsUs[clip + 1] ?? Number.POSITIVE_INFINITY];
  return frames.filter(({ ptsUs }) => ptsUs >= fromUs && ptsUs < toUs);
}
