/**
 * How pixels are interpolated.
 * - `linear`: two taps on each axis, no antialiasing: OpenCV's `INTER_LINEAR`.
 * - `antialiased-linear`: a triangle that widens when the picture shrinks: Pillow's `BILINEAR`, torchvision's default.
 * - `area`: the mean of what a pixel covers: OpenCV's `INTER_AREA`.
 * - `cubic`: four taps on each axis, a = -0.75, no antialiasing: OpenCV's `INTER_CUBIC`.
 * - `vips-linear`: what libvips calls linear: `antialiased-linear` if an axis shrinks; if it is enlarged, the picture
 *   is shifted half an input pixel to the right or down.
 */
export type ResizeKernel = 'linear' | 'antialiased-linear' | 'area' | 'cubic' | 'vips-linear';

/** How a picture is fitted into the model's input. */
export type ResizeRule =
  | {
      readonly mode: 'stretch';
      /** Default `antialiased-linear`. */
      readonly kernel?: ResizeKernel;
    }
  | {
      readonly mode: 'crop';
      /** Part of the shorter side of the picture that fills the input, from its middle, above 0 up to 1. */
      readonly share: number;
      /** Default `antialiased-linear`. */
      readonly kernel?: ResizeKernel;
    }
  | {
      readonly mode: 'letterbox';
      /** Position of the picture in the input. */
      readonly anchor: 'top-left' | 'center';
      /** Grey level of the border, 0 to 255. */
      readonly padValue: number;
      /** Default `antialiased-linear`. */
      readonly kernel?: ResizeKernel;
      /** How the scaled size is rounded to whole pixels; default `round`. */
      readonly rounding?: 'floor' | 'round';
    };

/** What a network finds: boxes, boxes with masks, key points or an angle, or classes of the whole picture. */
export const MODEL_TASKS = ['boxes', 'masks', 'keypoints', 'oriented-boxes', 'classes'] as const;

export type ModelTask = (typeof MODEL_TASKS)[number];

/** Families of detectors that share a decode function (one folder each under `models/`). */
export const MODEL_FAMILIES = [
  'centernet',
  'yolox',
  'yolov5',
  'yolov8',
  'yolo-end2end',
  'detr',
  'deimv2',
  'ssd',
  'gfl',
  'rtmdet',
  'rtmdet-ins',
  'yolov5-seg',
  'yolov8-seg',
  'yolov8-pose',
  'yolov8-obb',
  'rtmpose',
  'yunet',
  'classifier',
] as const;

export type ModelFamily = (typeof MODEL_FAMILIES)[number];

/** Tasks of the families that find more than boxes, or none. */
const FAMILY_TASKS: Partial<Readonly<Record<ModelFamily | ReaderFamily, ModelTask>>> = {
  'rtmdet-ins': 'masks',
  'yolov5-seg': 'masks',
  'yolov8-seg': 'masks',
  'yolov8-pose': 'keypoints',
  'yolov8-obb': 'oriented-boxes',
  rtmpose: 'keypoints',
  yunet: 'keypoints',
  classifier: 'classes',
};

export function taskOf(family: ModelFamily | ReaderFamily): ModelTask {
  return FAMILY_TASKS[family] ?? 'boxes';
}

/**
 * Families of networks that read crops of objects, for second stages. heads: one class of each output; labels: several
 * that hold or do not, each by itself; ctc, slots: a text, by
 * connectionist temporal classification or with a character in each slot; embedding: a vector.
 */
export const READER_FAMILIES = ['heads', 'labels', 'ctc', 'slots', 'embedding'] as const;

export type ReaderFamily = (typeof READER_FAMILIES)[number];

/** Returns whether networks of a family say something about a crop, instead of finding boxes in it. */
export function isReader(family: ModelFamily | ReaderFamily): family is ReaderFamily {
  return (READER_FAMILIES as readonly string[]).includes(family);
}

/** Number format inside a compiled file. */
export type Precision = 'f32' | 'f16';

/** Number format that an engine computes in; it may differ from that of the file. */
export type ComputePrecision = Precision | 'bf16' | 'int8';

/** What every stage needs to know about a detector. Plain data: crosses threads. */
export interface ModelSpec {
  readonly name: string;
  readonly family: ModelFamily | ReaderFamily;
  /** Of family `heads`: its outputs, whose classes follow each other in `classes`. */
  readonly heads?: readonly string[];
  /** Model input in pixels. */
  readonly input: { readonly width: number; readonly height: number; readonly resize: ResizeRule };
  readonly classes: readonly string[];
  /** What it finds; absent: boxes. */
  readonly task?: ModelTask;
  /** Number of key points of an object; only for task `keypoints`. */
  readonly keypoints?: number;
  /** IoU above which the weaker of two boxes of one class is removed; null if the network needs no NMS. */
  readonly nmsIou: number | null;
  /** Boxes below this are not reported, unless the user sets another threshold. */
  readonly scoreThreshold: number;
  /** Most boxes per frame. */
  readonly maxDetections: number;
  /**
   * Which classes of one box are reported: only the best, or each whose score reaches the threshold, as tools that
   * measure average precision do. Has no effect on networks that output one class per box.
   */
  readonly classesPerBox: 'best' | 'all';
  /** What fits a stream's frames into the input if the stream says `auto`; default ffmpeg. */
  readonly resizeBy?: 'ffmpeg' | 'sharp';
}

/** Names a model's input: frames made for one key fit every model with the same key. */
export function inputKey({ input }: Pick<ModelSpec, 'input'>): string {
  return JSON.stringify(input);
}

/**
 * A network ready to be loaded by an engine. Plain data: crosses threads.
 *
 * An `onnx` file and a `saved-model` take `frames`, u8 `[n, height, width, 3]`, RGB 0..255; cast, colour order, range
 * and layout are inside the graph, and outputs are f32 or integers at either precision. An `onnx` file may take the
 * input `gate` as well (see `GATE_INPUT`). The `wasm` engine runs a `tfjs` folder as published (f32 NHWC).
 */
export interface CompiledModel {
  readonly spec: ModelSpec;
  readonly format: 'onnx' | 'saved-model' | 'tfjs';
  /** File (`.onnx`), folder of a SavedModel, or `model.json`. */
  readonly path: string;
  /** Precision of the file; `EngineInfo` has the one that is computed in. */
  readonly precision: Precision;
  /** Batch sizes that the graph accepts: any (`free`), or exactly this one. */
  readonly batch: 'free' | number;
  /** sha256 of everything that made the file, hex. */
  readonly hash: string;
  /** The files that an engine loads, with the hashes that they must have; absent for a file that was made a moment ago. */
  readonly files?: readonly { readonly path: string; readonly sha256: string }[] | undefined;
}

/**
 * Name of an input of gated networks, which compute no class scores where objectness is too low for any box: f32 `[1]`, the
 * minimum objectness logit. -Infinity disables the gate.
 */
export const GATE_INPUT = 'gate';

/** A raw output of a network for a whole batch. */
export interface OutputTensor {
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
  readonly dims: readonly number[];
}
