import type { Box, Detection } from '../core/detection.ts';
import type { PublishedFrame } from '../core/frame.ts';

/** A point as a ratio of the picture's width and height, 0 to 1, from the top left. */
export type RatioPoint = readonly [x: number, y: number];

/** The point of a box that stands for the object. Where feet or wheels touch the ground is `bottom-center`. */
export const ANCHORS = ['bottom-center', 'center'] as const;
export type Anchor = (typeof ANCHORS)[number];

/** What counters need of a frame. */
export type CountedFrame = Pick<PublishedFrame, 'width' | 'height' | 'detections'> & { readonly ptsUs: number };

/** Anchor of a box, in the unit of the box. */
export function anchorOf([x, y, width, height]: Box, anchor: Anchor): { x: number; y: number } {
  return { x: x + width / 2, y: anchor === 'center' ? y + height / 2 : y + height };
}

/** True where a counter with this label filter looks at this detection: tracked, and of a wanted class. */
export function isCounted(
  detection: Detection,
  labels: ReadonlySet<string> | null,
): detection is Detection & { readonly trackId: number } {
  return detection.trackId !== undefined && (labels === null || labels.has(detection.label));
}
