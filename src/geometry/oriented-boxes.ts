import type { Box } from '../core/detection.ts';

/**
 * Returns the corners of a box that is turned about its centre.
 *
 * @param angle - clockwise degrees in the picture, whose y grows downwards.
 * @returns x and y in turn, clockwise for a positive size.
 */
export function cornersOf([x, y, width, height]: Box, angle: number): number[] {
  const [halfWidth, halfHeight] = [width / 2, height / 2];
  const [sin, cos] = [Math.sin((angle * Math.PI) / 180), Math.cos((angle * Math.PI) / 180)];
  const corner = (dx: number, dy: number): [number, number] => [
    x + halfWidth + dx * cos - dy * sin,
    y + halfHeight + dx * sin + dy * cos,
  ];
  return [
    ...corner(-halfWidth, -halfHeight),
    ...corner(halfWidth, -halfHeight),
    ...corner(halfWidth, halfHeight),
    ...corner(-halfWidth, halfHeight),
  ];
}

/** Area of a polygon without crossings, given as x and y in turn: positive if its corners go clockwise in the picture. */
export function signedArea(corners: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < corners.length; at += 2) {
    const next = (at + 2) % corners.length;
    sum += corners[at]! * corners[next + 1]! - corners[next]! * corners[at + 1]!;
  }
  return sum / 2;
}

/** Whether a polygon, given as x and y in turn, has an area and turns the same way at all corners. */
export function isConvex(corners: readonly number[]): boolean {
  const area = signedArea(corners);
  return corners.every((_, at) => {
    const at3 = [0, 2, 4].map((step) => (at + step) % corners.length);
    return at % 2 === 1 || signedArea(at3.flatMap((from) => [corners[from]!, corners[from + 1]!])) * area > 0;
  });
}

/** Area that two convex polygons share, whichever way round their corners go. */
export function sharedConvexArea(a: readonly number[], b: readonly number[]): number {
  // Near the origin, so that shoelace sums of small polygons far away lose no digits.
  const [originX, originY] = [a[0]!, a[1]!];
  const moved = (corners: readonly number[]): number[] =>
    corners.map((value, at) => value - (at % 2 === 0 ? originX : originY));
  let polygon = moved(a);
  const clip = moved(b);
  const side = Math.sign(signedArea(clip));
  if (side === 0) return 0;
  for (let at = 0; at < clip.length && polygon.length > 0; at += 2) {
    const next = (at + 2) % clip.length;
    polygon = halfOf(
      polygon,
      clip[at]!,
      clip[at + 1]!,
      side * (clip[next]! - clip[at]!),
      side * (clip[next + 1]! - clip[at + 1]!),
    );
  }
  return Math.abs(signedArea(polygon));
}

/**
 * Keeps what of a convex polygon lies on the inner side of a line through x, y: one step of the clipping of Sutherland and Hodgman
 * ("Reentrant polygon clipping", 1974).
 */
function halfOf(polygon: readonly number[], x: number, y: number, dx: number, dy: number): number[] {
  const kept: number[] = [];
  const distance = (at: number): number => dx * (polygon[at + 1]! - y) - dy * (polygon[at]! - x);
  for (let at = 0; at < polygon.length; at += 2) {
    const next = (at + 2) % polygon.length;
    const [here, there] = [distance(at), distance(next)];
    if (here >= 0) kept.push(polygon[at]!, polygon[at + 1]!);
    if (here < 0 === there < 0) continue;
    const share = here / (here - there);
    kept.push(
      polygon[at]! + share * (polygon[next]! - polygon[at]!),
      polygon[at + 1]! + share * (polygon[next + 1]! - polygon[at + 1]!),
    );
  }
  return kept;
}
