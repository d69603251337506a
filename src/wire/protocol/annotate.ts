/** Messages between the main thread and the thread that draws and encodes an annotated video. */
import type { Detection, RatioPoint } from '../../base/core/detection.ts';
import type { ZoneCount } from '../../base/core/frame.ts';
import type { ResizeRule } from '../../base/core/model.ts';
import type { WireError } from '../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { LineCount } from './report.ts';

/** What is drawn on every picture beside the boxes. */
export interface OverlayPlan {
  readonly zones: readonly { readonly id: string; readonly polygon: readonly RatioPoint[] }[];
  readonly lines: readonly { readonly id: string; readonly from: RatioPoint; readonly to: RatioPoint }[];
}

/** The state of zones and lines after a frame. */
export interface OverlayCounts {
  readonly zones: readonly ZoneCount[];
  readonly lines: readonly LineCount[];
}

/** How a video file is written. */
export interface VideoFilePlan {
  /** Id of the sink, for messages. */
  readonly id: string;
  /** The complete file. */
  readonly path: string;
  /** Written beside `path` while the stream runs. It is playable at any time, even after a crash. */
  readonly partialPath: string;
  readonly ffmpeg: Ffmpeg;
  /** Reads Matroska from standard input and writes `partialPath`. */
  readonly encodeArgs: readonly string[];
  /**
   * True for a pipeline without an end: a file of an earlier run is kept under a numbered name, and if the encoder fails, the
   * video continues in a new file. Otherwise a complete file replaces an earlier one, and the first failure is final.
   */
  readonly keepsEarlier: boolean;
  /** Turns the partial file into one with an index; null if it already has one. */
  readonly finish: { readonly args: readonly string[]; readonly outputPath: string } | null;
}

/** What the thread is started with. */
export interface AnnotateRequest {
  readonly file: VideoFilePlan;
  /** Size of the pictures, u8 rgb24 `[height, width, 3]`. */
  readonly width: number;
  readonly height: number;
  /** How frames of another size are fitted into the picture. */
  readonly fit: ResizeRule;
  readonly overlay: OverlayPlan;
  /** Maximum number of pictures in the thread at once; memory is allocated for each. */
  readonly places: number;
}

/** A picture to draw on. The thread owns its memory until it answers `taken`. */
export interface AnnotatePicture {
  readonly type: 'picture';
  /** View of shared memory. */
  readonly pixels: Uint8Array;
  readonly ptsUs: number;
  /** Size of the source that the boxes are in. */
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  readonly detections: readonly Detection[];
  readonly counts: OverlayCounts;
}

export type ToAnnotate =
  | AnnotatePicture
  /** `isComplete`: the source was read to its end. */
  | { readonly type: 'finish'; readonly isComplete: boolean };

export type FromAnnotate =
  /** An ffmpeg process was started or has ended. The main thread kills it if this thread dies. */
  | { readonly type: 'child-started'; readonly pid: number }
  | { readonly type: 'child-gone'; readonly pid: number }
  /** The oldest picture without a `taken` has been copied. */
  | { readonly type: 'taken' }
  /** The oldest outstanding picture was passed to the encoder, or is lost because no encoder is running. */
  | { readonly type: 'written' }
  | { readonly type: 'lost' }
  /** The encoder failed and will be restarted. `resumed`: the new one has worked for a while. */
  | { readonly type: 'interrupted'; readonly error: WireError }
  | { readonly type: 'resumed' }
  /** One sentence about the outcome of a file. */
  | { readonly type: 'notice'; readonly text: string }
  /** The file is complete at this path: its own, or the partial one if an earlier file keeps the name; null if there is none. */
  | { readonly type: 'finished'; readonly path: string | null }
  /** Nothing more will be written. */
  | { readonly type: 'failed'; readonly error: WireError };
