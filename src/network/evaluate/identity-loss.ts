import { BestPairs } from '../../base/geometry/assignment.ts';
import { type BootstrapOptions, estimateLosses, type LossEstimate, summing } from './loss-bootstrap.ts';
import { type ComparedTracks, MATCH_IOU, type TrackingCounts, trackingCounts } from './tracking-score.ts';

/** What two sides made of the same sequence, each compared with its true tracks. */
export interface ComparedSides {
  readonly reference: readonly ComparedTracks[];
  readonly candidate: readonly ComparedTracks[];
}

/** How much worse a candidate keeps identities. */
export interface IdentityLoss {
  /** Of IDF1. */
  readonly idf1: LossEstimate;
  /** True objects: the independent pieces of evidence. */
  readonly objects: number;
  readonly reference: TrackingCounts[];
  readonly candidate: TrackingCounts[];
}

/** By true object: boxes with the right identity, and true and found boxes. */
const COLUMNS = 4;

/**
 * Estimates the loss of IDF1 with a paired bootstrap over the true objects: what happens to one of them in a second decides what it is called in all
 * others, so seconds are no independent pieces, and objects are.
 *
 * IDF1: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (2016).
 */
export async function identityLoss(
  sequences: readonly ComparedSides[],
  options: BootstrapOptions,
): Promise<IdentityLoss> {
  const units = sequences.flatMap(({ reference, candidate }) => {
    const [before, after] = [sharesOf(reference), sharesOf(candidate)];
    // An object without a box among the frames of one side is none of the other's either: both see the same frames.
    return [...before].map(([truth, shares]) => [...shares, ...(after.get(truth) ?? [0, 0])]);
  });
  const sum = summing(units, COLUMNS);
  const [idf1] = await estimateLosses(units.length, options, (counts) => {
    const [right, boxes, rightAfter, boxesAfter] = sum(counts);
    return { reference: [(2 * right!) / boxes!], candidate: [(2 * rightAfter!) / boxesAfter!] };
  });
  return {
    idf1: idf1!,
    objects: units.length,
    reference: sequences.map(({ reference }) => trackingCounts(reference)),
    candidate: sequences.map(({ candidate }) => trackingCounts(candidate)),
  };
}

/**
 * Shares the boxes of a sequence among its true objects: `[right, boxes]` of each, which add up to IDF1. The boxes of an identity belong to the object that
 * the best assignment gives it, those of the others to the object that they lie on; what lies on none is shared by all.
 */
function sharesOf(frames: readonly ComparedTracks[]): Map<number, [number, number]> {
  const truths = [...new Set(frames.flatMap((frame) => frame.truths))];
  const found = [...new Set(frames.flatMap((frame) => frame.found))];
  const [truthAt, foundAt] = [placesOf(truths), placesOf(found)];
  const common = new Float64Array(truths.length * found.length);
  const eachPair = (visit: (truth: number, id: number, frame: ComparedTracks) => void): void => {
    for (const frame of frames)
      for (const [i, truth] of frame.truths.entries())
        for (const [j, id] of frame.found.entries())
          if (frame.overlaps[i * frame.found.length + j]! >= MATCH_IOU)
            visit(truthAt.get(truth)!, foundAt.get(id)!, frame);
  };
  eachPair((truth, id) => {
    common[truth * found.length + id]! += 1;
  });
  const assigned = new BestPairs().find(truths.length, found.length, (truth, id) => common[truth * found.length + id]!);
  const owner = new Map(assigned.map(([truth, id]) => [id, truth]));
  const shares = truths.map((): [number, number] => [0, 0]);
  for (const [truth, id] of assigned) shares[truth]![0] += common[truth * found.length + id]!;
  let free = 0;
  for (const frame of frames) {
    for (const truth of frame.truths) shares[truthAt.get(truth)!]![1] += 1;
    for (const [j, id] of frame.found.entries()) {
      const lies = frame.truths.findIndex((_, i) => frame.overlaps[i * frame.found.length + j]! >= MATCH_IOU);
      const truth = owner.get(foundAt.get(id)!) ?? (lies === -1 ? undefined : truthAt.get(frame.truths[lies]!)!);
      if (truth === undefined) free += 1;
      else shares[truth]![1] += 1;
    }
  }
  return new Map(truths.map((truth, at) => [truth, [shares[at]![0], shares[at]![1] + free / truths.length]]));
}

function placesOf(ids: readonly number[]): Map<number, number> {
  return new Map(ids.map((id, at) => [id, at]));
}
