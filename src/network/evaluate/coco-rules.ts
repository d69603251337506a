/** Constants of COCO's published evaluation for its detection and keypoint challenges. */

/**
 * What detections are matched by: IoU of boxes, masks or oriented boxes, or COCO's similarity of keypoints. `classes`: the label of a whole
 * picture, which has no place in it.
 */
export const IOU_TYPES = ['bbox', 'segm', 'keypoints', 'oriented-boxes', 'classes'] as const;

/** What detections are matched by, see `IOU_TYPES`. */
export type IouType = (typeof IOU_TYPES)[number];

/** Name of the figure that decides: the first of each type. */
export const DECIDING_FIGURE = {
  bbox: 'AP',
  segm: 'mask AP',
  keypoints: 'keypoint AP',
  'oriented-boxes': 'oriented-box AP',
  classes: 'top-1',
} as const satisfies Readonly<Record<IouType, string>>;

export type DecidingFigure = (typeof DECIDING_FIGURE)[IouType];

/**
 * IoU thresholds 0.50, 0.55 ... 0.95. Computed with the same arithmetic as NumPy's `linspace`, so that a box exactly on a
 * threshold falls on the same side.
 */
export const IOU_THRESHOLDS: readonly number[] = evenlySpaced(0.5, 0.95, 10);
export const IOU_50_INDEX = 0;
export const IOU_75_INDEX = 5;

/** Recall points 0.00, 0.01 ... 1.00. */
export const RECALL_POINTS: readonly number[] = evenlySpaced(0, 1, 101);

/** Detections per image and category that average precision uses. */
export const AP_MAX_DETECTIONS: Readonly<Record<IouType, number>> = {
  bbox: 100,
  segm: 100,
  'oriented-boxes': 100,
  classes: 100,
  keypoints: 20,
};

/** In square pixels, both ends inclusive: an object of exactly 32 x 32 is both small and medium. */
export const AREA_RANGES = [
  { name: 'all', minPx: 0, maxPx: 1e10 },
  { name: 'small', minPx: 0, maxPx: 32 ** 2 },
  { name: 'medium', minPx: 32 ** 2, maxPx: 96 ** 2 },
  { name: 'large', minPx: 96 ** 2, maxPx: 1e10 },
] as const;

function evenlySpaced(first: number, last: number, count: number): number[] {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : i * step + first));
}
