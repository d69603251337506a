/** Messages between the main thread and its lane and inference threads. Pixels never travel: they lie in rings, by slot. */
import type { DropReason } from '../core/frame.ts';
import type { CompiledModel, ComputePrecision, ModelSpec } from '../core/model.ts';
import type { SourceInput } from '../core/source.ts';
import type { WireError } from '../errors/sightline-error.ts';
import type { SlotRingShape } from '../flow/slot-ring.ts';

/** A stream's ring as another thread can attach to it. `ringId` is never used twice in a process. */
export interface RingHandle {
  readonly ringId: number;
  readonly buffer: SharedArrayBuffer;
  readonly shape: SlotRingShape;
}

/** How a lane reads one stream. */
export interface LaneStream {
  readonly streamId: string;
  readonly ring: RingHandle;
  readonly spec: ModelSpec;
  readonly input:
    | { readonly kind: 'video'; readonly source: SourceInput }
    /** Image files, each one frame; frame numbers are positions in the list. */
    | { readonly kind: 'images'; readonly paths: readonly string[]; readonly resizeBy: 'ffmpeg' | 'sharp' };
  readonly policy: 'live' | 'file';
  /** Full pictures of this size go into the slots and sharp makes the input from them; null: ffmpeg makes the input. */
  readonly picture: { readonly width: number; readonly height: number } | null;
  readonly ffmpeg: { readonly path: string; readonly major: number };
  readonly every: number;
  readonly maxFps: number | null;
  readonly hwaccel: string;
  readonly decodeThreads: number;
  /** A live source without a frame for this long is opened again. */
  readonly staleMs: number;
  /** Longest wait for the first frame of a connection. */
  readonly openTimeoutMs: number;
  /** Number of the first frame, and the media time that the first one of a live stream may not precede. */
  readonly firstFrame: number;
  /** Frames to leave out at the start: those that an earlier lane has already handed over. */
  readonly skip: number;
  readonly firstPtsUs: number;
  readonly preview: { readonly maxWidth: number; readonly fps: number };
  /** Its ffmpeg lets every other process go first. */
  readonly isBackground: boolean;
}

export type ToLane =
  | { readonly type: 'open'; readonly stream: LaneStream }
  /** Answered by `closed` once ffmpeg is gone and no slot is held. */
  | { readonly type: 'close'; readonly ringId: number }
  | { readonly type: 'slot-free'; readonly ringId: number }
  | { readonly type: 'watch'; readonly ringId: number; readonly isWatched: boolean }
  | { readonly type: 'shutdown' };

export type FromLane =
  | { readonly type: 'ready' }
  /** At least one frame was handed over in the ring. */
  | { readonly type: 'frames'; readonly ringId: number }
  /** Frames that entered and had to give way before they reached the main thread. */
  | { readonly type: 'dropped'; readonly ringId: number; readonly reason: DropReason; readonly count: number }
  | { readonly type: 'child-started'; readonly ringId: number; readonly pid: number }
  | { readonly type: 'child-gone'; readonly ringId: number; readonly pid: number }
  | { readonly type: 'running'; readonly ringId: number }
  | { readonly type: 'reconnecting'; readonly ringId: number; readonly error: WireError }
  | { readonly type: 'ended'; readonly ringId: number; readonly frames: number }
  | { readonly type: 'failed'; readonly ringId: number; readonly error: WireError }
  | { readonly type: 'warning'; readonly ringId: number; readonly message: string }
  | { readonly type: 'decode-errors'; readonly ringId: number; readonly count: number }
  | { readonly type: 'duration'; readonly ringId: number; readonly durationUs: number }
  | { readonly type: 'preview'; readonly ringId: number; readonly frame: number; readonly jpeg: Uint8Array }
  | { readonly type: 'closed'; readonly ringId: number }
  /** Milliseconds spent in sharp since the last one, about once a second. */
  | { readonly type: 'busy'; readonly preprocessMs: number };

/** Which engine, with which settings. */
export interface EngineRequest {
  readonly engine: 'tensorflow' | 'openvino' | 'onnx' | 'wasm' | 'fake';
  /**
   * Execution provider of the onnx engine: `cpu`, `cuda`, `tensorrt`, `webgpu`, `dml`, `coreml`. With `cuda` the tensorflow
   * engine insists on a GPU, else it takes what the library has. Device of the openvino engine: `cpu`, `gpu`, `npu`, `auto`.
   */
  readonly provider: string;
  /** What to compute in; `auto`, also where absent, leaves it to the engine. */
  readonly precision?: 'auto' | ComputePrecision;
  /** File of OpenVINO's C library (`libopenvino_c`); absent where it is not set up. */
  readonly openvinoLibrary?: string | undefined;
  readonly model: CompiledModel;
  readonly maxBatch: number;
  /** Sizes to warm, all of them: what another thread with the same engine found. Null: find out which pay. */
  readonly batchSizes: readonly number[] | null;
  /** Threads inside one session. */
  readonly intraThreads: number;
  readonly fake: FakeEngineOptions;
}

export interface FakeEngineOptions {
  /** Time of one call, whatever the batch. */
  readonly callMs: number;
  /** Added for each frame of the batch. */
  readonly frameMs: number;
  /** Packed rows `[n, 6]` in model pixels, the same for every frame. */
  readonly rows: readonly number[];
}

/** What an engine says of itself once it is loaded and warm. */
export interface EngineInfo {
  readonly engine: string;
  readonly provider: string;
  readonly device: string;
  /** As executed: a `ComputePrecision`, or `none` where nothing is computed. */
  readonly precision: string;
  /** Batch sizes it was warmed for, rising. */
  readonly batchSizes: readonly number[];
  /** Milliseconds of one call for each of them, best of the warm-up. */
  readonly warmMs: readonly number[];
  /** Calls that may be under way at once: with 2 the next batch is handed over while one is computed. */
  readonly callsInFlight: number;
}

/** Kernel ids of threads; null where the system has none to tell. */
export type ThreadId = number | null;

export type ToInference =
  | { readonly type: 'attach'; readonly ring: RingHandle }
  | { readonly type: 'detach'; readonly ringId: number }
  | {
      readonly type: 'batch';
      readonly batchId: number;
      readonly ringIds: readonly number[];
      readonly slots: readonly number[];
      /** Frames of one call of the engine, a warmed size. Fewer slots are padded to it, more are several calls in a row. */
      readonly callSize: number;
      readonly scoreThreshold: number;
    }
  | { readonly type: 'shutdown' };

export type FromInference =
  | {
      readonly type: 'ready';
      readonly info: EngineInfo;
      readonly tid: ThreadId;
      /** Of the engine, where it has a process of its own. */
      readonly enginePid: number | null;
    }
  | { readonly type: 'failed'; readonly error: WireError }
  | {
      readonly type: 'result';
      readonly batchId: number;
      /** Packed rows of all frames one after the other, in source pixels. */
      readonly rows: Float32Array;
      /** Rows of each frame. */
      readonly counts: readonly number[];
      /** Time that the engine worked on it, all calls together. */
      readonly busyMs: number;
      readonly endedMs: number;
      /** As in `ready`; another one once the engine has replaced its process. */
      readonly enginePid: number | null;
    }
  | { readonly type: 'batch-failed'; readonly batchId: number; readonly error: WireError };
