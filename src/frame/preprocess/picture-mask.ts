import { isDeepStrictEqual } from 'node:util';
import type { RatioPoint } from '../../base/core/detection.ts';
import type { Placement } from '../../base/geometry/placement.ts';
import type { Rect, ViewPlacement } from '../../base/geometry/views.ts';
import type { MaskConfig } from '../../settings/config/track.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** What is hidden of one mask in one part of a canvas. */
interface Cover {
  readonly fill: MaskConfig['fill'];
  /** Row, first column, end column; row by row. In pixels of the canvas. */
  readonly runs: Int32Array;
  /** Side of a patch that a blur leaves. */
  readonly cellPx: number;
}

/** A blur leaves so many patches along the longer side of the picture: too few for a face or a plate that does not fill it. */
const CELLS = 24;
/** Pixels that are averaged along a side of a patch. */
const SAMPLES = 8;
/** A kernel of ffmpeg or libvips reaches this many pixels, of the larger of both pictures, and colour is stored for every second one. */
const REACH_PX = 4;
/** Where it is rounded to whole pixels. */
const ROUNDING_PX = 2;

/**
 * Hides areas of pictures, in place. A margin is hidden as well, into which scaling has mixed pixels of the area.
 *
 * What lies where is computed when the size of the source changes. After that, black costs what filling memory costs, and a blur 10 ns a pixel.
 */
export class PictureMask {
  readonly #masks: readonly MaskConfig[];
  #known: { readonly layout: readonly unknown[]; readonly covers: readonly Cover[] } | null = null;

  constructor(masks: readonly MaskConfig[]) {
    this.#masks = masks;
  }

