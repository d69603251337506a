import type { Box, Detection } from '../../base/core/detection.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { footOfRuns, runsOfMask } from '../../base/geometry/rle.ts';

/** The point of a box that represents the object. `bottom-center` is where feet or wheels touch the ground. */
export type Anchor = 'bottom-center' | 'center';

/** That of an object in a zone: `mask-foot` is the middle of the lowest row of its mask, or `bottom-center` without one. */
export type ZoneAnchor = Anchor | 'mask-foot';

/** The parts of a frame that counters need. */
export type CountedFrame = Pick<PublishedFrame, 'width' | 'height' | 'detections'> & { readonly ptsUs: number };

/** Returns the anchor point of a box, in the unit of the box. */
export function anchorOf([x, y, width, height]: Box, anchor: Anchor): { x: number; y: number } {
  return { x: x + width / 2, y: anchor === 'center' ? y + height / 2 : y + height };
}

/** Returns the anchor point of an object, in source pixels. */
export function footOf({ box, mask }: Pick<Detection, 'box' | 'mask'>, anchor: ZoneAnchor): { x: number; y: number } {
  if (anchor !== 'mask-foot') return anchorOf(box, anchor);
  return (mask === undefined ? null : footOfRuns(runsOfMask(mask))) ?? anchorOf(box, 'bottom-center');
}

/** Returns whether a counter with this label filter counts a detection: it is tracked and its class matches. */
export function isCounted(
  detection: Detection,
  labels: ReadonlySet<string> | null,
): detection is Detection & { readonly trackId: number } {
  return detection.trackId !== undefined && (labels === null || labels.has(detection.label));
}
