import type { StreamConfig } from '../../config/stream.ts';
import type { PublishedFrame } from '../../core/frame.ts';
import type { ModelSpec } from '../../core/model.ts';
import type { SourceInput } from '../../core/source.ts';
import type { StreamLease } from '../../core/stream-lease.ts';
import type { EventKind } from '../../protocol/feed.ts';
import type { RingHandle } from '../../protocol/threads.ts';
import type { PartTimes } from '../../telemetry/part-times.ts';
import type { LaneClient, LaneListener } from '../lane/lane-client.ts';
import type { InFlightFrame } from './frame-ledger.ts';
import type { Intake } from './intake.ts';

export type { StreamLease };

/** Makes a stream a part of a bulk job: its results go to one consumer, and its ffmpeg runs with lower priority. */
export interface BulkWork {
  /** Lowest score of delivered boxes, before any tracking. */
  readonly scoreThreshold: number;
  /**
   * Receives the results, in order, instead of sinks and listeners.
   *
   * @returns a promise that settles when the frame's slot can be released and never rejects; null if at once.
   */
  take(frame: PublishedFrame): Promise<unknown> | null;
}

/** A stream's source, and the size of full pictures if they are needed. */
export interface StreamInput {
  readonly source: SourceInput | null;
  /** Image files instead of a video. */
  readonly imagePaths: readonly string[] | null;
  /** What fits image files into the model's input; default sharp. */
  readonly resizeImagesBy?: 'ffmpeg' | 'sharp';
  readonly label: string;
  /** Absent if the stream does not belong to a fleet. */
  readonly lease?: StreamLease;
  readonly policy: 'live' | 'file';
  readonly picture: { readonly width: number; readonly height: number } | null;
  readonly bulk?: BulkWork;
  /**
   * Score around which a box is in doubt, where boxes are reported below the threshold that users see; default: the reported
   * threshold. See `SkipPlan`.
   */
  readonly doubtAround?: number;
}

export type EventDetails = Readonly<Record<string, string | number | boolean | null>>;

/** What the runtime needs to know about a stream to serve it. */
export interface ServedStream {
  readonly id: string;
  /** Name of the model instance that infers its frames. */
  readonly instance: string;
  /** Takes the next frame that the lane handed over, oldest first; null if there is none. */
  takeFrame(): InFlightFrame | null;
  /** Requests a message when the lane hands over the next frame. */
  wakeOnFrame(): void;
  /** Publishes frames that `takeFrame` did not return because they need no inference. */
  completeSkipped(): void;
  /** Null if none of its frames may be shed. */
  readonly intake?: Intake | null;
  readonly config: StreamConfig;
  readonly input: StreamInput;
}

/** What a stream needs to know about the model instance that infers its frames. */
export interface StreamModel {
  readonly spec: ModelSpec;
  /** Boxes below this are not reported. */
  readonly scoreThreshold: number;
  /** True if results are cached by the hash of the model's inputs. */
  readonly hashesInput: boolean;
  /** Most batches on inference threads at once. */
  readonly inferenceCalls: number;
  /** Most model inputs on inference threads at once. */
  readonly inferenceInputs: number;
  /** Most model inputs in one message to all inference threads while only files are read. */
  readonly handOverInputs: number;
}

/** What a stream needs from the runtime. */
export interface StreamPort {
  /** Name of the model instance that new streams use. */
  primary(): string;
  modelOf(instance: string): StreamModel;
  readonly ffmpeg: { readonly path: string; readonly major: number };
  readonly preview: { readonly maxWidth: number; readonly fps: number; readonly quality: number };
  readonly partTimes: PartTimes;
  pickLane(): LaneClient;
  attach(ring: RingHandle): void;
  detach(ringId: number): void;
  /** Receives the lane's messages for a stream: frames go to the scheduler first, then the stream handles the message. */
  laneListener(stream: ServedStream & LaneListener): LaneListener;
  /** Starts serving the stream's frames. */
  serve(stream: ServedStream): void;
  /** Stops serving the stream. @returns its frames that waited for a batch. */
  withdraw(stream: ServedStream): readonly InFlightFrame[];
  /** Called for each frame that needs no inference of the stream's own model. */
  onSkipped(frame: InFlightFrame): void;
  event(kind: EventKind, stream: string, message: string, details?: EventDetails): void;
  publish(stream: ServedStream, result: PublishedFrame, frame: InFlightFrame): Promise<unknown> | null;
  onPreview(frame: PublishedFrame, jpeg: Uint8Array): void;
}
