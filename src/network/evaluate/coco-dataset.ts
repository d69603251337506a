/** Validated contents of COCO's two file formats, as far as scoring needs them. */

import type { Box, Mask } from '../../base/core/detection.ts';
import type { IouType } from './coco-rules.ts';

/** Top-left corner and size in pixels of the image. */
export type CocoBox = Box;

/** What an entry has beside its box; `iouType` of the annotations says which. */
export interface CocoShape {
  /** Its pixels; for `segm`. */
  readonly mask?: Mask;
  /** x, y, and visibility or score of each point in turn; for `keypoints`. */
  readonly keypoints?: readonly number[];
  /** Clockwise degrees by which the box is turned about its centre; for `oriented-boxes`, unless it has corners. */
  readonly angle?: number;
  /** x and y in turn of a convex quadrilateral; for `oriented-boxes`, unless it has an angle. */
  readonly corners?: readonly number[];
}

/** A picture of an annotations file. */
export interface CocoImage {
  /** Number of the image, unique in the file. */
  readonly id: number;
  /** Name of its file. */
  readonly fileName: string;
  /** In pixels; read for `segm` only. */
  readonly size?: readonly [height: number, width: number];
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
export interface CocoAnnotation extends CocoShape {
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
  /** Points that are labelled; without any, the object is ignored. For `keypoints`. */
  readonly keypointCount?: number;
}

/** An annotations file: pictures, their objects, and the classes. */
export interface CocoAnnotations {
  /** Path of the file, for messages. */
  readonly path: string;
  /** What results are matched by; default `bbox`. */
  readonly iouType?: IouType;
  /** All pictures, those without an object included. */
  readonly images: readonly CocoImage[];
  /** All classes. */
  readonly categories: readonly CocoCategory[];
  /** The objects of all pictures. */
  readonly annotations: readonly CocoAnnotation[];
}

/** One entry of a results file. */
export interface CocoResult extends CocoShape {
  /** The image in which it was found. */
  readonly imageId: number;
  /** Its class. */
  readonly categoryId: number;
  /** Where it is, in pixels of the image. */
  readonly box: CocoBox;
  /** Area in square pixels that decides its area range; default: that of the box. */
  readonly areaPx?: number;
  /** Confidence; higher is more certain. */
  readonly score: number;
}
