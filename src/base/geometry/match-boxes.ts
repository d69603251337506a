/** Two boxes show the same object from this IoU on. */
const SAME_OBJECT_IOU = 0.5;

/** The other side has no such object. */
export const NOT_FOUND = -1;

/**
 * Finds the boxes of one side on the other side: at IoU 0.5 or more, each box of the other side once at most.
 *
 * Greedy: the boxes choose in the order given, each the free box that overlaps it most, among equals the last one. So the surest
 * box should come first.
 *
 * @param wanted - numbers of the boxes to be found, in the order in which they choose.
 * @param thereCount - number of boxes on the other side, which are numbered from 0.
 * @param iouOf - IoU of a wanted box and one of the other side; 0 for a pair that cannot be the same object, for example of
 *   different classes.
 * @returns `[wanted]`: the number of the box on the other side, or NOT_FOUND.
 */
export function matchBoxes(
  wanted: readonly number[],
  thereCount: number,
  iouOf: (wanted: number, there: number) => number,
): Int32Array {
  const isTaken = new Uint8Array(thereCount);
  return Int32Array.from(wanted, (box) => {
    let best = NOT_FOUND;
    let bestIou = SAME_OBJECT_IOU;
    for (let other = 0; other < thereCount; other += 1) {
      if (isTaken[other] === 1) continue;
      const iou = iouOf(box, other);
      if (iou >= bestIou) [best, bestIou] = [other, iou];
    }
    if (best !== NOT_FOUND) isTaken[best] = 1;
    return best;
  });
}
