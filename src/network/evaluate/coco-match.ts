import type { CocoAnnotation, CocoResult } from './coco-dataset.ts';
import { AP_MAX_DETECTIONS, AREA_RANGES, IOU_THRESHOLDS, type IouType } from './coco-rules.ts';
import { OVERLAPS } from './overlaps.ts';

/** Outcomes of a detection at one threshold and area range. */
export const FALSE_POSITIVE = 0;
export const TRUE_POSITIVE = 1;
/** Matched a crowd or an object of another size, or is unmatched and of another size itself. Not counted. */
const IGNORED = 2;

const AREAS = AREA_RANGES.length;
const THRESHOLDS = IOU_THRESHOLDS.length;

/** The matching of one category's detections in one image. */
export interface ImageMatches {
  /** `[d]`, descending, at most `AP_MAX_DETECTIONS`. */
  readonly scores: Float64Array;
  /** `[area][threshold][d]`: FALSE_POSITIVE, TRUE_POSITIVE or IGNORED. */
  readonly outcomes: Uint8Array;
  /** `[area]`: number of objects to find. */
  readonly objects: Int32Array;
}

/**
 * Matches the detections of one category in one image with its annotations, for every IoU threshold and area range.
 *
 * Detections are matched in order of descending score (equal scores: in the order given). Each takes the free annotation
 * with the highest IoU at or above the threshold; among equals, the last one given. A counted annotation is always
 * preferred to an ignored one: a crowd, an object of another size, one without a labelled keypoint. A crowd can be matched any number
 * of times. Source: the matching rule of COCO's published evaluation.
 */
export function matchImage(
  results: readonly CocoResult[],
  annotations: readonly CocoAnnotation[],
  iouType: IouType = 'bbox',
): ImageMatches {
  const ranked = results.toSorted((a, b) => b.score - a.score).slice(0, AP_MAX_DETECTIONS[iouType]);
  const count = ranked.length;
  const ious = OVERLAPS[iouType](ranked, annotations);
  const best = bestOverlaps(ious, count, annotations.length);
  const outcomes = new Uint8Array(AREAS * THRESHOLDS * count);
  const objects = new Int32Array(AREAS);

  for (const [area, range] of AREA_RANGES.entries()) {
    const isOutside = (px: number) => px < range.minPx || px > range.maxPx;
    const isIgnored = annotations.map(
      ({ isCrowd, areaPx, keypointCount }) => isCrowd || keypointCount === 0 || isOutside(areaPx),
    );
    const counted = indices(annotations.length, (i) => !isIgnored[i]);
    const order = [...counted, ...indices(annotations.length, (i) => isIgnored[i]!)];
    objects[area] = counted.length;
    const isOtherSize = ranked.map(({ box, areaPx = box[2] * box[3] }) => isOutside(areaPx));
    for (const [t, threshold] of IOU_THRESHOLDS.entries()) {
      const isTaken = new Uint8Array(annotations.length);
      const row = (area * THRESHOLDS + t) * count;
      for (let d = 0; d < count; d++) {
        const match =
          best[d]! < threshold ? -1 : choose(ious, d * annotations.length, order, counted.length, isTaken, threshold);
        if (match === -1) {
          outcomes[row + d] = isOtherSize[d] ? IGNORED : FALSE_POSITIVE;
        } else {
          outcomes[row + d] = isIgnored[match] ? IGNORED : TRUE_POSITIVE;
          isTaken[match] = annotations[match]!.isCrowd ? 0 : 1;
        }
      }
    }
  }
  return { scores: Float64Array.from(ranked, (result) => result.score), outcomes, objects };
}

/** Returns the index of the annotation that a detection matches, -1 for none. `order` lists the counted ones first. */
function choose(
  ious: Float64Array,
  row: number,
  order: readonly number[],
  countedLength: number,
  isTaken: Uint8Array,
  threshold: number,
): number {
  let match = -1;
  let reached = threshold;
  for (let i = 0; i < order.length; i++) {
    // Ignored annotations are only considered if no counted one matches.
    if (i === countedLength && match !== -1) break;
    const annotation = order[i]!;
    const iou = ious[row + annotation]!;
    if (isTaken[annotation] === 1 || iou < reached) continue;
    reached = iou;
    match = annotation;
  }
  return match;
}

function bestOverlaps(ious: Float64Array, rows: number, columns: number): Float64Array {
  const best = new Float64Array(rows);
  for (let d = 0; d < rows; d++) {
    for (let g = 0; g < columns; g++) best[d] = Math.max(best[d]!, ious[d * columns + g]!);
  }
  return best;
}

function indices(length: number, isWanted: (i: number) => boolean): number[] {
  const wanted: number[] = [];
  for (let i = 0; i < length; i++) if (isWanted(i)) wanted.push(i);
  return wanted;
}
