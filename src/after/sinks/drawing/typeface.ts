import { distanceToSegment } from '../../../base/geometry/distance-to-segment.ts';
import { blend, type Canvas, type Colour } from './canvas.ts';
import { GLYPH_STROKES, UNKNOWN_GLYPH } from './glyph-strokes.ts';

/** In grid units of the strokes: capitals are 12 high, descenders end 4 below the baseline. */
const CAP_UNITS = 12;
const DESCENT_UNITS = 4;
/** Letters are drawn slightly narrower than their grid. */
const WIDTH_RATIO = 0.84;
const GAP_UNITS = 3.2;
const SPACE_UNITS = 4;
const PEN_UNITS = 1.75;
/** Straight pieces between two points of a curve. */
const CURVE_PIECES = 5;

type Point = readonly [x: number, y: number];

/** A letter at one size: coverage of each pixel, 0 to 255, in rows. */
interface Mask {
  readonly width: number;
  readonly height: number;
  readonly cover: Uint8Array;
  readonly advancePx: number;
}

/** Draws text at one size. Each letter is rasterised on first use. */
export class Typeface {
  readonly capHeightPx: number;
  readonly #unitPx: number;
  readonly #marginPx: number;
  readonly #masks = new Map<string, Mask>();

  /** @param capHeightPx - height of a capital letter; readable from 8 px. */
  constructor(capHeightPx: number) {
    this.capHeightPx = capHeightPx;
    this.#unitPx = capHeightPx / CAP_UNITS;
    this.#marginPx = Math.ceil(this.#unitPx * PEN_UNITS);
  }

  /** Returns the width of a text in whole pixels. */
  measure(text: string): number {
    let px = 0;
    for (const letter of lettersOf(text)) px += this.#advance(letter);
    return Math.max(0, Math.ceil(px - GAP_UNITS * this.#unitPx * WIDTH_RATIO));
  }

  /** Draws a text; (x, y) is the top-left corner of its first capital. */
  draw(canvas: Canvas, text: string, x: number, y: number, colour: Colour): void {
    let at = x;
    for (const letter of lettersOf(text)) {
      if (letter !== ' ') this.#blit(canvas, this.#mask(letter), Math.round(at), y, colour);
      at += this.#advance(letter);
    }
  }

  #advance(letter: string): number {
    return letter === ' ' ? SPACE_UNITS * this.#unitPx * WIDTH_RATIO : this.#mask(letter).advancePx;
  }

  #blit(canvas: Canvas, mask: Mask, x: number, y: number, colour: Colour): void {
    const left = x - this.#marginPx;
    const top = y - this.#marginPx;
    for (let row = Math.max(0, -top); row < mask.height && top + row < canvas.height; row++) {
      for (let column = Math.max(0, -left); column < mask.width && left + column < canvas.width; column++) {
        const cover = mask.cover[row * mask.width + column]!;
        if (cover > 0) blend(canvas, left + column, top + row, colour, cover / 255);
      }
    }
  }

  #mask(letter: string): Mask {
    let mask = this.#masks.get(letter);
    if (mask === undefined) {
      mask = this.#rasterise(GLYPH_STROKES[letter] ?? UNKNOWN_GLYPH);
      this.#masks.set(letter, mask);
    }
    return mask;
  }

  /** Computes each pixel's coverage from its distance to the nearest piece of a stroke. */
  #rasterise(glyph: string): Mask {
    const unit = this.#unitPx;
    const margin = this.#marginPx;
    const strokes = glyph.split(' ').map((stroke) => pointsOf(stroke));
    const widest = Math.max(...strokes.flat().map(([x]) => x)) * WIDTH_RATIO;
    const width = Math.ceil(widest * unit) + 2 * margin + 1;
    const height = Math.ceil((CAP_UNITS + DESCENT_UNITS) * unit) + 2 * margin + 1;
    const radius = (PEN_UNITS * unit) / 2;
    const cover = new Uint8Array(width * height);
    const pieces = strokes.flatMap((points) => points.slice(1).map((to, i) => [points[i]!, to] as const));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let nearest = Number.POSITIVE_INFINITY;
        for (const [[ax, ay], [bx, by]] of pieces) {
          const px = (x - margin) / unit;
          const py = (y - margin) / unit;
          nearest = Math.min(nearest, distanceToSegment(px, py, ax * WIDTH_RATIO, ay, bx * WIDTH_RATIO, by));
        }
        cover[y * width + x] = 255 * Math.min(1, Math.max(0, radius + 0.5 - nearest * unit));
      }
    }
    return { width, height, cover, advancePx: (widest + GAP_UNITS * WIDTH_RATIO) * unit };
  }
}

/** Strips accents (`café` becomes `cafe`), because the typeface only has ASCII letters. */
function lettersOf(text: string): string {
  return text.normalize('NFD').replace(/\p{Mark}/gu, '');
}

function pointsOf(stroke: string): Point[] {
  const isCurve = stroke.startsWith('~');
  const digits = isCurve ? stroke.slice(1) : stroke;
  const points: Point[] = [];
  for (let i = 0; i + 1 < digits.length; i += 2)
    points.push([Number.parseInt(digits[i]!, 36), Number.parseInt(digits[i + 1]!, 36)]);
  return isCurve ? smooth(points) : points;
}

/** Returns a uniform Catmull-Rom spline through the points; closed if the first and the last are the same. */
function smooth(points: readonly Point[]): Point[] {
  const last = points.length - 1;
  const isClosed = points[0]![0] === points[last]![0] && points[0]![1] === points[last]![1];
  const curve: Point[] = [points[0]!];
  for (let i = 0; i < last; i++) {
    const before = points[i === 0 ? (isClosed ? last - 1 : 0) : i - 1]!;
    const after = points[i + 1 === last ? (isClosed ? 1 : last) : i + 2]!;
    for (let piece = 1; piece <= CURVE_PIECES; piece++) {
      const t = piece / CURVE_PIECES;
      curve.push([
        catmullRom(before[0], points[i]![0], points[i + 1]![0], after[0], t),
        catmullRom(before[1], points[i]![1], points[i + 1]![1], after[1], t),
      ]);
    }
  }
  return curve;
}

/** The standard uniform form with tension 1/2. */
function catmullRom(p0: number, p1: number, p2: number, p3: number, t: number): number {
  const linear = (p2 - p0) * t;
  const square = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t;
  const cube = (3 * p1 - p0 - 3 * p2 + p3) * t * t * t;
  return (2 * p1 + linear + square + cube) / 2;
}
