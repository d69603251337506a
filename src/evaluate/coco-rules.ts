/** Constants of COCO's published evaluation for its detection challenge. */

/**
 * IoU thresholds 0.50, 0.55 ... 0.95. Computed with the same arithmetic as NumPy's `linspace`, so that a box exactly on a
 * threshold falls on the same side.
 */
export const IOU_THRESHOLDS: readonly number[] = evenlySpaced(0.5, 0.95, 10);
export const IOU_50_INDEX = 0;
export const IOU_75_INDEX = 5;

/** Recall points 0.00, 0.01 ... 1.00. */
export const RECALL_POINTS: readonly number[] = evenlySpaced(0, 1, 101);

/** Limits of detections per image and category, for average recall. */
export const MAX_DETECTIONS = [1, 10, 100] as const;
/** The limit that average precision uses. */
export const AP_MAX_DETECTIONS = 100;

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
