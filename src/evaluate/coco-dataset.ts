/** Validated contents of COCO's two file formats, as far as scoring boxes needs them. */

/** Top-left corner and size in pixels of the image. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

/** A picture of an annotations file. */
export interface CocoImage {
  readonly id: number;
  readonly fileName: string;
  /** Words that group images, such as `night` or `gate 3`: an addition to COCO's format. Absent where there are none. */
  readonly tags?: readonly string[];
}

/** A class of an annotations file. */
export interface CocoCategory {
  readonly id: number;
  readonly name: string;
}

/** One object annotated by a person. */
export interface CocoAnnotation {
  readonly imageId: number;
  readonly categoryId: number;
  readonly box: CocoBox;
  /** Area of the object's outline (not of its box) in square pixels; decides its area range. */
  readonly areaPx: number;
  /** The box holds a crowd: detections inside it are ignored. */
  readonly isCrowd: boolean;
}

/** An annotations file: pictures, their objects, and the classes. */
export interface CocoAnnotations {
  /** Path of the file, for messages. */
  readonly path: string;
  readonly images: readonly CocoImage[];
  readonly categories: readonly CocoCategory[];
  readonly annotations: readonly CocoAnnotation[];
}

/** One entry of a results file. */
export interface CocoResult {
  readonly imageId: number;
  readonly categoryId: number;
  readonly box: CocoBox;
  readonly score: number;
}
