/** Validated contents of COCO's two file formats, as far as scoring boxes needs them. */

/** Top-left corner and size in pixels of the image. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

/** A picture of an annotations file. */
export interface CocoImage {
  /** Number of the image, unique in the file. */
  readonly id: number;
  /** Name of its file. */
  readonly fileName: string;
  /** Words that group images, such as `night` or `gate 3`: an addition to COCO's format. Absent where there are none. */
  readonly tags?: readonly string[];
}

/** A class of an annotations file. */
export interface CocoCategory {
  /** Number of the class, unique in the file. */
  readonly id: number;
  /** Name of the class. */
  readonly name: string;
}

/** One object annotated by a person. */
export interface CocoAnnotation {
  /** The image that shows it. */
  readonly imageId: number;
  /** Its class. */
  readonly categoryId: number;
  /** Where it is, in pixels of the image. */
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
  /** All pictures, those without an object included. */
  readonly images: readonly CocoImage[];
  /** All classes. */
  readonly categories: readonly CocoCategory[];
  /** The objects of all pictures. */
  readonly annotations: readonly CocoAnnotation[];
}

/** One entry of a results file. */
export interface CocoResult {
  /** The image in which it was found. */
  readonly imageId: number;
  /** Its class. */
  readonly categoryId: number;
  /** Where it is, in pixels of the image. */
  readonly box: CocoBox;
  /** Confidence; higher is more certain. */
  readonly score: number;
}
