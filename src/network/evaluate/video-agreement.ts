import type { Detection } from '../../base/core/detection.ts';
import { f1Of } from './agreement.ts';
import { AREA_RANGES } from './coco-rules.ts';
import { type FrameMatches, NOT_ASKED } from './frame-matches.ts';
import { type BootstrapOptions, eachOnce, estimateLosses, type LossEstimate, summing } from './loss-bootstrap.ts';
import type { ClassLoss, ObjectSize, SizeLoss } from './precision-loss.ts';

export interface AgreementOptions extends BootstrapOptions {
  /** Media time that is drawn as one block: neighbouring frames show the same objects, so they are not independent. */
  readonly blockMs: number;
}

/** Agreement of a candidate with the reference. Figures are F1 at IoU 0.5; that of the reference with itself is 1. */
export interface VideoAgreement {
  readonly overall: LossEstimate;
  /**
   * Boxes that the candidate reports for each one that the reference reports, of objects that both see with half their threshold at
   * least. The agreement forgives a score that slips below the threshold; here as many must rise above it.
   */
  readonly published: LossEstimate;
  /** Sizes that occur, by the area of the box. */
  readonly bySize: readonly SizeLoss[];
  /** Classes that occur, greatest loss first. */
  readonly byClass: readonly (ClassLoss & ClassFound)[];
  /** Blocks that were drawn. */
  readonly blocks: number;
}

interface ClassFound {
  /** Objects of the reference. */
  readonly foundByReference: number;
  /** Those of them that the candidate reports, too. */
  readonly foundByCandidate: number;
  /** Objects that the candidate reports anywhere in the picture. */
  readonly reportedByCandidate: number;
}

const SIZES = AREA_RANGES.slice(1);
const OVERALL = 0;
const FIRST_CLASS = 1 + SIZES.length;
/** For each group: objects of the reference, those of them found again, objects of the candidate, those of them confirmed. */
const COUNTS = 4;

/**
 * Estimates how far a candidate departs from the reference on a video, with a block bootstrap (Künsch, "The jackknife and the
 * bootstrap for general stationary observations", 1989): whole blocks of frames are drawn.
 */
export async function compareOnVideo(
  frames: readonly FrameMatches[],
  options: AgreementOptions,
): Promise<VideoAgreement> {
  const { labels, blocks } = tally(frames, options.blockMs);
  const groups = FIRST_CLASS + labels.length;
  const publishedIn = (sums: Float64Array): number => (sums[1] === sums[3] ? 1 : sums[3]! / sums[1]!);
  const f1 = (sums: Float64Array, group: number): number => {
    const at = group * COUNTS;
    const isAbsent = sums[at] === 0 && sums[at + 2] === 0;
    // A resample without the class has no figure for it. If there is no object at all, both sides agree.
    if (isAbsent && group !== OVERALL) return Number.NaN;
    return f1Of(sums[at]!, sums[at + 1]!, sums[at + 2]!, sums[at + 3]!);
  };
  const sums = summing(blocks, groups * COUNTS);
  const estimates = await estimateLosses(blocks.length, options, (counts) => {
    const all = sums(counts);
    const candidate = [...Array.from({ length: groups }, (_, group) => f1(all, group)), publishedIn(all)];
    return { reference: candidate.map(() => 1), candidate };
  });
  const all = sums(eachOnce(blocks.length));
  const byClass = labels.map((label, i): ClassLoss & ClassFound => {
    const at = (FIRST_CLASS + i) * COUNTS;
    return {
      label,
      ...estimates[FIRST_CLASS + i]!,
      units: blocks.filter((block) => (block[at] ?? 0) > 0).length,
      objects: all[at]!,
      foundByReference: all[at]!,
      foundByCandidate: Math.min(all[at + 1]!, all[at + 3]!),
      reportedByCandidate: all[at + 2]!,
    };
  });
  return {
    overall: estimates[OVERALL]!,
    published: estimates[groups]!,
    bySize: SIZES.flatMap(({ name }, i) => {
      const estimate = estimates[1 + i]!;
      const at = (1 + i) * COUNTS;
      const units = blocks.filter((block) => (block[at] ?? 0) > 0).length;
      return Number.isNaN(estimate.loss) ? [] : [{ size: name as ObjectSize, ...estimate, units, objects: all[at]! }];
    }),
    byClass: byClass.sort((a, b) => b.loss - a.loss),
    blocks: blocks.length,
  };
}

/** Counts objects by block and group. A block's counts end with the last class that occurs in it. */
function tally(frames: readonly FrameMatches[], blockMs: number): { labels: string[]; blocks: number[][] } {
  const groupOfLabel = new Map<string, number>();
  const blocks = new Map<number, number[]>();
  const groupsOf = ({ box, label }: Detection): number[] => {
    if (!groupOfLabel.has(label)) groupOfLabel.set(label, FIRST_CLASS + groupOfLabel.size);
    return [OVERALL, 1 + sizeOf(box[2] * box[3]), groupOfLabel.get(label)!];
  };
  const count = (block: number[], detections: readonly Detection[], matches: Int32Array, column: number): void => {
    for (const [i, detection] of detections.entries()) {
      if (matches[i] === NOT_ASKED) continue;
      for (const group of groupsOf(detection)) {
        const at = group * COUNTS + column;
        while (block.length < (group + 1) * COUNTS) block.push(0);
        block[at] = block[at]! + 1;
        if (matches[i]! >= 0) block[at + 1] = block[at + 1]! + 1;
      }
    }
  };
  for (const { ptsUs, reference, candidate, found, confirmed } of frames) {
    const number = Math.floor((ptsUs - frames[0]!.ptsUs) / (blockMs * 1000));
    const block = blocks.get(number) ?? [];
    blocks.set(number, block);
    count(block, reference, found, 0);
    count(block, candidate, confirmed, 2);
  }
  return { labels: [...groupOfLabel.keys()], blocks: [...blocks.values()] };
}

/** An area on a limit belongs to the smaller size. */
function sizeOf(areaPx: number): number {
  return SIZES.findIndex(({ maxPx }) => areaPx <= maxPx);
}
