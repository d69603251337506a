import type { StreamConfig } from '../config/stream.ts';
import type { PublishedFrame } from '../core/frame.ts';
import type { ModelSpec } from '../core/model.ts';
import type { SourceInput } from '../core/source.ts';
import type { EventKind } from '../protocol/feed.ts';
import type { RingHandle } from '../protocol/threads.ts';
import type { InFlightFrame } from './frame-ledger.ts';
import type { LaneClient, LaneListener } from './lane-client.ts';
import type { ScheduledStream } from './scheduler.ts';

/** The right to run a stream of a fleet, asked about for every frame that is to be published. */
export interface StreamLease {
  readonly fence: number;
  isValid(): boolean;
}

/** What makes a stream a part of a bulk job: its results belong to one taker, and its ffmpeg gives way to all others. */
export interface BulkWork {
  /** Boxes are delivered down to this score, before any tracking. */
  readonly scoreThreshold: number;
  /**
   * Gets the results, in order, in place of sinks and listeners.
   *
   * @returns when the frame's slot may be given back, a promise that never rejects; null for at once.
   */
  take(frame: PublishedFrame): Promise<unknown> | null;
}

/** Where a stream's pictures come from, and whether somebody needs them in full. */
export interface StreamInput {
  readonly source: SourceInput | null;
  /** Image files instead of a video. */
  readonly imagePaths: readonly string[] | null;
  /** Who fits image files into the model's input; sharp where absent. */
  readonly resizeImagesBy?: 'ffmpeg' | 'sharp';
  readonly label: string;
  /** Absent where the stream belongs to this process alone. */
  readonly lease?: StreamLease;
  readonly policy: 'live' | 'file';
  readonly picture: { readonly width: number; readonly height: number } | null;
  readonly bulk?: BulkWork;
}

export type EventDetails = Readonly<Record<string, string | number | boolean | null>>;

/** What the runtime must know of a stream to serve it. */
export interface ServedStream extends ScheduledStream {
  readonly config: StreamConfig;
  readonly input: StreamInput;
}

/** What a session needs of the runtime around it. */
export interface SessionPort {
  readonly spec: ModelSpec;
  readonly scoreThreshold: number;
  readonly ffmpeg: { readonly path: string; readonly major: number };
  readonly preview: { readonly maxWidth: number; readonly fps: number };
  /** Slots that may be on inference threads at once. */
  readonly inferenceSlots: number;
  /** Slots that one message to each inference thread holds at most, where only files are read. */
  readonly handOverSlots: number;
  pickLane(): LaneClient;
  attach(ring: RingHandle): void;
  detach(ringId: number): void;
  /** Receives the lane's messages for a stream: frames go to the scheduler first, then the stream handles the message. */
  laneListener(stream: ServedStream & LaneListener): LaneListener;
  /** Serves the stream's frames from now on. */
  serve(stream: ServedStream): void;
  /** Takes back the frames of a stream that wait for a batch; the stream is no longer served. */
  withdraw(stream: ServedStream): readonly InFlightFrame[];
  event(kind: EventKind, stream: string, message: string, details?: EventDetails): void;
  publish(stream: ServedStream, result: PublishedFrame, frame: InFlightFrame): Promise<unknown> | null;
  onPreview(frame: PublishedFrame, jpeg: Uint8Array): void;
}
