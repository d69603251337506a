import type { Box, Mask } from '../core/detection.ts';

/**
 * A mask as run lengths: pixels column by column from the top left, the first run is of pixels outside. Lengths of 0 are allowed.
 * The numbers of COCO's `pycocotools.mask`, which wrote the files that users have, are the reference for everything here.
 */
export interface Runs {
  readonly height: number;
  readonly width: number;
  readonly counts: ArrayLike<number>;
}

const FIRST_CHARACTER = 48;
/** Bits of a count in each character; one more says that another character follows. */
const BITS = 5;
const MORE = 1 << BITS;
/** Of the largest difference of two counts. */
const MOST_CHARACTERS = 7;

/** Writes run lengths as COCO's compressed text; from the fourth on, as the difference from the last but one. */
export function encodeCounts(counts: ArrayLike<number>): string {
  let text = '';
  for (let i = 0; i < counts.length; i += 1) {
    let rest = i > 2 ? counts[i]! - counts[i - 2]! : counts[i]!;
    for (;;) {
      const digit = rest & (MORE - 1);
      rest >>= BITS;
      const isLast = rest === (digit & (MORE >> 1) ? -1 : 0);
      text += String.fromCharCode((isLast ? digit : digit | MORE) + FIRST_CHARACTER);
      if (isLast) break;
    }
  }
  return text;
}

/** Reads COCO's compressed text. @throws RangeError for text that is cut off or no such text. */
export function decodeCounts(text: string): number[] {
  const counts: number[] = [];
  let value = 0;
  let characters = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - FIRST_CHARACTER;
    if (!(digit >= 0 && digit < 2 * MORE) || characters === MOST_CHARACTERS)
      throw new RangeError(`counts: expected compressed run lengths, received "${text.slice(at, at + 20)}" at ${at}`);
    value |= (digit & (MORE - 1)) << (BITS * characters);
    characters += 1;
    if (digit & MORE) continue;
    if (digit & (MORE >> 1) && characters < MOST_CHARACTERS) value |= -1 << (BITS * characters);
    counts.push(counts.length > 2 ? value + counts[counts.length - 2]! : value);
    value = 0;
    characters = 0;
  }
  if (characters > 0) throw new RangeError('counts: expected compressed run lengths, received text that is cut off');
  return counts;
}

export function maskOf({ height, width, counts }: Runs): Mask {
  return { size: [height, width], counts: encodeCounts(counts) };
}

/**
 * Reads a mask of a record or of a COCO file, whose counts are compressed text or a list.
 *
 * @throws RangeError if the runs do not fill a picture of its size.
 */
export function runsOfMask({
  size: [height, width],
  counts,
}: {
  size: Mask['size'];
  counts: string | readonly number[];
}): Runs {
  const lengths = typeof counts === 'string' ? decodeCounts(counts) : counts;
  const sum = lengths.reduce((total, length) => (length >= 0 ? total + length : Number.NaN), 0);
  if (sum !== height * width)
    throw new RangeError(
      `counts: expected run lengths of ${height} x ${width} = ${height * width} pixels, received ${sum}`,
    );
  return { height, width, counts: lengths };
}

/** @param bitmap - `[height, width]`, row by row; 0 is outside. */
export function runsOfBitmap(bitmap: Uint8Array, height: number, width: number): Runs {
  const counts: number[] = [];
  let isInside = false;
  let length = 0;
  for (let x = 0; x < width; x += 1) {
    for (let at = x; at < bitmap.length; at += width) {
      if ((bitmap[at] !== 0) !== isInside) {
        counts.push(length);
        isInside = !isInside;
        length = 0;
      }
      length += 1;
    }
  }
  counts.push(length);
  return { height, width, counts };
}

/** @returns `[height, width]`, row by row: 1 inside, 0 outside. */
export function bitmapOfRuns(runs: Runs): Uint8Array {
  const { height, width } = runs;
  const bitmap = new Uint8Array(height * width);
  for (const [column, from, to] of stretchesOf(runs))
    for (let row = from; row < to; row += 1) bitmap[row * width + column] = 1;
  return bitmap;
}

/** Yields the pixels inside as stretches of one column each: from its first row up to, not including, its last. */
export function* stretchesOf({ height, counts }: Runs): Generator<[column: number, from: number, to: number]> {
  let at = 0;
  for (let i = 0; i < counts.length; i += 1) {
    const end = at + counts[i]!;
    while (i % 2 === 1 && at < end) {
      const column = Math.floor(at / height);
      const next = Math.min(end, (column + 1) * height);
      yield [column, at - column * height, next - column * height];
      at = next;
    }
    at = end;
  }
}

/** Number of pixels inside. */
export function areaOfRuns({ counts }: Pick<Runs, 'counts'>): number {
  let area = 0;
  for (let i = 1; i < counts.length; i += 2) area += counts[i]!;
  return area;
}

