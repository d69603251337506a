import { extrasOf } from '../../base/core/detection.ts';
import type { PublishedFrame, ResultOrigin } from '../../base/core/frame.ts';
import { categoryIdsOfClasses } from './class-categories.ts';
import type { CocoAnnotations, CocoResult } from './coco-dataset.ts';

/** The result of one frame, as it was published. */
export interface RecordedFrame extends Pick<PublishedFrame, 'frame' | 'width' | 'height' | 'detections'> {
  readonly ptsUs: number;
  /** Absent if it was not recorded. */
  readonly by?: ResultOrigin;
}

/** All results of one run over pictures or a clip. */
export interface RecordedResults {
  /** Labels of the class ids. */
  readonly classes: readonly string[];
  /** The pipeline reports objects of at least this score. The frames hold weaker ones too, down to half of it or less. */
  readonly scoreThreshold: number;
  readonly frames: readonly RecordedFrame[];
}

/**
 * Turns the results of a run over the pictures of a data set into COCO's, class by class. Classes without a category are left out.
 *
 * @param results - frame numbers are places in the list of images.
 * @throws DATASET_INVALID if the annotations have no class of the model.
 */
export function cocoResultsOf({ classes, frames }: RecordedResults, annotations: CocoAnnotations): CocoResult[] {
  const categoryIds = categoryIdsOfClasses(annotations, classes);
  return frames.flatMap(({ frame, detections }) => {
    const image = annotations.images[frame];
    if (image === undefined)
      throw new RangeError(
        `frame ${frame}: expected a place in the ${annotations.images.length} images of ${annotations.path}`,
      );
    return detections.flatMap((found): CocoResult[] => {
      const categoryId = categoryIds[found.classId];
      const { box, score } = found;
      return categoryId == null ? [] : [{ imageId: image.id, categoryId, box: [...box], score, ...extrasOf(found) }];
    });
  });
}
