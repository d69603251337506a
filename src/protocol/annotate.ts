/** Messages between the main thread and the thread that draws and encodes one annotated video. */
import type { Detection } from '../core/detection.ts';
import type { ResizeRule } from '../core/model.ts';
import type { WireError } from '../errors/sightline-error.ts';
import type { LineCount, ZoneCount } from './report.ts';

/** A point of the source picture, 0 to 1 of its width and height. */
export type RatioPoint = readonly [x: number, y: number];

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
  /** The file that is complete in the end. */
  readonly path: string;
  /** Grows while the stream runs, beside `path`; can be played as far as it got, whatever happens. */
  readonly partialPath: string;
  readonly ffmpegPath: string;
  /** Reads Matroska from standard input and writes `partialPath`. */
  readonly encodeArgs: readonly string[];
  /**
   * For a pipeline that runs on and on: a file of an earlier run is kept under a number, and when the encoder fails the video
   * goes on in a new file. Otherwise a complete file replaces an earlier one, and the first failure is the last.
   */
  readonly keepsEarlier: boolean;
  /** Makes a file with an index out of the partial one; null where that has its index already. */
  readonly finish: { readonly args: readonly string[]; readonly outputPath: string } | null;
}

/** What the thread is started with. */
export interface AnnotateRequest {
  readonly file: VideoFilePlan;
  /** Size of the pictures, u8 rgb24 `[height, width, 3]`. */
  readonly width: number;
  readonly height: number;
  /** How sources of another size lie in the picture. */
  readonly fit: ResizeRule;
  readonly overlay: OverlayPlan;
  /** Pictures that may be in the thread at once; each has its memory there. */
  readonly places: number;
}

/** A picture to be drawn on. Its memory is the thread's until it answers `taken`. */
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
  /** An ffmpeg was started or is gone; the main thread ends it if this thread dies. */
  | { readonly type: 'child-started'; readonly pid: number }
  | { readonly type: 'child-gone'; readonly pid: number }
  /** The oldest picture that was not taken yet has been copied. */
  | { readonly type: 'taken' }
  /** The oldest picture that was not written yet is with the encoder, or lost because there is none now. */
  | { readonly type: 'written' }
  | { readonly type: 'lost' }
  /** The encoder failed; another one will be started. `resumed`: that one has worked for a while. */
  | { readonly type: 'interrupted'; readonly error: WireError }
  | { readonly type: 'resumed' }
  /** What became of a file, in a sentence. */
  | { readonly type: 'notice'; readonly text: string }
  /** The file is whole, under this path: its own, or the partial one where an earlier file keeps its name. */
  | { readonly type: 'finished'; readonly path: string }
  /** Nothing more will be written. */
  | { readonly type: 'failed'; readonly error: WireError };
