import type { Box, Detection } from '../../../../src/base/core/detection.ts';

export function seen(box: Box, more: Partial<Detection> = {}): Detection {
  return { classId: 0, label: 'person', score: 0.9, box, ...more };
}

/** A person of 40 x 80 pixels whose feet are at x, y. */
export function personAt(x: number, y: number, more: Partial<Detection> = {}): Detection {
  return seen([x - 20, y - 80, 40, 80], more);
}

export function idsOf(detections: readonly Detection[]): (number | undefined)[] {
  return detections.map((detection) => detection.trackId);
}
