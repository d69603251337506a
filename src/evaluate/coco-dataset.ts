/** The parts of COCO's two file formats that box scores need, already checked. */

/** Top-left corner and size in pixels of the image. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

export interface CocoImage {
  readonly id: number;
  readonly fileName: string;
}

export interface CocoCategory {
  readonly id: number;
  readonly name: string;
}

/** One object that a person marked. */
export interface CocoAnnotation {
  readonly imageId: number;
  readonly categoryId: number;
  readonly box: CocoBox;
  /** Square pixels of the object's outline (not of its box): what the area ranges go by. */
  readonly areaPx: number;
  /** The box holds a crowd: detections inside it count neither for nor against. */
  readonly isCrowd: boolean;
}

export interface CocoAnnotations {
  /** Where it was read from; stands in messages. */
  readonly path: string;
  readonly images: readonly CocoImage[];
  readonly categories: readonly CocoCategory[];
  readonly annotations: readonly CocoAnnotation[];
}

/** One detection, as results files hold them. */
export interface CocoResult {
  readonly imageId: number;
  readonly categoryId: number;
  readonly box: CocoBox;
  readonly score: number;
}
