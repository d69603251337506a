import type { Box, Detection } from '../../src/base/core/detection.ts';
import { iouXywh } from '../../src/base/geometry/iou.ts';

/** The result of a frame. */
export interface SeenFrame {
  readonly ptsUs: number;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[];
}

export interface MissOptions {
  /** Smallest share of the picture that an object covers. */
  readonly minShare: number;
  /** Media time for which inference of every frame must find an object in each frame, for it to count. */
  readonly steadyMs: number;
}

/** An object that inference of every frame found in each frame of a stretch. */
export interface Sighting {
  readonly label: string;
  readonly fromUs: number;
  readonly toUs: number;
  /** Longest time in which the other run did not have it. */
  readonly missedMs: number;
  /** When that began. */
  readonly missedFromUs: number;
}

/** Objects match as in every figure of agreement: the same class, and an IoU of at least this. */
const MATCH_IOU = 0.5;
/** Boxes have single precision. */
const SLACK = 1e-6;

interface Chain {
  box: Box;
  readonly classId: number;
  readonly label: string;
  /** Number of its first frame, and its box in each frame from there. */
  readonly first: number;
  readonly boxes: Box[];
}

/**
 * Finds how long the other run misses each object that inference of every frame finds steadily.
 *
 * An object is steady while every frame has a box of its class with an IoU of at least 0.5 with the box of the frame before, and each
 * box covers `minShare` of the picture, for at least `steadyMs`. Where the detector itself loses it for a frame, its stretch ends. The whole
 * stretch counts, from its first frame. It is missing in a frame if the other run has no box of its class with an IoU of at
 * least 0.5, and until the first frame in which it has one.
 *
 * @param every - results of inference of every frame, in order.
 * @param other - results of the same frames.
 */
export function steadySightings(
  every: readonly SeenFrame[],
  other: readonly SeenFrame[],
  { minShare, steadyMs }: MissOptions,
): Sighting[] {
  if (every.length !== other.length) throw new RangeError(`expected ${every.length} frames, received ${other.length}`);
  const sightings: Sighting[] = [];
  let open: Chain[] = [];
  const close = (chain: Chain): void => {
    const last = chain.first + chain.boxes.length - 1;
    if (endOf(every, last) - every[chain.first]!.ptsUs < steadyMs * 1000) return;
    sightings.push(sightingOf(chain, every, other));
  };
  for (const [number, frame] of every.entries()) {
    const free = new Set(frame.detections.filter(({ box }) => shareOf(box, frame) >= minShare));
    const next: Chain[] = [];
    for (const chain of open) {
      const found = bestOf(chain, free);
      if (found === null) {
        close(chain);
        continue;
      }
      free.delete(found);
      chain.box = found.box;
      chain.boxes.push(found.box);
      next.push(chain);
    }
    for (const { classId, label, box } of free) next.push({ box, classId, label, first: number, boxes: [box] });
    open = next;
  }
  for (const chain of open) close(chain);
  return sightings;
}

function sightingOf(
  { classId, label, first, boxes }: Chain,
  every: readonly SeenFrame[],
  other: readonly SeenFrame[],
): Sighting {
  let longestUs = 0;
  let longestFromUs = every[first]!.ptsUs;
  let missedFrom: number | null = null;
  for (let i = 0; i <= boxes.length; i++) {
    const number = first + i;
    const isMissed = i < boxes.length && !has(other[number]!.detections, classId, boxes[i]!);
    if (isMissed) {
      missedFrom ??= number;
      continue;
    }
    if (missedFrom === null) continue;
    const fromUs = every[missedFrom]!.ptsUs;
    const lengthUs = endOf(every, number - 1) - fromUs;
    if (lengthUs > longestUs) {
      longestUs = lengthUs;
      longestFromUs = fromUs;
    }
    missedFrom = null;
  }
  const [fromUs, toUs] = [every[first]!.ptsUs, endOf(every, first + boxes.length - 1)];
  return { label, fromUs, toUs, missedMs: longestUs / 1000, missedFromUs: longestFromUs };
}

/** Media time at which the next frame begins; the last frame lasts as long as the one before. */
function endOf(frames: readonly SeenFrame[], number: number): number {
  const next = frames[number + 1];
  if (next !== undefined) return next.ptsUs;
  const [last, before] = [frames[number]!.ptsUs, frames[number - 1]?.ptsUs];
  return before === undefined ? last : 2 * last - before;
}

function bestOf({ box, classId }: Chain, free: ReadonlySet<Detection>): Detection | null {
  let best: Detection | null = null;
  let bestIou = MATCH_IOU - SLACK;
  for (const detection of free) {
    const iou = detection.classId === classId ? iouOf(detection.box, box) : 0;
    if (iou < bestIou) continue;
    best = detection;
    bestIou = iou;
  }
  return best;
}

function has(detections: readonly Detection[], classId: number, box: Box): boolean {
  return detections.some(
    (detection) => detection.classId === classId && iouOf(detection.box, box) >= MATCH_IOU - SLACK,
  );
}

function iouOf(a: Box, b: Box): number {
  return iouXywh(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]);
}

function shareOf(box: Box, { width, height }: SeenFrame): number {
  return (box[2] * box[3]) / (width * height);
}