  /**
   * @param pixels - u8 `[views * canvas.height, canvas.width, 3]` RGB: views of the source one below the other.
   * @param views - where the source lies in each, and what it shows.
   */
  hide(pixels: Uint8Array, source: Size, canvas: Size, views: readonly ViewPlacement[]): void {
    if (this.#masks.length === 0) return;
    const layout = [source.width, source.height, canvas.width, canvas.height, views.map(placeOf)];
    if (!isDeepStrictEqual(this.#known?.layout, layout))
      this.#known = { layout, covers: coversOf(this.#masks, source, canvas, views) };
    for (const cover of this.#known!.covers)
      if (cover.fill === 'black') blacken(pixels, canvas.width, cover);
      else blur(pixels, canvas.width, cover);
  }
}

function placeOf({ placement: { scaleX, scaleY, offsetX, offsetY }, bounds }: ViewPlacement): readonly number[] {
  return [scaleX, scaleY, offsetX, offsetY, bounds.x, bounds.y, bounds.width, bounds.height];
}

/** Blurs come first: where masks overlap, it is black. */
function coversOf(
  masks: readonly MaskConfig[],
  source: Size,
  canvas: Size,
  views: readonly ViewPlacement[],
): readonly Cover[] {
  const blursFirst = masks.toSorted((a, b) => Number(a.fill === 'black') - Number(b.fill === 'black'));
  return views.flatMap(({ placement, bounds }, view) => {
    const shown = shownRect(placement, bounds, canvas);
    const cellPx = Math.ceil(Math.max(source.width * placement.scaleX, source.height * placement.scaleY) / CELLS);
    return blursFirst.flatMap(({ polygon, fill }) => {
      const runs = runsOf(polygon, source, placement, shown, view * canvas.height);
      return runs.length === 0 ? [] : [{ fill, runs, cellPx: Math.max(2, cellPx) }];
    });
  });
}

/** The whole pixels of a canvas that show a part of the source. */
function shownRect({ scaleX, scaleY, offsetX, offsetY }: Placement, part: Rect, canvas: Size): Rect {
  const x = Math.max(0, Math.round(part.x * scaleX + offsetX));
  const y = Math.max(0, Math.round(part.y * scaleY + offsetY));
  const right = Math.min(canvas.width, Math.round((part.x + part.width) * scaleX + offsetX));
  const bottom = Math.min(canvas.height, Math.round((part.y + part.height) * scaleY + offsetY));
  return { x, y, width: Math.max(0, right - x), height: Math.max(0, bottom - y) };
}

function runsOf(
  polygon: readonly RatioPoint[],
  source: Size,
  { scaleX, scaleY, offsetX, offsetY }: Placement,
  shown: Rect,
  top: number,
): Int32Array {
  const corners = polygon.map(
    ([x, y]): RatioPoint => [
      x * source.width * scaleX + offsetX - shown.x,
      y * source.height * scaleY + offsetY - shown.y,
    ],
  );
  const marginPx = Math.ceil(REACH_PX * Math.max(1, scaleX, scaleY)) + ROUNDING_PX;
  const covered = new Uint8Array(shown.width * shown.height);
  fillInside(corners, shown, covered);
  fillEdges(corners, shown, marginPx, covered);
  const runs: number[] = [];
  for (let y = 0; y < shown.height; y += 1)
    for (let x = 0; x < shown.width; x += 1) {
      if (covered[y * shown.width + x] === 0) continue;
      const from = x;
      while (x < shown.width && covered[y * shown.width + x] === 1) x += 1;
      runs.push(top + shown.y + y, shown.x + from, shown.x + x);
    }
  return Int32Array.from(runs);
}

/** Marks the pixels whose centre is inside, by the non-zero rule: a polygon that crosses itself has no hole. */
function fillInside(corners: readonly RatioPoint[], { width, height }: Size, covered: Uint8Array): void {
  const edges = corners.map((to, i) => ({ from: corners.at(i - 1)!, to }));
  for (let y = 0; y < height; y += 1) {
    const at = y + 0.5;
    const crossings = edges
      .filter(({ from, to }) => from[1] <= at !== to[1] <= at)
      .map(({ from, to }) => ({
        x: from[0] + ((at - from[1]) * (to[0] - from[0])) / (to[1] - from[1]),
        turn: to[1] > from[1] ? 1 : -1,
      }))
      .sort((a, b) => a.x - b.x);
    let winding = 0;
    for (const [i, { x, turn }] of crossings.entries()) {
      winding += turn;
      if (winding === 0) continue;
      const [from, to] = [x, crossings[i + 1]!.x].map((edge) => Math.min(width, Math.max(0, Math.ceil(edge - 0.5))));
      covered.fill(1, y * width + from!, y * width + to!);
    }
  }
}

/** Marks a square around each point of the edges. */
function fillEdges(corners: readonly RatioPoint[], { width, height }: Size, px: number, covered: Uint8Array): void {
  for (const [i, [toX, toY]] of corners.entries()) {
    const [fromX, fromY] = corners.at(i - 1)!;
    const steps = Math.max(1, Math.ceil(Math.max(Math.abs(toX - fromX), Math.abs(toY - fromY))));
    for (let step = 0; step <= steps; step += 1) {
      const x = Math.floor(fromX + ((toX - fromX) * step) / steps);
      const y = Math.floor(fromY + ((toY - fromY) * step) / steps);
      const [left, right] = [Math.max(0, x - px), Math.min(width, x + px + 1)];
      if (left >= right) continue;
      for (let row = Math.max(0, y - px); row < Math.min(height, y + px + 1); row += 1)
        covered.fill(1, row * width + left, row * width + right);
    }
  }
}

function blacken(pixels: Uint8Array, rowPx: number, { runs }: Cover): void {
  for (let i = 0; i < runs.length; i += 3) {
    const row = runs[i]! * rowPx;
    pixels.fill(0, (row + runs[i + 1]!) * 3, (row + runs[i + 2]!) * 3);
  }
}

/** Replaces pixels by the mean colours of a grid of patches, with smooth steps between them. Reads no pixel that is not covered. */
function blur(pixels: Uint8Array, rowPx: number, { runs, cellPx }: Cover): void {
  let [left, right] = [rowPx, 0];
  for (let i = 0; i < runs.length; i += 3) {
    left = Math.min(left, runs[i + 1]!);
    right = Math.max(right, runs[i + 2]!);
  }
  const top = runs[0]!;
  const height = runs[runs.length - 3]! + 1 - top;
  const [across, down] = [steps(right - left, cellPx), steps(height, cellPx)];
  const columns = across.cells;
  const means = patchMeans(pixels, rowPx, { runs, cellPx, left, top, columns, lines: down.cells });
  const blended = new Float32Array((columns + 1) * 3);
  let blendedRow = -1;
  for (let i = 0; i < runs.length; i += 3) {
    const y = runs[i]!;
    if (y !== blendedRow) {
      const from = down.before[y - top]! * columns * 3;
      const to = Math.min(down.before[y - top]! + 1, down.cells - 1) * columns * 3;
      const share = down.share[y - top]!;
      for (let c = 0; c < columns * 3; c += 1)
        blended[c] = means[from + c]! + (means[to + c]! - means[from + c]!) * share;
      // The last patch has no neighbour: it is its own.
      blended.copyWithin(columns * 3, (columns - 1) * 3, columns * 3);
      blendedRow = y;
    }
    let at = (y * rowPx + runs[i + 1]!) * 3;
    for (let x = runs[i + 1]! - left; x < runs[i + 2]! - left; x += 1) {
      const patch = across.before[x]! * 3;
      const share = across.share[x]!;
      for (let c = 0; c < 3; c += 1) {
        const first = blended[patch + c]!;
        pixels[at] = first + (blended[patch + 3 + c]! - first) * share;
        at += 1;
      }
    }
  }
}

/** Returns for each pixel of a stretch which patch has its centre before it, and how much of the next one it has. */
function steps(length: number, cellPx: number): { cells: number; before: Uint16Array; share: Float32Array } {
  const cells = Math.ceil(length / cellPx);
  const [before, share] = [new Uint16Array(length), new Float32Array(length)];
  for (let at = 0; at < length; at += 1) {
    const place = Math.min(cells - 1, Math.max(0, (at + 0.5) / cellPx - 0.5));
    before[at] = Math.floor(place);
    share[at] = place - before[at]!;
  }
  return { cells, before, share };
}

interface Grid {
  readonly runs: Int32Array;
  readonly cellPx: number;
  readonly left: number;
  readonly top: number;
  readonly columns: number;
  readonly lines: number;
}

/** Returns `[lines, columns, 3]`. Patches of which no pixel was looked at have the mean of all. */
function patchMeans(pixels: Uint8Array, rowPx: number, grid: Grid): Float32Array {
  const { runs, cellPx, left, top, columns, lines } = grid;
  const step = Math.max(1, Math.floor(cellPx / SAMPLES));
  const means = new Float32Array(columns * lines * 3);
  const counts = new Uint32Array(columns * lines);
  const all = [0, 0, 0];
  let count = 0;
  for (let i = 0; i < runs.length; i += 3) {
    const y = runs[i]!;
    if ((y - top) % step !== 0) continue;
    const line = Math.floor((y - top) / cellPx) * columns;
    for (let x = runs[i + 1]!; x < runs[i + 2]!; x += step) {
      const cell = line + Math.floor((x - left) / cellPx);
      counts[cell]! += 1;
      count += 1;
      for (let c = 0; c < 3; c += 1) {
        const value = pixels[(y * rowPx + x) * 3 + c]!;
        means[cell * 3 + c]! += value;
        all[c]! += value;
      }
    }
  }
  for (const [cell, found] of counts.entries())
    for (let c = 0; c < 3; c += 1) means[cell * 3 + c] = found === 0 ? all[c]! / count : means[cell * 3 + c]! / found;
  return means;
}
