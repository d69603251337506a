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
 * Compares the boxes of two sides in one frame.
 *
 * A box with a score below `askedScore` may be found again, but is not asked for: whether it is reported at all is chance.
 * Each box is found again once at most; surer boxes choose first.
 */
export function agreementOf(
  control: readonly Detection[],
  candidate: readonly Detection[],
  askedScore: number,
): FrameAgreement {
  const lost = unmatched(control, candidate, askedScore);
  const invented = unmatched(candidate, control, askedScore);
  return { asked: lost.asked + invented.asked, unmatched: lost.unmatched + invented.unmatched };
}

function unmatched(wanted: readonly Detection[], there: readonly Detection[], askedScore: number): FrameAgreement {
  const sure = wanted.filter(({ score }) => score >= askedScore).sort((a, b) => b.score - a.score);
  const isTaken = new Uint8Array(there.length);
  let missing = 0;
  for (const { box, label } of sure) {
    let best = -1;
    let bestIou = SAME_OBJECT_IOU;
    for (const [i, other] of there.entries()) {
      if (isTaken[i] === 1 || other.label !== label) continue;
      const iou = iouXywh(...box, ...other.box);
      if (iou >= bestIou) [best, bestIou] = [i, iou];
    }
    if (best < 0) missing += 1;
    else isTaken[best] = 1;
  }
  return { asked: sure.length, unmatched: missing };
}
