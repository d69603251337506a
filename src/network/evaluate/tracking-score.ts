import { BestPairs } from '../../base/geometry/assignment.ts';

/** What is compared in one frame: each of the true boxes with each of the boxes found. */
export interface ComparedTracks {
  /** Identities of the true boxes, each once. */
  readonly truths: readonly number[];
  /** Identities of the boxes found, each once. */
  readonly found: readonly number[];
  /** IoU, 0 to 1, `[truths, found]`. */
  readonly overlaps: Float64Array;
}

/** Counts of a sequence, from which the figures follow. Those of several sequences can be added. */
export interface TrackingCounts {
  /** Frames with a box. */
  readonly frames: number;
  readonly trueBoxes: number;
  readonly foundBoxes: number;
  readonly trueIds: number;
  readonly foundIds: number;
  /** Boxes that match at an IoU of 0.5. */
  readonly matches: number;
  /** A true object that was followed by one identity, and is by another now. */
  readonly switches: number;
  /** Times that an object was found again after it had been missed. */
  readonly fragmentations: number;
  /** True objects that were found in more than 80 % of their frames, and in less than 20 %. */
  readonly mostlyTracked: number;
  readonly mostlyLost: number;
  /** Matching boxes of the best assignment of whole identities. */
  readonly idMatches: number;
  /** By IoU threshold, see `HOTA_THRESHOLDS`: matching boxes, and the sum over them of how well the two identities agree as a whole. */
  readonly hotaMatches: readonly number[];
  readonly hotaAssociation: readonly number[];
}

/** Figures from 0 to 1, except MOTA, which may be negative. */
export interface TrackingFigures {
  readonly hota: number;
  readonly detA: number;
  readonly assA: number;
  readonly idf1: number;
  readonly mota: number;
  readonly precision: number;
  readonly recall: number;
}

/** 0.05, 0.10, ... 0.95. */
const HOTA_THRESHOLDS = Array.from({ length: 19 }, (_, i) => (i + 1) * 0.05);
/** From here on boxes match. */
export const MATCH_IOU = 0.5;
/** Two overlaps that differ by less are the same. */
const ROUNDING = Number.EPSILON;
/** More than any sum of overlaps: who matched in the frame before comes first. */
const STAYS = 1000;

/**
 * Compares the identities that a tracker gave with the true ones, as the benchmarks do.
 *
 * HOTA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-object Tracking" (2020). MOTA, switches, fragmentations: Bernardin
 * and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics" (2008). IDF1: Ristani et al., "Performance
 * Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (2016).
 */
export function trackingCounts(given: readonly ComparedTracks[]): TrackingCounts {
  const { frames, truths, found } = numbered(given);
  const clear = clearCounts(frames, truths.length);
  const hota = hotaCounts(frames, truths, found);
  return {
    frames: frames.length,
    trueBoxes: sum(truths),
    foundBoxes: sum(found),
    trueIds: truths.length,
    foundIds: found.length,
    ...clear,
    idMatches: idMatches(frames, truths.length, found.length),
    ...hota,
  };
}

/** Adds the counts of several sequences. */
export function pooledTracking(all: readonly TrackingCounts[]): TrackingCounts {
  const numbers = (key: keyof TrackingCounts): number => sum(all.map((counts) => counts[key] as number));
  const lists = (key: 'hotaMatches' | 'hotaAssociation'): number[] =>
    HOTA_THRESHOLDS.map((_, i) => sum(all.map((counts) => counts[key][i]!)));
  return {
    frames: numbers('frames'),
    trueBoxes: numbers('trueBoxes'),
    foundBoxes: numbers('foundBoxes'),
    trueIds: numbers('trueIds'),
    foundIds: numbers('foundIds'),
    matches: numbers('matches'),
    switches: numbers('switches'),
    fragmentations: numbers('fragmentations'),
    mostlyTracked: numbers('mostlyTracked'),
    mostlyLost: numbers('mostlyLost'),
    idMatches: numbers('idMatches'),
    hotaMatches: lists('hotaMatches'),
    hotaAssociation: lists('hotaAssociation'),
  };
}

export function trackingFigures(counts: TrackingCounts): TrackingFigures {
  const { trueBoxes, foundBoxes, matches, switches, hotaMatches, hotaAssociation } = counts;
  const boxes = trueBoxes + foundBoxes;
  const detection = hotaMatches.map((count) => count / Math.max(1, boxes - count));
  const association = hotaMatches.map((count, i) => hotaAssociation[i]! / Math.max(1, count));
  return {
    hota: mean(detection.map((value, i) => Math.sqrt(value * association[i]!))),
    detA: mean(detection),
    assA: mean(association),
    idf1: (2 * counts.idMatches) / Math.max(1, boxes),
    // Without a true box there is nothing to measure.
    mota: trueBoxes === 0 ? 0 : (matches - (foundBoxes - matches) - switches) / trueBoxes,
    precision: matches / Math.max(1, foundBoxes),
    recall: matches / Math.max(1, trueBoxes),
  };
}

/** Frames whose identities are numbered from 0, and how many boxes each has. */
interface Numbered {
  readonly frames: readonly ComparedTracks[];
  readonly truths: readonly number[];
  readonly found: readonly number[];
}

function numbered(frames: readonly ComparedTracks[]): Numbered {
  const [truths, found] = [new Numbering(), new Numbering()];
  return {
    frames: frames.map((frame) => ({
      truths: frame.truths.map((id) => truths.of(id)),
      found: frame.found.map((id) => found.of(id)),
      overlaps: frame.overlaps,
    })),
    truths: truths.boxes,
    found: found.boxes,
  };
}

