/** Messages between the main thread and its lane and inference threads. Pixels stay in ring slots, except for pushed pictures. */

import type { LaneSign } from '../../base/core/blind-sign.ts';
import type { DropReason, SceneShift } from '../../base/core/frame.ts';
import type { CompiledModel, ComputePrecision, ModelSpec } from '../../base/core/model.ts';
import type { FramePicture } from '../../base/core/picture.ts';
import type { SourceInput } from '../../base/core/source.ts';
import type { PtsUs } from '../../base/core/units.ts';
import type { WireError } from '../../base/errors/sightline-error.ts';
import type { SlotRingShape } from '../../base/flow/slot-ring.ts';
import type { Rect, View } from '../../base/geometry/views.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { EngineName } from '../../settings/config/engines.ts';
import type { LANE_KEYS, StreamConfig } from '../../settings/config/stream.ts';
import type { StreamPackets } from './packets.ts';

/** What another thread needs to attach to a stream's ring. A `ringId` is never reused in a process. */
export interface RingHandle {
  readonly ringId: number;
  readonly buffer: SharedArrayBuffer;
  readonly shape: SlotRingShape;
}

/** Settings of a stream as its lane gets them: null for those that are absent. */
export type LaneSettings<K extends keyof StreamConfig> = {
  readonly [Key in K]: undefined extends StreamConfig[Key]
    ? Exclude<StreamConfig[Key], undefined> | null
    : StreamConfig[Key];
};

/** What ffmpeg is started with. */
type ReadSettings = LaneSettings<'hwaccel' | 'decode' | 'decodeThreads'>;

type PaceSettings = LaneSettings<(typeof LANE_KEYS.pace)[number]>;

/** How a lane reads one stream. */
export interface LaneStream extends ReadSettings, PaceSettings {
  readonly streamId: string;
  readonly ring: RingHandle;
  readonly spec: ModelSpec;
  readonly input:
    | { readonly kind: 'video'; readonly source: SourceInput }
    /** Image files, each one frame; frame numbers are positions in the list. */
    | { readonly kind: 'images'; readonly paths: readonly string[]; readonly resizeBy: 'ffmpeg' | 'sharp' }
    /** Pictures that arrive as messages `picture`. */
    | { readonly kind: 'pushed' };
  readonly policy: 'live' | 'file';
  /** If set, slots hold full pictures of this size and sharp makes the model input from them; null: ffmpeg makes the input. */
  readonly picture: { readonly width: number; readonly height: number } | null;
  /** The rectangles that become model inputs, in the order of the slot; absent: the picture as a whole. */
  readonly views?: readonly View[];
  /** Another model, whose inputs are made of each frame as well. Needs `picture`. */
  readonly second?: ModelSpec;
  readonly ffmpeg: Ffmpeg;
  /** Number of the first frame. */
  readonly firstFrame: number;
  /** The last frame of a file that an earlier connection handed over; null to read from the start. */
  readonly after: {
    readonly ptsUs: PtsUs;
    /** Frames up to and with it; null if others are taken now, so that only its time says where it was. */
    readonly frames: number | null;
  } | null;
  /** Media time, in microseconds. */
  readonly mediaTime: {
    /** Of the newest frame so far; 0 before the first. */
    readonly lastUs: number;
    /** Added to the times of the source; null: they begin behind `lastUs`. */
    readonly shiftUs: number | null;
  };
  /** Of the newest frame so far. */
  readonly shift: SceneShift;
  readonly preview: { readonly maxWidth: number; readonly fps: number; readonly quality: number };
  /** Compares each picture with the last changed one; null: every picture counts as changed. */
  readonly changeGate: { readonly lookEveryMs: number; readonly minLevels: number } | null;
  /** Finds how the camera moves. */
  readonly findsShift: boolean;
  /** Makes the input of unchanged pictures, too, because not every model of the stream repeats results. */
  readonly keepsInput: boolean;
  /** Computes the hash of each model input. */
  readonly hashesInput: boolean;
  /** Posts the packets of the video as well. */
  readonly tapsPackets: boolean;
  /** Runs ffmpeg at background priority. */
  readonly isBackground: boolean;
}

/** What a lane can change while it reads. */
export type LaneTuning = PaceSettings & Pick<LaneStream, 'changeGate' | 'findsShift' | 'keepsInput'>;

