import type { Box } from '../core/detection.ts';

type Point = readonly [x: number, y: number];

/**
 * IoU of the oriented boxes of two packed rows: x, y, width, height before the turn, score, classId, clockwise angle in radians about
 * the centre. Exact: the area of the polygon that both cover.
 */
export function iouOriented(rows: Float32Array, a: number, b: number): number {
  const [areaA, areaB] = [rows[a + 2]! * rows[a + 3]!, rows[b + 2]! * rows[b + 3]!];
  // Boxes whose circles do not meet share nothing.
  const dx = rows[a]! + rows[a + 2]! / 2 - rows[b]! - rows[b + 2]! / 2;
  const dy = rows[a + 1]! + rows[a + 3]! / 2 - rows[b + 1]! - rows[b + 3]! / 2;
  const reach = (Math.hypot(rows[a + 2]!, rows[a + 3]!) + Math.hypot(rows[b + 2]!, rows[b + 3]!)) / 2;
  if (!(Math.hypot(dx, dy) < reach)) return 0;
  const corners = (at: number): number[] =>
    turnedCorners([rows[at]!, rows[at + 1]!, rows[at + 2]!, rows[at + 3]!], rows[at + 6]!).flat();
  const shared = sharedConvexArea(corners(a), corners(b));
  return shared === 0 ? 0 : shared / (areaA + areaB - shared);
}

/** Corners of a box that is turned clockwise about its centre, in order, from its top left before the turn. */
export function turnedCorners([x, y, width, height]: readonly number[], radians: number): Point[] {
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  const [halfWidth, halfHeight] = [width! / 2, height! / 2];
  return [
    [-halfWidth, -halfHeight],
    [halfWidth, -halfHeight],
    [halfWidth, halfHeight],
    [-halfWidth, halfHeight],
  ].map(
    ([right, down]): Point => [
      x! + halfWidth + right! * cos - down! * sin,
      y! + halfHeight + right! * sin + down! * cos,
    ],
  );
}

/** Corners as x and y in turn of a box that is turned by clockwise degrees, as records and files have it. */
export function cornersOf(box: Box, angle: number): number[] {
  return turnedCorners(box, (angle * Math.PI) / 180).flat();
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
