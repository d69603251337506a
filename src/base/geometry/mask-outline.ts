import { bitmapOfRuns, boxOfRuns, type Runs } from './rle.ts';

/**
 * Returns the outline of the largest part of a mask as a polygon: corners between pixels, clockwise, in turn x and y; empty for an
 * empty mask. Pixels that touch at a corner only belong to two parts. Holes are filled.
 */
export function outlineOf(runs: Runs): number[] {
  const [left, top, wide, high] = boxOfRuns(runs);
  const bitmap = bitmapOfRuns(runs);
  const isInside = (x: number, y: number): boolean =>
    x >= left && y >= top && x < left + wide && y < top + high && bitmap[y * runs.width + x] === 1;
  const edges = edgesOf(left, top, wide, high, isInside);
  let largest: number[] = [];
  let mostArea = 0;
  for (const key of edges.keys()) {
    const loop = takeLoop(edges, key);
    const area = areaOf(loop);
    // The outline of a hole runs the other way: its area is negative.
    if (area > mostArea) [largest, mostArea] = [loop, area];
  }
  return largest;
}

/** Right, down, left, up: each is the one before, turned clockwise. */
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

const KEY_STEP = 65_536;

/** By the corner where they begin, the directions of the edges between inside and outside, with inside on their right. */
function edgesOf(left: number, top: number, wide: number, high: number, isInside: (x: number, y: number) => boolean) {
  const edges = new Map<number, number[]>();
  const add = (x: number, y: number, direction: number): void => {
    const key = y * KEY_STEP + x;
    const known = edges.get(key);
    if (known === undefined) edges.set(key, [direction]);
    else known.push(direction);
  };
  for (let y = top; y < top + high; y += 1) {
    for (let x = left; x < left + wide; x += 1) {
      if (!isInside(x, y)) continue;
      if (!isInside(x, y - 1)) add(x, y, 0);
      if (!isInside(x + 1, y)) add(x + 1, y, 1);
      if (!isInside(x, y + 1)) add(x + 1, y + 1, 2);
      if (!isInside(x - 1, y)) add(x, y + 1, 3);
    }
  }
  return edges;
}

/** Follows edges until they close, and removes them. */
function takeLoop(edges: Map<number, number[]>, start: number): number[] {
  const loop: number[] = [];
  let at = start;
  let last = -1;
  for (let directions = edges.get(at); directions !== undefined; directions = edges.get(at)) {
    // Where two parts touch, turning right stays on the same one.
    const right = directions.indexOf((last + 1) % 4);
    const [direction] = directions.splice(Math.max(0, right), 1);
    if (directions.length === 0) edges.delete(at);
    if (direction !== last) loop.push(at % KEY_STEP, Math.floor(at / KEY_STEP));
    const [x, y] = STEPS[direction!]!;
    at += y * KEY_STEP + x;
    last = direction!;
  }
  return loop;
}

function areaOf(polygon: readonly number[]): number {
  let doubled = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const next = (i + 2) % polygon.length;
    doubled += polygon[i]! * polygon[next + 1]! - polygon[next]! * polygon[i + 1]!;
  }
  return doubled / 2;
}