/** The smallest box around the pixels inside; all 0 for an empty mask. */
export function boxOfRuns({ height, width, counts }: Runs): Box {
  let [left, top, right, bottom] = [width, height, -1, -1];
  let at = 0;
  for (let i = 0; i < counts.length; i += 1) {
    const first = at;
    at += counts[i]!;
    if (i % 2 === 0 || at === first) continue;
    const [firstX, lastX] = [Math.floor(first / height), Math.floor((at - 1) / height)];
    left = Math.min(left, firstX);
    right = Math.max(right, lastX);
    // A run over several columns reaches the bottom of one and the top of the next.
    top = Math.min(top, firstX < lastX ? 0 : first % height);
    bottom = Math.max(bottom, firstX < lastX ? height - 1 : (at - 1) % height);
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

/** The middle of the lowest row with a pixel inside, on its lower edge; null for an empty mask. */
export function footOfRuns(runs: Runs): { x: number; y: number } | null {
  let [lowest, sum, columns] = [0, 0, 0];
  for (const [column, , to] of stretchesOf(runs)) {
    if (to > lowest) [lowest, sum, columns] = [to, 0, 0];
    if (to < lowest) continue;
    sum += column + 0.5;
    columns += 1;
  }
  return columns === 0 ? null : { x: sum / columns, y: lowest };
}

/** Walks two masks of one size together and reports each stretch in which neither changes. */
function walk(a: Runs, b: Runs, report: (length: number, isInA: boolean, isInB: boolean) => void): void {
  if (a.height !== b.height || a.width !== b.width)
    throw new RangeError(`expected masks of one size, received ${a.height} x ${a.width} and ${b.height} x ${b.width}`);
  let [i, j] = [0, 0];
  let [restA, restB] = [a.counts[0] ?? 0, b.counts[0] ?? 0];
  while (i < a.counts.length && j < b.counts.length) {
    const length = Math.min(restA, restB);
    if (length > 0) report(length, i % 2 === 1, j % 2 === 1);
    restA -= length;
    restB -= length;
    if (restA === 0) restA = a.counts[++i] ?? 0;
    if (restB === 0) restB = b.counts[++j] ?? 0;
  }
}

/** Number of pixels inside both. @throws RangeError for masks of different sizes. */
function sharedArea(a: Runs, b: Runs): number {
  let shared = 0;
  walk(a, b, (length, isInA, isInB) => {
    if (isInA && isInB) shared += length;
  });
  return shared;
}

/** IoU of two masks; with `isCrowd` the share of `found` that lies in `truth`. 0 if both are empty. @throws RangeError for masks of different sizes. */
export function maskIou(found: Runs, truth: Runs, isCrowd = false): number {
  const shared = sharedArea(found, truth);
  if (shared === 0) return 0;
  const own = areaOfRuns(found);
  return shared / (isCrowd ? own : own + areaOfRuns(truth) - shared);
}

/** Pixels that are inside any of the masks. @throws RangeError for masks of different sizes. */
export function unionOfRuns(first: Runs, ...others: readonly Runs[]): Runs {
  return others.reduce((a, b) => {
    const counts: number[] = [0];
    walk(a, b, (length, isInA, isInB) => {
      if ((isInA || isInB) === (counts.length % 2 === 0)) counts[counts.length - 1]! += length;
      else counts.push(length);
    });
    return { height: a.height, width: a.width, counts };
  }, first);
}

/** Polygons are drawn with this many points to a pixel. */
const FINENESS = 5;

/** @param polygons - each x and y in turn, in pixels, as in COCO's `segmentation`. A pixel is inside if it is in any of them. */
export function runsOfPolygons(polygons: readonly ArrayLike<number>[], height: number, width: number): Runs {
  const [first, ...others] = polygons.map((polygon) => runsOfPolygon(polygon, height, width));
  return first === undefined ? { height, width, counts: [height * width] } : unionOfRuns(first, ...others);
}

/** Draws the outline five times as fine, takes where it passes the middle of a column, and sorts these crossings. */
function runsOfPolygon(points: ArrayLike<number>, height: number, width: number): Runs {
  const crossings: number[] = [];
  const corner = (i: number) => Math.trunc(FINENESS * points[i % points.length]! + 0.5);
  let [lastX, lastY] = [Number.NaN, Number.NaN];
  for (let i = 0; i + 1 < points.length; i += 2) {
    const [x0, y0, x1, y1] = [corner(i), corner(i + 1), corner(i + 2), corner(i + 3)];
    const [lengthX, lengthY] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
    const isFlat = lengthX >= lengthY;
    const steps = isFlat ? lengthX : lengthY;
    // Both directions of an edge give the same points, so that neighbours leave no gap.
    const isReversed = isFlat ? x0 > x1 : y0 > y1;
    const [fromX, fromY, toX, toY] = isReversed ? [x1, y1, x0, y0] : [x0, y0, x1, y1];
    const slope = steps === 0 ? 0 : isFlat ? (toY - fromY) / steps : (toX - fromX) / steps;
    for (let step = 0; step <= steps; step += 1) {
      const t = isReversed ? steps - step : step;
      const x = isFlat ? fromX + t : Math.trunc(fromX + slope * t + 0.5);
      const y = isFlat ? Math.trunc(fromY + slope * t + 0.5) : fromY + t;
      if (x !== lastX && !Number.isNaN(lastX)) {
        const column = ((x < lastX ? x : x - 1) + 0.5) / FINENESS - 0.5;
        if (Number.isInteger(column) && column >= 0 && column <= width - 1) {
          const row = (Math.min(y, lastY) + 0.5) / FINENESS - 0.5;
          crossings.push(column * height + Math.ceil(Math.min(height, Math.max(0, row))));
        }
      }
      [lastX, lastY] = [x, y];
    }
  }
  crossings.push(height * width);
  crossings.sort((a, b) => a - b);
  const counts = crossings.map((crossing, i) => crossing - (crossings[i - 1] ?? 0));
  return { height, width, counts: joined(counts) };
}

/** Joins the runs around each run of length 0, except for the first run. */
function joined(counts: readonly number[]): number[] {
  const result: number[] = [counts[0]!];
  for (let i = 1; i < counts.length; i += 1) {
    if (counts[i]! > 0) result.push(counts[i]!);
    else if (i + 1 < counts.length) result[result.length - 1]! += counts[++i]!;
  }
  return result;
}
