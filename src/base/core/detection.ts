/** Top-left corner and size in source pixels: `[x, y, width, height]`, as in COCO. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/** A point as a ratio of the picture's width and height, 0 to 1, from the top left. */
export type RatioPoint = readonly [x: number, y: number];

/** Pixels of an object: run lengths of the whole picture as COCO compresses them, see `rle.ts`. */
export interface Mask {
  /** Of the picture, in source pixels. */
  readonly size: readonly [height: number, width: number];
  /** Compressed run lengths, column by column from the top left, the first of pixels outside. */
  readonly counts: string;
}

/** One object found in one frame. */
export interface Detection {
  /** Index into the model's class list, from 0. */
  readonly classId: number;
  /** Name of the class, such as `person`. */
  readonly label: string;
  /** Confidence, 0 to 1. */
  readonly score: number;
  /** Source pixels (after rotation and display aspect), clipped to the picture. */
  readonly box: Box;
  /** Identity over time within one stream; only if a tracker runs. */
  readonly trackId?: number;
  /** Its pixels; only of models that segment. */
  readonly mask?: Mask;
  /**
   * x, y and score of each point in turn, as in COCO's result files: source pixels, and how sure the model is that it is seen, 0 to 1.
   * Points may lie outside of the picture. Only of models that find poses.
   */
  readonly keypoints?: readonly number[];
  /**
   * Clockwise degrees by which `box` is turned about its centre, from -90 to below 90; only of models with oriented boxes, whose
   * boxes are not clipped: part of a rectangle has another centre.
   */
  readonly angle?: number;
  /** Of an object that a second stage found in another one: the track of that one. */
  readonly parent?: number;
  /** What second stages have said about its track so far, by name. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** Returns what tasks other than boxes add to a detection; absent keys if nothing. */
export function extrasOf({ mask, keypoints, angle }: Detection): Pick<Detection, 'mask' | 'keypoints' | 'angle'> {
  return {
    ...(mask === undefined ? {} : { mask }),
    ...(keypoints === undefined ? {} : { keypoints }),
    ...(angle === undefined ? {} : { angle }),
  };
}

/** What a second stage says about an object. */
export interface Attribute {
  /** The class, or the text that was read; absent for a vector. */
  readonly label?: string;
  /** How sure the model is, 0 to 1; of a text the mean of its characters. Absent for a vector. */
  readonly score?: number;
  /** An embedding of unit length; the feed does not carry it. */
  readonly vector?: readonly number[];
  /** Of a vector: name and hash of the model that made it. Vectors of different models cannot be compared. */
  readonly model?: string;
  /** Of a vector: what the model saw, in source pixels. */
  readonly box?: Box;
  /** Media time in microseconds of the frame in which the object was looked at. */
  readonly atUs: number;
}

/** Columns of a packed detection row: x, y, width, height, score, classId. */
export const DETECTION_COLUMNS = 6;

/**
 * Turns packed rows into detections.
 *
 * @param rows - `[n, 6]` f32: x, y, width, height in source pixels, score, classId.
 * @param classes - label of each classId; an id beyond the list is labelled `class N`.
 */
export function unpackDetections(rows: Float32Array, classes: readonly string[]): Detection[] {
  const detections: Detection[] = [];
  for (let i = 0; i + DETECTION_COLUMNS <= rows.length; i += DETECTION_COLUMNS) {
    const classId = rows[i + 5]!;
    detections.push({
      classId,
      label: classes[classId] ?? `class ${classId}`,
      score: rows[i + 4]!,
      box: [rows[i]!, rows[i + 1]!, rows[i + 2]!, rows[i + 3]!],
    });
  }
  return detections;
}
