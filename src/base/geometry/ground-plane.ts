import type { RatioPoint } from '../core/detection.ts';

/** Corners of a rectangle on the ground, one after the other, as they are seen in the picture. */
export type GroundCorners = readonly [RatioPoint, RatioPoint, RatioPoint, RatioPoint];

/** Where a point of the picture lies on the ground, in metres from the first corner; null above the horizon. */
export type GroundPlane = (x: number, y: number) => readonly [x: number, y: number] | null;

/** Returns whether corners are not all on one line, so that their polygon has an area, also if its sides cross. */
export function hasArea(corners: readonly RatioPoint[]): boolean {
  const [x, y] = corners[0]!;
  const offsets = corners.map(([left, top]) => [left - x, top - y] as const);
  const lengthOf = ([dx, dy]: RatioPoint): number => Math.hypot(dx, dy);
  const longest = offsets.reduce((most, each) => (lengthOf(each) > lengthOf(most) ? each : most));
  return offsets.some(([dx, dy]) => Math.abs(dx * longest[1] - dy * longest[0]) > 1e-9);
}

/** Returns whether four corners, in order, are those of a convex shape with an area. */
export function isConvex(corners: GroundCorners): boolean {
  const turns = corners.map((corner, i) => {
    const [next, afterNext] = [corners[(i + 1) % 4]!, corners[(i + 2) % 4]!];
    return (next[0] - corner[0]) * (afterNext[1] - next[1]) - (next[1] - corner[1]) * (afterNext[0] - next[0]);
  });
  return turns.every((turn) => turn > 1e-9) || turns.every((turn) => turn < -1e-9);
}

/**
 * Returns the projection from the picture to the ground: the homography that takes the corners to a rectangle. It is found from the
 * rectangle's side, where the mapping of the unit square to a quadrilateral has a closed form, and inverted.
 *
 * @param metres - from the first corner to the second, and from the second to the third.
 * @see P. Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3
 */
export function groundPlane(corners: GroundCorners, [width, depth]: readonly [number, number]): GroundPlane {
  const [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = corners;
  const [sumX, sumY] = [x0 - x1 + x2 - x3, y0 - y1 + y2 - y3];
  const [dx1, dx2, dy1, dy2] = [x1 - x2, x3 - x2, y1 - y2, y3 - y2];
  const area = dx1 * dy2 - dx2 * dy1;
  const g = (sumX * dy2 - dx2 * sumY) / area;
  const h = (dx1 * sumY - sumX * dy1) / area;
  const [a, b, c] = [x1 - x0 + g * x1, x3 - x0 + h * x3, x0];
  const [d, e, f] = [y1 - y0 + g * y1, y3 - y0 + h * y3, y0];
  // The adjugate is the inverse up to a factor, which the division removes.
  const [i0, i1, i2] = [e - f * h, c * h - b, b * f - c * e];
  const [i3, i4, i5] = [f * g - d, a - c * g, c * d - a * f];
  const [i6, i7, i8] = [d * h - e * g, b * g - a * h, a * e - b * d];
  const sideOf = (x: number, y: number): number => i6 * x + i7 * y + i8;
  const inside = Math.sign(sideOf((x0 + x2) / 2, (y0 + y2) / 2));
  return (x, y) => {
    const w = sideOf(x, y);
    if (Math.sign(w) !== inside) return null;
    return [((i0 * x + i1 * y + i2) / w) * width, ((i3 * x + i4 * y + i5) / w) * depth];
  };
}
