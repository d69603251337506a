import type { Detection } from '../../core/detection.ts';
import { iouXywh } from '../../geometry/iou.ts';
import { matchBoxes, NOT_FOUND } from '../../geometry/match-boxes.ts';

/** Agreement of two sides on one frame. F1 = 1 - unmatched / asked, summed over frames. */
export interface FrameAgreement {
  /** Boxes of both sides whose score is high enough that the other side should have them. */
  readonly asked: number;
  /** Those that the other side does not have: of the same class, at IoU 0.5 or more. */
  readonly unmatched: number;
}

/**
 * Compares the boxes of two sides in one frame, class by class.
 *
 * A box with a score below `askedScore` need not be on the other side, since it is chance whether it is reported at all; but it
 * can match a box of the other side. Each box matches once at most; boxes with higher scores choose first.
 *
 * @returns by label; classes without a box that the other side should have are left out.
 */
export function agreementByClass(
  control: readonly Detection[],
  candidate: readonly Detection[],
  askedScore: number,
): Map<string, FrameAgreement> {
  const classes = new Map<string, Mutable<FrameAgreement>>();
  countUnmatched(control, candidate, askedScore, classes);
  countUnmatched(candidate, control, askedScore, classes);
  return classes;
}

/** As `agreementByClass`, all classes together. */
export function agreementOf(...sides: Parameters<typeof agreementByClass>): FrameAgreement {
  const sum = { asked: 0, unmatched: 0 };
  for (const { asked, unmatched } of agreementByClass(...sides).values()) {
    sum.asked += asked;
    sum.unmatched += unmatched;
  }
  return sum;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function countUnmatched(
  wanted: readonly Detection[],
  there: readonly Detection[],
  askedScore: number,
  classes: Map<string, Mutable<FrameAgreement>>,
): void {
  const isSure = (box: number): boolean => wanted[box]!.score >= askedScore;
  const sure = [...wanted.keys()].filter(isSure).sort((a, b) => wanted[b]!.score - wanted[a]!.score);
  const matches = matchBoxes(sure, there.length, (box, other) => {
    const a = wanted[box]!;
    const b = there[other]!;
    return a.label === b.label ? iouXywh(...a.box, ...b.box) : 0;
  });
  for (const [i, box] of sure.entries()) {
    const { label } = wanted[box]!;
    const tally = classes.get(label) ?? { asked: 0, unmatched: 0 };
    classes.set(label, tally);
    tally.asked += 1;
    if (matches[i] === NOT_FOUND) tally.unmatched += 1;
  }
}
