import type { FrameMatches } from './frame-matches.ts';

/**
 * Mean difference of the candidate's boxes from the reference's, relative to the size of the reference's box. Random errors cancel.
 */
export interface BoxDrift {
  /** Of the centre: 0.1 is a tenth of the width to the right. */
  readonly x: number;
  readonly y: number;
  /** 0.1 is a tenth wider. */
  readonly width: number;
  readonly height: number;
}

/**
 * Measures the drift of boxes that are the same object at IoU 0.5. Boxes that are shifted by a tenth of their size still are, so
 * the agreement does not show such a drift.
 */
export function measureDrift(frames: readonly FrameMatches[]): BoxDrift {
  const sums = { x: 0, y: 0, width: 0, height: 0 };
  let count = 0;
  for (const { reference, candidate, found } of frames) {
    for (const [i, match] of found.entries()) {
      const other = candidate[match];
      if (other === undefined) continue;
      const [x, y, width, height] = reference[i]!.box;
      const [otherX, otherY, otherWidth, otherHeight] = other.box;
      sums.x += (otherX - x + (otherWidth - width) / 2) / width;
      sums.y += (otherY - y + (otherHeight - height) / 2) / height;
      sums.width += otherWidth / width - 1;
      sums.height += otherHeight / height - 1;
      count += 1;
    }
  }
  const mean = (sum: number): number => (count === 0 ? 0 : sum / count);
  return { x: mean(sums.x), y: mean(sums.y), width: mean(sums.width), height: mean(sums.height) };
}
