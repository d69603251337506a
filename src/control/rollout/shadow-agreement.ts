import type { Detection } from '../../core/detection.ts';
import { iouXywh } from '../../geometry/iou.ts';

const SAME_OBJECT_IOU = 0.5;

/** What one frame says of the agreement of two sides. F1 = 1 - unmatched / asked, summed over frames. */
export interface FrameAgreement {
  /** Boxes of either side that are sure enough to be asked for on the other. */
  readonly asked: number;
  /** Those among them that the other side does not have: of the same class, at IoU 0.5 or more. */
  readonly unmatched: number;
}

/**
 * Compares the boxes of two sides in one frame, class by class.
 *
 * A box with a score below `askedScore` may be found again, but is not asked for: whether it is reported at all is chance.
 * Each box is found again once at most; surer boxes choose first.
 *
 * @returns by label; a class without a box that is asked for has none.
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
  const sure = wanted.filter(({ score }) => score >= askedScore).sort((a, b) => b.score - a.score);
  const isTaken = new Uint8Array(there.length);
  for (const { box, label } of sure) {
    let best = -1;
    let bestIou = SAME_OBJECT_IOU;
    for (const [i, other] of there.entries()) {
      if (isTaken[i] === 1 || other.label !== label) continue;
      const iou = iouXywh(...box, ...other.box);
      if (iou >= bestIou) [best, bestIou] = [i, iou];
    }
    if (best >= 0) isTaken[best] = 1;
    const tally = classes.get(label) ?? { asked: 0, unmatched: 0 };
    classes.set(label, tally);
    tally.asked += 1;
    if (best < 0) tally.unmatched += 1;
  }
}
