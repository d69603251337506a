import type { Detection } from './detection.ts';
import type { MonoMs, PtsUs } from './units.ts';

/** The moments of a frame's life, all on the one monotonic clock, in the order in which they happen. */
export interface FrameTimes {
  /** ffmpeg told of the decoded frame: its header line or its first byte reached this process, whichever came earlier. */
  captured: MonoMs;
  /** The last byte of it was in its slot. */
  decoded: MonoMs;
  /** The model's input was in its slot. */
  preprocessed: MonoMs;
  /** The micro-batcher closed the batch that holds it. */
  batched: MonoMs;
  /** The engine returned and boxes were decoded. */
  inferred: MonoMs;
  /** Its result was handed to the sinks. */
  published: MonoMs;
}

/** What is known of a frame beside its pixels. */
export interface FrameMeta {
  readonly streamId: string;
  /** Number of the frame in its source, from 0; a looped or reconnected source goes on counting. */
  readonly frame: number;
  readonly ptsUs: PtsUs;
  /** Source pixels, after rotation and display aspect. */
  readonly width: number;
  readonly height: number;
}

/** A frame whose result is final. */
export interface PublishedFrame extends FrameMeta {
  readonly detections: readonly Detection[];
  readonly times: Readonly<FrameTimes>;
  /** Number of the lease that the stream runs under, in a fleet: a consumer drops what has a lower one than it has seen. */
  readonly fence?: number;
}

/** Why a frame that entered was not published. Every drop has one of these names. */
export const DROP_REASONS = {
  'queue-full': 'The stream already had as many frames waiting as it may; the oldest gave way.',
  stale: 'Older than maxAgeMs when its batch closed.',
  'engine-failed': 'The inference thread that held it failed or was killed.',
  'lane-failed': 'The lane thread that owned its pixels failed or was killed.',
  'lease-lost': 'The right to run its stream had passed to another host, or had not been renewed in time.',
  stopped: 'Its stream was paused, changed or removed while it was on the way.',
} as const;

export type DropReason = keyof typeof DROP_REASONS;
