import type { StreamSign } from '../../../base/core/blind-sign.ts';
import type { Detection } from '../../../base/core/detection.ts';
import type { PreviewPicture, PublishedFrame } from '../../../base/core/frame.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import type { SourceInput } from '../../../base/core/source.ts';
import type { StreamLease } from '../../../base/core/stream-lease.ts';
import type { PtsUs } from '../../../base/core/units.ts';
import type { Ffmpeg } from '../../../base/process/confinement.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { EventKind } from '../../../wire/protocol/feed.ts';
import type { Percentiles } from '../../../wire/protocol/report.ts';
import type { RingHandle } from '../../../wire/protocol/threads.ts';
import type { BatchStreamOptions } from '../../batch/micro-batcher.ts';
import type { FrameTracer } from '../../telemetry/frame-tracer.ts';
import type { PartTimes } from '../../telemetry/part-times.ts';
import type { LaneClient } from '../lane/lane-client.ts';
import type { InFlightFrame } from './in-flight-frame.ts';
import type { Intake } from './intake.ts';
import type { PictureFeed } from './picture-feed.ts';

/** Makes a stream a part of a bulk job: its results go to one consumer. */
export interface BulkWork {
  /** Lowest score of delivered boxes. */
  readonly scoreThreshold: number;
  /** Lowers the priority of its ffmpeg, since the host has live streams as well. */
  readonly isBackground: boolean;
  /** Its boxes get tracks later, so how the camera moves is found though the stream itself is not tracked. */
  readonly isTrackedLater?: boolean;
  /**
   * Receives the results, in order, instead of sinks and listeners.
   *
   * @param inFlight - holds the picture until the promise settles.
   * @returns a promise that settles when the frame's slot can be released and never rejects; null if at once.
   */
  take(frame: PublishedFrame, inFlight: InFlightFrame): Promise<unknown> | null;
  /**
   * Receives a warning before it becomes one of the stream.
   *
   * @param frame - that it is about; absent if it is about the source.
   * @returns true if it shall not become one.
   */
  takeWarning?(message: string, frame: number | undefined): boolean;
  /** Its second stages; absent: those of the runtime. */
  readonly stagesOf?: StreamPort['stagesOf'];
}

/** A stream's source, and the size of full pictures if they are needed. */
export interface StreamInput {
  readonly source: SourceInput | null;
  /** Image files instead of a video. */
  readonly imagePaths: readonly string[] | null;
  /** Pictures of the program instead of a source. */
  readonly feed?: PictureFeed;
  /** What fits image files into the model's input; default sharp. */
  readonly resizeImagesBy?: 'ffmpeg' | 'sharp';
  readonly label: string;
  /** Which recording it is, see `recordingDigest`; absent for what is no file. */
  readonly recording?: string;
  /** Absent if the stream does not belong to a fleet. */
  readonly lease?: StreamLease;
  readonly policy: 'live' | 'file';
  readonly picture: { readonly width: number; readonly height: number } | null;
  readonly bulk?: BulkWork;
  /** The last frame of a file that is already done, and how many frames were taken up to it: the rest is read. */
  readonly startAfter?: { readonly frames: number; readonly ptsUs: PtsUs };
  /** Its results reach listeners only: a measurement is no result that a user asked for. */
  readonly isKeptFromSinks?: boolean;
  /**
   * Threshold that users see, where boxes are reported below it: a score near it is uncertain. Default: the reported threshold. See
   * `SkipPlan`.
   */
  readonly uncertainScore?: number;
}

export type EventDetails = Readonly<Record<string, string | number | boolean | null>>;

