import type { TrackSequence } from '../../src/lab/optimize/gate/track-sequence.ts';
import type { RecordedResults } from '../../src/network/evaluate/recorded-results.ts';

/** Takes the people of a recording as the truth. */
export function trueTracksOf({ frames }: RecordedResults, folder = 'sequence'): TrackSequence {
  const boxes = frames.flatMap(({ frame, detections }) =>
    detections.flatMap(({ label, trackId, box }) =>
      label === 'person' && trackId !== undefined
        ? [{ frame: frame + 1, id: trackId, box, score: 1, kind: 'evaluated' as const }]
        : [],
    ),
  );
  return {
    folder,
    video: `${folder}/video.mp4`,
    truth: { path: `${folder}/gt/gt.txt`, boxes, hasClasses: false, frames: frames.length },
  };
}
