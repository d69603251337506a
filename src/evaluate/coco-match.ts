import type { CocoAnnotation, CocoBox, CocoResult } from './coco-dataset.ts';
import { AP_MAX_DETECTIONS, AREA_RANGES, IOU_THRESHOLDS } from './coco-rules.ts';

/** Outcomes of a detection at one threshold and area range. */
export const FALSE_POSITIVE = 0;
export const TRUE_POSITIVE = 1;
/** Matched a crowd or an object of another size, or is unmatched and of another size itself. Not counted. */
const IGNORED = 2;

const AREAS = AREA_RANGES.length;
const THRESHOLDS = IOU_THRESHOLDS.length;

/** The matching of one category's detections in one image. */
export interface ImageMatches {
  /** `[d]`, descending, at most 100. */
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
 * preferred to an ignored one. A crowd can be matched any number of times. Source: the matching rule of COCO's published
 * evaluation.
 */
export function matchImage(results: readonly CocoResult[], annotations: readonly CocoAnnotation[]): ImageMatches {
  const ranked = results.toSorted((a, b) => b.score - a.score).slice(0, AP_MAX_DETECTIONS);
  const count = ranked.length;
  const ious = overlaps(ranked, annotations);
  const best = bestOverlaps(ious, count, annotations.length);
  const outcomes = new Uint8Array(AREAS * THRESHOLDS * count);
  const objects = new Int32Array(AREAS);

  for (const [area, range] of AREA_RANGES.entries()) {
    const isOutside = (px: number) => px < range.minPx || px > range.maxPx;
    const isIgnored = annotations.map((object) => object.isCrowd || isOutside(object.areaPx));
    const counted = indices(annotations.length, (i) => !isIgnored[i]);
    const order = [...counted, ...indices(annotations.length, (i) => isIgnored[i]!)];
    objects[area] = counted.length;
    const isOtherSize = ranked.map((result) => isOutside(result.box[2] * result.box[3]));
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

/** Returns `[detections, annotations]` IoU; for a crowd, the share of the detection that lies inside it. */
function overlaps(results: readonly CocoResult[], annotations: readonly CocoAnnotation[]): Float64Array {
  const ious = new Float64Array(results.length * annotations.length);
  let k = 0;
  for (const { box } of results) {
    for (const object of annotations) ious[k++] = overlap(box, object.box, object.isCrowd);
  }
  return ious;
}

function overlap(a: CocoBox, b: CocoBox, isCrowd: boolean): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  if (width <= 0) return 0;
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (height <= 0) return 0;
  const shared = width * height;
  const areaPx = a[2] * a[3];
  return shared / (isCrowd ? areaPx : areaPx + b[2] * b[3] - shared);
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