/** A stream misses a target, or meets it again. */
export interface TargetEvent {
  readonly kind: 'target-missed' | 'target-met';
  readonly message: string;
  readonly details: EventDetails;
  /** The cause is a lack of this host, which other streams share. */
  readonly isOfHost: boolean;
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

/** How a stream is served. Live streams and files differ only in these values. */
export interface StreamPolicy extends BatchStreamOptions {
  /**
   * When a lane notifies the main thread of a new frame: always, or only while an inference thread is idle. Until then
   * frames of a file stay in the ring, so a fast detector does not need a message per frame.
   */
  readonly wake: 'always' | 'when-idle';
}

/** A stream's frames as the scheduler sees them. */
export interface ScheduledStream {
  readonly id: string;
  /** Name of the model instance that infers its frames. */
  readonly instance: string;
  readonly policy: StreamPolicy;
  /** Null if none of its frames may be shed: a file, or a stream that gets results without inference. */
  readonly intake: Intake | null;
  /**
   * Takes the next frame that its lane handed over, oldest first; null if there is none. Only one that is `waiting` must be
   * inferred.
   */
  take(): InFlightFrame | null;
  /** Requests a message when the lane hands over the next frame. Frames already handed over cause none. */
  wakeOnFrame(): void;
  /** Publishes frames that need no inference, as far as no earlier one waits. */
  flush(): void;
}

/** What a stream needs from the scheduler. */
export interface StreamScheduler {
  /** Starts serving a stream, or applies its new policy without touching its frames. */
  serve(stream: ScheduledStream): void;
  /** Call it after the lane handed over frames. Does nothing if the stream is not served. */
  framesArrived(stream: ScheduledStream): void;
  /** Stops serving a stream. @returns its frames that waited for a batch. */
  withdraw(stream: ScheduledStream): readonly InFlightFrame[];
}

/** A frame whose boxes a program's function gives. */
export interface FakeFrame {
  /** Name of its stream. */
  readonly stream: string;
  /** Number of the frame in its stream, from 0. */
  readonly frame: number;
  /** Media time in microseconds. */
  readonly ptsUs: number;
  /** Width of the picture in source pixels. */
  readonly width: number;
  /** Height of the picture in source pixels. */
  readonly height: number;
}

/** Gives the boxes of a frame, in source pixels, instead of those of the fake engine. It must not throw. */
export type FakeDetect = (frame: FakeFrame) => readonly Detection[];

/** Looks of second stages at the objects of a frame. */
export interface Looks {
  /** Each object was looked at or skipped. */
  readonly isOver: boolean;
  /** Resolves when they are over, or nobody shall wait for them. */
  readonly settled: Promise<void>;
}

/** A frame, as far as second stages ask. */
export interface SeenFrame extends Pick<InFlightFrame, 'by' | 'readings'> {
  readonly meta: Pick<InFlightFrame['meta'], 'ptsUs' | 'width' | 'height'>;
}

/** A frame whose objects second stages look at. */
export interface LookedFrame<F extends SeenFrame = InFlightFrame> {
  readonly frame: F;
  /** Size of its full picture; null if it has none. */
  readonly picture: { readonly width: number; readonly height: number } | null;
  /** It does not wait for them. */
  readonly isLive: boolean;
}

/** Time of the looks that frames waited for, in milliseconds. */
export interface StageWaits {
  /** All looks at a frame. */
  readonly whole: Percentiles;
  /** Each look of a second stage, from the choice of the object. */
  readonly byStage: ReadonlyMap<string, Percentiles>;
}

/** Second stages on the objects of one stream. */
export interface FrameStages<F extends SeenFrame = InFlightFrame> {
  /**
   * Looks at the objects of a frame that are due. Call it once for each frame, in order.
   *
   * @returns the looks at a frame of a file, for `dress`; null if there are none, or if they take effect by themselves.
   */
  look(frame: LookedFrame<F>, detections: readonly Detection[]): Looks | null;
  /**
   * Returns the detections of a frame with what is known of their tracks, and what was found in them. Call it once for each frame, in
   * order, perhaps after `look` for later ones.
   *
   * @param looks - at the frame, which take effect now.
   */
  dress(detections: readonly Detection[], ptsUs: number, looks: Looks | null): readonly Detection[];
  /** How long frames waited for looks, in the last ten seconds. Nothing of live frames, which do not wait. */
  waits(nowMs: number): StageWaits;
  /** Skips the crops of a stream that wait for a batch, and holds no frame back. */
  withdraw(streamId: string): void;
  /** Takes other settings of the stream. */
  retune(settings: StagedSettings): void;
}

/** Settings of a stream that second stages depend on. */
export type StagedSettings = Pick<StreamConfig, 'stages' | 'zones' | 'track' | 'maxFps'>;

/** What a stream needs from the runtime. */
export interface StreamPort {
  /** Runs here, since functions cannot be sent to the thread of an engine. */
  readonly fakeDetect?: FakeDetect | undefined;
  /** Name of the model instance that new streams use. */
  primary(): string;
  modelOf(instance: string): StreamModel;
  readonly ffmpeg: Ffmpeg;
  readonly preview: { readonly maxWidth: number; readonly fps: number; readonly quality: number };
  readonly partTimes: PartTimes;
  /** Absent unless frames are traced. */
  readonly tracer?: FrameTracer | undefined;
  pickLane(): LaneClient;
  attach(ring: RingHandle): void;
  detach(ringId: number): void;
  readonly scheduler: StreamScheduler;
  /** @param classCount - of the stream's detector. Absent: there are no second stages. */
  stagesOf?(settings: StagedSettings, classCount: number): FrameStages;
  event(kind: EventKind, stream: string, message: string, details?: EventDetails): void;
  /** A target is missed, or met again. */
  onTarget(stream: string, event: TargetEvent): void;
  /** Returns a promise that settles when a file may publish its next result; null if it may at once. */
  room(stream: string, input: StreamInput): Promise<unknown> | null;
  /** Passes a result to listeners and sinks. The slot is released when the returned promise settles, or at once if it is null. */
  publish(result: PublishedFrame, frame: InFlightFrame, input: StreamInput): Promise<unknown> | null;
  onPreview(picture: PreviewPicture): void;
  onSign(sign: StreamSign): void;
}
