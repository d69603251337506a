/** Top-left corner and size in source pixels: `[x, y, width, height]`, as in COCO. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/** A point as a ratio of the picture's width and height, 0 to 1, from the top left. */
export type RatioPoint = readonly [x: number, y: number];

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