class Numbering {
  readonly boxes: number[] = [];
  readonly #numbers = new Map<number, number>();

  of(id: number): number {
    const number = this.#numbers.get(id) ?? this.boxes.push(0) - 1;
    this.#numbers.set(id, number);
    this.boxes[number]! += 1;
    return number;
  }
}

type ClearCounts = Pick<TrackingCounts, 'matches' | 'switches' | 'fragmentations' | 'mostlyTracked' | 'mostlyLost'>;

function clearCounts(frames: readonly ComparedTracks[], trueIds: number): ClearCounts {
  const pairs = new BestPairs();
  /** By true identity: who matched last, who matched in the frame before, and how many frames it is in and was found in. */
  const last = new Int32Array(trueIds).fill(-1);
  let before = new Int32Array(trueIds).fill(-1);
  const present = new Int32Array(trueIds);
  const matched = new Int32Array(trueIds);
  const pieces = new Int32Array(trueIds);
  let [matches, switches] = [0, 0];
  for (const { truths, found, overlaps } of frames) {
    for (const truth of truths) present[truth]! += 1;
    if (truths.length === 0 || found.length === 0) continue;
    const best = pairs.find(truths.length, found.length, (i, j) => {
      const overlap = overlaps[i * found.length + j]!;
      if (overlap < MATCH_IOU - ROUNDING) return 0;
      return overlap + (before[truths[i]!] === found[j] ? STAYS : 0);
    });
    const now = new Int32Array(trueIds).fill(-1);
    for (const [i, j] of best) {
      const [truth, id] = [truths[i]!, found[j]!];
      matches += 1;
      matched[truth]! += 1;
      if (last[truth] !== -1 && last[truth] !== id) switches += 1;
      if (before[truth] === -1) pieces[truth]! += 1;
      last[truth] = id;
      now[truth] = id;
    }
    before = now;
  }
  const ratios = Array.from(matched, (count, truth) => count / present[truth]!);
  return {
    matches,
    switches,
    fragmentations: sum(Array.from(pieces, (count) => Math.max(0, count - 1))),
    mostlyTracked: ratios.filter((ratio) => ratio > 0.8).length,
    mostlyLost: ratios.filter((ratio) => ratio < 0.2).length,
  };
}

/** The best assignment of whole identities: that of the most matching boxes. */
function idMatches(frames: readonly ComparedTracks[], trueIds: number, foundIds: number): number {
  const common = new Float64Array(trueIds * foundIds);
  for (const { truths, found, overlaps } of frames) {
    for (const [i, truth] of truths.entries())
      for (const [j, id] of found.entries())
        if (overlaps[i * found.length + j]! >= MATCH_IOU) common[truth * foundIds + id]! += 1;
  }
  const best = new BestPairs().find(trueIds, foundIds, (truth, id) => common[truth * foundIds + id]!);
  return sum(best.map(([truth, id]) => common[truth * foundIds + id]!));
}

function hotaCounts(
  frames: readonly ComparedTracks[],
  truths: readonly number[],
  found: readonly number[],
): Pick<TrackingCounts, 'hotaMatches' | 'hotaAssociation'> {
  const alike = alignment(frames, truths, found);
  const pairs = new BestPairs();
  /** By threshold: how often two identities match. */
  const counts = HOTA_THRESHOLDS.map(() => new Map<number, number>());
  for (const frame of frames) {
    const columns = frame.found.length;
    const keyOf = (i: number, j: number): number => frame.truths[i]! * found.length + frame.found[j]!;
    const best = pairs.find(
      frame.truths.length,
      columns,
      (i, j) => alike[keyOf(i, j)]! * frame.overlaps[i * columns + j]!,
    );
    for (const [i, j] of best) {
      const overlap = frame.overlaps[i * columns + j]!;
      for (const [at, threshold] of HOTA_THRESHOLDS.entries()) {
        if (overlap < threshold - ROUNDING) break;
        const count = counts[at]!;
        count.set(keyOf(i, j), 1 + (count.get(keyOf(i, j)) ?? 0));
      }
    }
  }
  const agreement = (key: number, count: number): number => {
    const boxes = truths[Math.floor(key / found.length)]! + found[key % found.length]!;
    return (count * count) / Math.max(1, boxes - count);
  };
  return {
    hotaMatches: counts.map((count) => sum([...count.values()])),
    hotaAssociation: counts.map((count) => sum(Array.from(count, ([key, value]) => agreement(key, value)))),
  };
}

/** How well a true identity and one that was found agree as a whole, 0 to 1, `[truths, found]`; boxes that overlap with several count in part. */
function alignment(
  frames: readonly ComparedTracks[],
  truths: readonly number[],
  found: readonly number[],
): Float64Array {
  const common = new Float64Array(truths.length * found.length);
  for (const frame of frames) {
    const { length: columns } = frame.found;
    const { overlaps } = frame;
    const ofTruths = frame.truths.map((_, i) => sum(frame.found.map((__, j) => overlaps[i * columns + j]!)));
    const ofFound = frame.found.map((_, j) => sum(frame.truths.map((__, i) => overlaps[i * columns + j]!)));
    for (const [i, truth] of frame.truths.entries()) {
      for (const [j, id] of frame.found.entries()) {
        const overlap = overlaps[i * columns + j]!;
        const all = ofTruths[i]! + ofFound[j]! - overlap;
        if (all > ROUNDING) common[truth * found.length + id]! += overlap / all;
      }
    }
  }
  return common.map((value, key) => {
    const boxes = truths[Math.floor(key / found.length)]! + found[key % found.length]!;
    return value / (boxes - value);
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