export type ToLane =
  | { readonly type: 'open'; readonly stream: LaneStream }
  /** Answered by `closed` once ffmpeg has ended and no slot is held. */
  | { readonly type: 'close'; readonly ringId: number }
  | { readonly type: 'slot-free'; readonly ringId: number }
  | { readonly type: 'watch'; readonly ringId: number; readonly isWatched: boolean }
  /** The next picture of a stream that a program feeds. */
  | { readonly type: 'picture'; readonly ringId: number; readonly next: FramePicture }
  /** Keeps this share of the frames from now on, above 0 up to 1, and sheds the others before they are scaled. */
  | { readonly type: 'shed'; readonly ringId: number; readonly keepRatio: number }
  | { readonly type: 'tune'; readonly ringId: number; readonly tuning: LaneTuning }
  | { readonly type: 'shutdown' };

/** A small picture of the source. */
export interface LanePreview {
  /** Number of the newest frame that is not newer than it. */
  readonly frame: number;
  /** It is a picture of that frame, which may get a result. */
  readonly isFrame: boolean;
  readonly ptsUs: PtsUs;
  /** Size of the source's picture. */
  readonly width: number;
  readonly height: number;
  /** Messages `tune` that the lane had when it took the picture. */
  readonly tunings: number;
  readonly jpeg: Uint8Array;
}

export type FromLane =
  | { readonly type: 'ready' }
  /** At least one frame was handed over in the ring. */
  | { readonly type: 'frames'; readonly ringId: number }
  /** Frames that entered and were dropped before they reached the main thread. */
  | { readonly type: 'dropped'; readonly ringId: number; readonly reason: DropReason; readonly count: number }
  | { readonly type: 'child-started'; readonly ringId: number; readonly pid: number }
  | { readonly type: 'child-gone'; readonly ringId: number; readonly pid: number }
  | { readonly type: 'running'; readonly ringId: number }
  /** A picture that was pushed gives no frame. */
  | { readonly type: 'picture-refused'; readonly ringId: number; readonly frame: number; readonly error: WireError }
  | { readonly type: 'reconnecting'; readonly ringId: number; readonly error: WireError }
  | { readonly type: 'ended'; readonly ringId: number; readonly frames: number }
  | { readonly type: 'failed'; readonly ringId: number; readonly error: WireError }
  /** @param frame - that it is about, before the frame itself; absent if it is about the source. */
  | { readonly type: 'warning'; readonly ringId: number; readonly message: string; readonly frame?: number }
  /** The stream has got a sign, another one, or none, see `StreamSign`. */
  | ({ readonly type: 'sign'; readonly ringId: number } & LaneSign)
  /** How much later its pictures come than they did at best, in whole seconds; null: they are not late any more. */
  | { readonly type: 'late'; readonly ringId: number; readonly lateMs: number | null }
  | { readonly type: 'decode-errors'; readonly ringId: number; readonly count: number }
  /** Frames that ffmpeg left out, as `decode` says; null: from now on nobody knows. */
  | { readonly type: 'not-decoded'; readonly ringId: number; readonly count: number | null }
  /**
   * Media time between two key frames, the shortest so far, whether no other frame was decoded between them, and how many frames were
   * decoded in it.
   */
  | ({ readonly type: 'key-gap'; readonly ringId: number; readonly us: number; readonly isEachFrame: boolean } & {
      readonly frames: number;
    })
  | { readonly type: 'duration'; readonly ringId: number; readonly durationUs: number }
  | ({ readonly type: 'preview'; readonly ringId: number } & LanePreview)
  | { readonly type: 'closed'; readonly ringId: number }
  | StreamPackets
  /** Milliseconds spent in sharp since the last such message, about once a second. */
  | { readonly type: 'busy'; readonly preprocessMs: number };

/** An engine and its settings. */
export interface EngineRequest {
  readonly engine: EngineName;
  /**
   * Execution provider of the onnx engine: `cpu`, `cuda`, `tensorrt`, `webgpu`, `dml`, `coreml`. With `cuda` the tensorflow
   * engine requires a GPU, else it uses whatever device the library has. Device of the openvino engine: `cpu`, `gpu`, `npu`, `auto`.
   */
  readonly provider: string;
  /** Number format to compute in, by default `auto`: the engine chooses. */
  readonly precision?: 'auto' | ComputePrecision;
  /** File of OpenVINO's C library (`libopenvino_c`); absent if it is not set up. */
  readonly openvinoLibrary?: string | undefined;
  readonly model: CompiledModel;
  readonly maxBatch: number;
  /** Batch sizes to warm up, as found by another thread with the same engine. Null: measure which sizes are worthwhile. */
  readonly batchSizes: readonly number[] | null;
  /** Threads that the engine's library uses for one call. */
  readonly intraThreads: number;
  /** Threads that will call it at once if it can be shared; 1 by default. */
  readonly callers?: number;
  /** What another thread loaded, to use instead of loading it again. */
  readonly share?: EngineShare | undefined;
  readonly fake: FakeEngineOptions;
}

