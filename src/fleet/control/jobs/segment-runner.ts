import type { PublishedFrame, SceneShift } from '../../../base/core/frame.ts';
import type { SourceWindow } from '../../../base/core/source.ts';
import type { CropReader } from '../../../frame/runtime/stages/look-group.ts';
import type { CropReading } from '../../../frame/runtime/stream/in-flight-frame.ts';
import type { JobOrder } from '../../../wire/protocol/fleet.ts';

/** What to infer: a file, or a segment of one. */
export interface Stretch {
  readonly path: string;
  /** Name of the input in messages. */
  readonly label: string;
  /** Null for the whole file, read like `sightline detect` reads it. */
  readonly window: SourceWindow | null;
  readonly every: number;
  /** Lowest score of the boxes that are delivered. */
  readonly scoreThreshold: number;
  /** Second stages that look at its objects, which are tracked for that as the order says. */
  readonly stages: readonly CropReader[];
  readonly track: JobOrder['track'];
}

/** A result, untracked. */
export interface StretchFrame extends Pick<PublishedFrame, 'ptsUs' | 'width' | 'height' | 'detections'> {
  /** Size of the full picture in which second stages looked; absent without them. */
  readonly picture?: { readonly width: number; readonly height: number } | null;
  /** What they found in this frame. */
  readonly readings?: readonly CropReading[];
  /** As in `SegmentFrame`. */
  readonly moved?: SceneShift | undefined;
}

export interface StretchSummary {
  /** Decoding errors that ffmpeg reported. */
  readonly decodeErrors: number;
}

/** What the task handlers need from the host's runtime. */
export interface SegmentRunner {
  /** Label of each classId. */
  readonly classes: readonly string[];
  /** Lowest score of the boxes in results. */
  readonly reportScore: number;
  /**
   * Infers every frame of a segment, or every n-th, at a lower priority than all live streams. No frame is lost: if one fails,
   * the run fails.
   *
   * @param take - receives each result in order, untracked; may return a promise, which pauses reading and never rejects.
   * @throws SOURCE_*, DECODE_EXITED, ENGINE_FAILED, LANE_FAILED; the signal's reason if it aborts.
   */
  run(
    stretch: Stretch,
    take: (frame: StretchFrame) => Promise<unknown> | null,
    signal: AbortSignal,
  ): Promise<StretchSummary>;
}
