export type Point = readonly [x: number, y: number];

/** A rotation, a scale and a shift: `x' = a x - b y + shiftX`, `y' = b x + a y + shiftY`. */
export interface Similarity {
  readonly a: number;
  readonly b: number;
  readonly shiftX: number;
  readonly shiftY: number;
}

/**
 * Returns the similarity that takes points to others with the least sum of squared distances, without mirroring. Its numbers are not
 * finite if all of `from` lie in one place.
 *
 * With p and q the points less their means, a = sum(p · q) / sum |p|², b = sum(p × q) / sum |p|².
 *
 * @param from - at least two, as many as `to`.
 * @see S. Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991, equations 40 to 43; in two
 *   dimensions the singular values have this closed form.
 */
export function similarityOf(from: readonly Point[], to: readonly Point[]): Similarity {
  const [meanX, meanY] = meanOf(from);
  const [meanU, meanV] = meanOf(to);
  let [dot, cross, square] = [0, 0, 0];
  for (const [i, [x, y]] of from.entries()) {
    const [dx, dy, du, dv] = [x - meanX, y - meanY, to[i]![0] - meanU, to[i]![1] - meanV];
    dot += dx * du + dy * dv;
    cross += dx * dv - dy * du;
    square += dx * dx + dy * dy;
  }
  const [a, b] = [dot / square, cross / square];
  return { a, b, shiftX: meanU - a * meanX + b * meanY, shiftY: meanV - b * meanX - a * meanY };
}

/** Returns the point that a similarity takes to this one. */
export function unmapped({ a, b, shiftX, shiftY }: Similarity, [u, v]: Point): Point {
  const [du, dv, square] = [u - shiftX, v - shiftY, a * a + b * b];
  return [(a * du + b * dv) / square, (a * dv - b * du) / square];
}

/** Root of the mean squared distance of points from their mean. */
export function spreadOf(points: readonly Point[]): number {
  const [meanX, meanY] = meanOf(points);
  return Math.sqrt(points.reduce((sum, [x, y]) => sum + (x - meanX) ** 2 + (y - meanY) ** 2, 0) / points.length);
}

function meanOf(points: readonly Point[]): Point {
  const [sumX, sumY] = points.reduce<Point>(([x, y], [nextX, nextY]) => [x + nextX, y + nextY], [0, 0]);
  return [sumX / points.length, sumY / points.length];
}