/** A loaded engine for all threads of a process: pointers of its library, valid until the last thread that uses them leaves. */
export interface EngineShare {
  /** One i32: the number of threads that use it. The one that makes it 0 frees it. */
  readonly users: SharedArrayBuffer;
  readonly core: bigint;
  /** The compiled model of each batch size. */
  readonly compiled: ReadonlyMap<number, bigint>;
}

export interface FakeEngineOptions {
  /** Time of one call, independent of the batch size. */
  readonly callMs: number;
  /** Added for each frame of the batch. */
  readonly frameMs: number;
  /** Packed rows `[n, 6]` in model pixels, the same for every frame. */
  readonly rows: readonly number[];
  /** Instead of `rows`: one box whose score is the time that the picture shows as a bar code. */
  readonly barcode?: boolean;
}

/** What an engine reports once it is loaded and warm. */
export interface EngineInfo {
  readonly engine: string;
  readonly provider: string;
  readonly device: string;
  /** As executed: a `ComputePrecision`, or `none` if nothing is computed. */
  readonly precision: string;
  /** Batch sizes that it was warmed up for, ascending. */
  readonly batchSizes: readonly number[];
  /** Milliseconds per call for each of these sizes, best of the warm-up. */
  readonly warmMs: readonly number[];
  /** Maximum number of concurrent calls: with 2, the next batch is handed over while one is computed. */
  readonly callsInFlight: number;
}

/** Kernel id of a thread; null if the system does not provide it. */
export type ThreadId = number | null;

/** A part of a slot's full picture that becomes a model's input, in pixels; whole ones unless it is turned. */
export interface Crop extends Rect {
  readonly pictureWidth: number;
  /** Clockwise degrees by which it is turned about its centre, perhaps beyond the picture; absent: it is in the picture and not turned. */
  readonly angle?: number;
}

export type ToInference =
  | { readonly type: 'attach'; readonly ring: RingHandle }
  | { readonly type: 'detach'; readonly ringId: number }
  | {
      readonly type: 'batch';
      readonly batchId: number;
      readonly ringIds: readonly number[];
      readonly slots: readonly number[];
      /**
       * Model inputs per call of the engine, a warmed-up size. Fewer are padded; more are split into consecutive calls. A
       * slot has as many inputs as its ring has views.
       */
      readonly callSize: number;
      readonly scoreThreshold: number;
      /** Somebody reads masks of one of the frames; absent: nobody does. */
      readonly masks?: boolean;
      /** Of each slot, for a second stage: its inputs are cut from the full pictures. Boxes are then in pixels of these. */
      readonly crops?: readonly Crop[];
    }
  | { readonly type: 'shutdown' };

export type FromInference =
  | {
      readonly type: 'ready';
      readonly info: EngineInfo;
      readonly tid: ThreadId;
      /** Process id of the engine, if it has its own process. */
      readonly enginePid: number | null;
      /** A cached file that had changed, and was made again; null if there was none. */
      readonly damagedFile: string | null;
      /** What other threads may use of the engine; absent if each has to load its own. */
      readonly share?: EngineShare | undefined;
    }
  | { readonly type: 'failed'; readonly error: WireError }
  | {
      readonly type: 'result';
      readonly batchId: number;
      /** Packed rows of all frames, concatenated, in source pixels. */
      readonly rows: Float32Array;
      /** Numbers in the rows of each frame. */
      readonly lengths: readonly number[];
      /** When the first call began: before that, the batch waited on the thread. */
      readonly beganMs: number;
      /** Total time of the engine's calls, decoding of their outputs included. */
      readonly busyMs: number;
      /** The part of `busyMs` in which outputs were decoded into boxes. */
      readonly postprocessMs: number;
      readonly endedMs: number;
      /** As in `ready`; changes when the engine has replaced its process. */
      readonly enginePid: number | null;
    }
  | { readonly type: 'batch-failed'; readonly batchId: number; readonly error: WireError };
