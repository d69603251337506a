import type { PublishedFrame } from '../../core/frame.ts';
import type { SourceWindow } from '../../core/source.ts';

/** What is to be inferred: a file, or a stretch of one. */
export interface Stretch {
  readonly path: string;
  /** Name of the input in messages. */
  readonly label: string;
  /** Null for the whole file, read as `sightline detect` reads it. */
  readonly window: SourceWindow | null;
  readonly every: number;
  /** Boxes are delivered down to this score. */
  readonly scoreThreshold: number;
}

export interface StretchSummary {
  /** Damaged pieces that ffmpeg told of. */
  readonly decodeErrors: number;
}

/** What the handlers of a job's tasks need of the machine that they run on. */
export interface SegmentRunner {
  /** Label of each classId. */
  readonly classes: readonly string[];
  /** Boxes below this are not in results. */
  readonly reportScore: number;
  /**
   * Infers every frame of a stretch, or every n-th, behind all live streams. No frame is lost: a failure of any one fails all.
   *
   * @param take - gets each result in order, not tracked; a promise that it returns holds the reading back and never
   *   rejects.
   * @throws SOURCE_*, DECODE_EXITED, ENGINE_FAILED, LANE_FAILED; the signal's reason where it aborts.
   */
  run(
    stretch: Stretch,
    take: (frame: PublishedFrame) => Promise<unknown> | null,
    signal: AbortSignal,
  ): Promise<StretchSummary>;
}
