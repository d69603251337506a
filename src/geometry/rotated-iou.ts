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
  const cornersOf = (at: number) =>
    turnedCorners([rows[at]!, rows[at + 1]!, rows[at + 2]!, rows[at + 3]!], rows[at + 6]!);
  const shared = sharedPolygonArea(cornersOf(a), cornersOf(b));
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

/** Cuts a convex polygon with each side of another one (Sutherland and Hodgman, 1974). Both run clockwise, as y grows downwards. */
function sharedPolygonArea(subject: readonly Point[], clip: readonly Point[]): number {
  let rest: readonly Point[] = subject;
  for (const [i, [fromX, fromY]] of clip.entries()) {
    const [toX, toY] = clip[(i + 1) % clip.length]!;
    const side = ([x, y]: Point): number => (toX - fromX) * (y - fromY) - (toY - fromY) * (x - fromX);
    rest = rest.flatMap((point, k) => {
      const before = rest.at(k - 1)!;
      const [here, there] = [side(point), side(before)];
      const share = there / (there - here);
      const crossing: Point = [before[0] + (point[0] - before[0]) * share, before[1] + (point[1] - before[1]) * share];
      const isCrossed = here >= 0 !== there >= 0;
      return [...(isCrossed ? [crossing] : []), ...(here >= 0 ? [point] : [])];
    });
  }
  const doubled = rest.reduce((sum, [x, y], k) => {
    const [nextX, nextY] = rest[(k + 1) % rest.length]!;
    return sum + x * nextY - nextX * y;
  }, 0);
  return Math.abs(doubled) / 2;
}
