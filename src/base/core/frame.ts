import type { Detection } from './detection.ts';
import type { MonoMs, PtsUs } from './units.ts';

/** Largest picture that is decoded unless a configuration says otherwise: 8192x8192, twice the pixels of 8K video. */
export const DEFAULT_MAX_PIXELS = 67_108_864;

/** Timestamps of a frame on the process's monotonic clock, in the order in which they occur. */
export interface FrameTimes {
  /** ffmpeg delivered the decoded frame: its header line or its first byte arrived, whichever came first. */
  captured: MonoMs;
  /** Its last byte was in its slot. */
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

/**
 * What the change gate found. changed: the frame differs from the last changed one; unchanged: it equals that one up to noise;
 * without-input: it is unchanged, and no model input was made from it, so it cannot be inferred.
 */
export type FrameChange = 'changed' | 'unchanged' | 'without-input';

/** How far the scene has gone in the picture since the first frame because the camera moved, in source pixels to the right and down. */
export interface SceneShift {
  readonly x: number;
  readonly y: number;
}

export const NO_SHIFT: SceneShift = { x: 0, y: 0 };

/**
 * How a result came about. inferred: the detector saw the frame, or a picture equal to it byte by byte; tracked: the tracker
 * predicted the boxes; unchanged: the picture equals the last inferred one up to noise, whose boxes it repeats.
 */
export const RESULT_ORIGINS = ['inferred', 'tracked', 'unchanged'] as const;

/** How the boxes of a result came about, see `RESULT_ORIGINS`. */
export type ResultOrigin = (typeof RESULT_ORIGINS)[number];

/** As seen along the line from its first to its second point, in the displayed picture. */
export const CROSSING_DIRECTIONS = ['left-to-right', 'right-to-left'] as const;

/** Which way an object crossed a line. */
export type CrossingDirection = (typeof CROSSING_DIRECTIONS)[number];

/** An object that has crossed a line. */
export interface LineCrossing {
  /** Name of the line. */
  readonly lineId: string;
  /** Identity of the object, as in its detections. */
  readonly trackId: number;
  /** Name of the object's class. */
  readonly label: string;
  /** Which way it crossed. */
  readonly direction: CrossingDirection;
  /** Media time in microseconds of the frame in which the crossing became certain. */
  readonly ptsUs: number;
}

/** Objects inside a zone in one frame. */
export interface ZoneCount {
  /** Name of the zone. */
  readonly id: string;
  /** Number of tracked objects inside. */
  readonly inside: number;
}

/**
 * Whose clock says when a frame was captured. sender-report: the camera's, by its RTCP sender reports; arrival: that of this host, when the
 * decoder delivered the frame.
 */
export const CAPTURE_CLOCKS = ['sender-report', 'arrival'] as const;

/** Whose clock says when a frame was captured, see `CAPTURE_CLOCKS`. */
export type CaptureClock = (typeof CAPTURE_CLOCKS)[number];

/** What every form of a result has. Keys that do not apply are absent. */
export interface FrameResult {
  /**
   * When the host began to run the stream, as ISO text: it tells results of the stream apart that have the same frame number.
   * Never the same for two streams of a process. Absent for recordings that `detect` or a job reads.
   */
  readonly run?: string;
  /** Number of the frame in its source, from 0; counting continues across loops, reconnects and changes of settings. */
  readonly frame: number;
  /** Media time in microseconds, from the container. */
  readonly ptsUs: number;
  /** Whose clock says when a frame of a live stream was captured. */
  readonly captureClock?: CaptureClock;
  /** Width of the picture in source pixels, after rotation and display aspect. */
  readonly width: number;
  /** Height of the picture in source pixels. */
  readonly height: number;
  /** How the result came about. */
  readonly by: ResultOrigin;
  /** Name of its detector among `models` of the pipeline; absent: the pipeline's own. */
  readonly model?: string;
  /** Of the lease, in a fleet: drop results with a lower one than the highest seen for the stream. */
  readonly fence?: number;
  /** Objects found in the frame. */
  readonly detections: readonly Detection[];
  /** Crossings that became certain with this frame, possibly none; only of streams with lines. */
  readonly crossings?: readonly LineCrossing[];
}

/** A frame whose result is final. */
export interface PublishedFrame extends FrameResult {
  readonly streamId: string;
  readonly ptsUs: PtsUs;
  /** Wall clock at the capture of a frame of a live stream, in milliseconds since 1970; absent for files. */
  readonly capturedAtMs?: number;
  /** Absent without zones. */
  readonly zones?: readonly ZoneCount[];
  readonly times: Readonly<FrameTimes>;
}

/** A small picture of a stream, and the newest result that is not newer. */
export interface PreviewPicture {
  /** Result of the picture's own frame, or of an earlier one. */
  readonly frame: PublishedFrame;
  readonly jpeg: Uint8Array;
  /** Media time of the picture, if the result is that of an earlier frame. */
  readonly pictureUs?: PtsUs;
  /** There is no result yet: `frame` says which picture it is, and has no detections. */
  readonly hasResult?: false;
}

/** Why a frame that entered was not published. Every drop has one of these reasons. */
export const DROP_REASONS = {
  'queue-full': "The stream's queue was full; the oldest frame was dropped.",
  shed: 'The detector was overloaded; dropped before it was scaled, so that no work went into it.',
  stale: 'Older than maxAgeMs when its batch closed.',
  'engine-failed': 'The inference thread that held it failed or was killed.',
  'lane-failed': 'The lane thread that owned its pixels failed or was killed.',
  'reference-lost': 'It equals a frame that was dropped before it was inferred, so there is no result to repeat.',
  'lease-lost': 'The lease of its stream had passed to another host, or had not been renewed in time.',
  stopped: 'Its stream was paused, changed or removed while the frame was in flight.',
} as const;

/** Why a frame that entered gives no result. */
export type DropReason = keyof typeof DROP_REASONS;
