import type { Detection } from '../../../base/core/detection.ts';
import type { CropReader } from '../../../frame/runtime/stages/look-group.ts';
import { StreamStages } from '../../../frame/runtime/stages/stream-stages.ts';
import type { SeenFrame } from '../../../frame/runtime/stream/stream-port.ts';
import type { JobOrder } from '../../../wire/protocol/fleet.ts';
import type { Crop } from '../../../wire/protocol/threads.ts';
import type { SegmentFrame } from './segment-file.ts';

/** Returns what the analytics of a job's files depend on: second stages need tracks. */
export function analysed(track: JobOrder['track'], stages: readonly CropReader[]) {
  return { track, zones: [], lines: [], stages: stages.map(({ name }) => name) };
}

/**
 * Second stages on the tracks of a whole file, whose pictures are gone: they look at the objects of each frame as they would at a stream,
 * and find what its segment had found in the same crop. What the segment had not looked at is due again in the next frame.
 */
export class ReplayedStages {
  readonly #stream: StreamStages<SeenFrame>;
  #found: ReadonlyMap<string, Float32Array> = new Map();

  /** @param classCount - of the detector. */
  constructor(stages: readonly CropReader[], track: JobOrder['track'], classCount: number) {
    const replayed = stages.map(
      ({ name, config, model }): CropReader<SeenFrame> => ({
        name,
        config,
        model,
        skip: () => undefined,
        withdraw: () => undefined,
        look: (_frame, crop, _isLive, onLooked) => onLooked(this.#found.get(keyOf(name, crop)) ?? null),
      }),
    );
    this.#stream = new StreamStages(() => replayed, analysed(track, stages), classCount);
  }

  /** Returns the detections of the next frame with what is known of their tracks, and what was found in them. */
  dress({ ptsUs, width, height, picture, readings }: SegmentFrame, detections: readonly Detection[]) {
    this.#found = new Map(readings.map(({ stage, crop, rows }) => [keyOf(stage, crop), rows]));
    const frame: SeenFrame = { meta: { ptsUs, width, height }, by: 'inferred' };
    const looks = this.#stream.look({ frame, picture, isLive: false }, detections);
    return this.#stream.dress(detections, ptsUs, looks);
  }
}

function keyOf(stage: string, crop: Crop): string {
  return JSON.stringify([stage, crop]);
}
