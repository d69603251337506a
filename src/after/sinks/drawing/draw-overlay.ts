import type { Detection, Mask, RatioPoint } from '../../../base/core/detection.ts';
import type { Placement } from '../../../base/geometry/placement.ts';
import { runsOfMask, stretchesOf } from '../../../base/geometry/rle.ts';
import { turnedCorners } from '../../../base/geometry/rotated-iou.ts';
import type { OverlayCounts, OverlayPlan } from '../../../wire/protocol/annotate.ts';
import { poseOf } from '../../../wire/protocol/skeleton.ts';
import { type Canvas, type Colour, fillRectangle, outlineRectangle, type Rectangle, strokeLine } from './canvas.ts';
import { classColour, textColour } from './class-colours.ts';
import { LabelPlaces } from './label-places.ts';
import { Typeface } from './typeface.ts';

const ZONE_COLOUR: Colour = [255, 196, 0];
const LINE_COLOUR: Colour = [255, 90, 90];
/** Inside of a key point. */
const POINT_COLOUR: Colour = [255, 255, 255];
const MASK_OPACITY = 0.4;

/** Sizes in proportion to the picture, so that labels are equally readable at 360 and 2160 lines. */
interface Sizes {
  readonly thickness: number;
  readonly padding: number;
}

/** The data drawn on one picture. */
export interface OverlayFrame {
  readonly detections: readonly Detection[];
  readonly counts: OverlayCounts;
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  /** From source pixels to pixels of the canvas. */
  readonly placement: Placement;
}

/** An object, and where its box and its label are on the canvas. */
interface Mark {
  readonly detection: Detection;
  readonly box: Rectangle;
  readonly label: Rectangle;
  readonly text: string;
  readonly colour: Colour;
}

/** Draws boxes with class, score and identity, and zones and lines with their counts, on pictures of one size. */
export class OverlayPainter {
  readonly #plan: OverlayPlan;
  readonly #typeface: Typeface;
  readonly #sizes: Sizes;

  constructor(picture: { readonly width: number; readonly height: number }, plan: OverlayPlan) {
    this.#plan = plan;
    const side = Math.min(picture.width, picture.height);
    this.#typeface = new Typeface(Math.max(8, Math.round(side / 60)));
    this.#sizes = { thickness: Math.max(2, Math.round(side / 360)), padding: Math.max(3, Math.round(side / 180)) };
  }

  /** Draws into the canvas. Costs well below a millisecond for ten boxes on 1280x720. */
  draw(canvas: Canvas, frame: OverlayFrame): void {
    const places = new LabelPlaces(canvas);
    this.#drawZones(canvas, frame, places);
    this.#drawLines(canvas, frame, places);
    // The box with the highest score gets the best place for its label and is drawn on top.
    const byScore = [...frame.detections].sort((a, b) => b.score - a.score);
    const marks = byScore.map((detection) => this.#mark(detection, frame.placement, places));
    for (const mark of marks.toReversed()) this.#drawObject(canvas, mark, frame.placement);
    for (const { label, text, colour } of marks.toReversed()) this.#drawLabel(canvas, label, text, colour);
  }

  #mark(detection: Detection, placement: Placement, places: LabelPlaces): Mark {
    const [x, y, width, height] = detection.box;
    const left = Math.round(x * placement.scaleX + placement.offsetX);
    const top = Math.round(y * placement.scaleY + placement.offsetY);
    const right = Math.round((x + width) * placement.scaleX + placement.offsetX);
    const bottom = Math.round((y + height) * placement.scaleY + placement.offsetY);
    const box = { x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
    const text = labelOf(detection);
    return { detection, box, text, colour: classColour(detection.classId), label: this.#place(box, text, places) };
  }

  /** Draws the mask, the box and the key points of an object. */
  #drawObject(canvas: Canvas, { detection, box, colour }: Mark, placement: Placement): void {
    const { thickness } = this.#sizes;
    const { mask, keypoints, angle } = detection;
    const onCanvas = ([x, y]: readonly [number, number]): [number, number] => [
      x * placement.scaleX + placement.offsetX,
      y * placement.scaleY + placement.offsetY,
    ];
    if (mask !== undefined) fillMask(canvas, mask, placement, colour);
    if (angle === undefined) outlineRectangle(canvas, box, thickness, colour);
    else strokeAround(canvas, turnedCorners(detection.box, (angle * Math.PI) / 180).map(onCanvas), thickness, colour);
    if (keypoints === undefined) return;
    const { points, lines } = poseOf(keypoints);
    for (const [from, to] of lines) strokeLine(canvas, onCanvas(from), onCanvas(to), thickness, colour);
    for (const point of points.map(onCanvas)) {
      strokeLine(canvas, point, point, thickness * 2.5, colour);
      strokeLine(canvas, point, point, thickness * 1.25, POINT_COLOUR);
    }
  }

  #place(at: Rectangle, text: string, places: LabelPlaces): Rectangle {
    const { padding } = this.#sizes;
    const { capHeightPx } = this.#typeface;
    // A little more space below, for the descenders of letters such as g.
    const height = capHeightPx + 2 * padding + Math.round(capHeightPx / 12);
    return places.take(at, this.#typeface.measure(text) + 2 * padding, height);
  }

  #drawLabel(canvas: Canvas, place: Rectangle, text: string, background: Colour): void {
    const { padding } = this.#sizes;
    fillRectangle(canvas, place, background);
    this.#typeface.draw(canvas, text, place.x + padding, place.y + padding, textColour(background));
  }

  #drawZones(canvas: Canvas, frame: OverlayFrame, places: LabelPlaces): void {
    this.#plan.zones.forEach(({ id, polygon }, i) => {
      const corners = polygon.map((corner) => toCanvas(corner, frame));
      strokeAround(canvas, corners, this.#sizes.thickness, ZONE_COLOUR);
      const inside = frame.counts.zones[i]?.inside;
      this.#drawTag(canvas, boundsOf(corners), inside === undefined ? id : `${id}: ${inside}`, ZONE_COLOUR, places);
    });
  }

  #drawLines(canvas: Canvas, frame: OverlayFrame, places: LabelPlaces): void {
    this.#plan.lines.forEach(({ id, from, to }, i) => {
      const ends = [toCanvas(from, frame), toCanvas(to, frame)] as const;
      strokeLine(canvas, ends[0], ends[1], this.#sizes.thickness * 1.5, LINE_COLOUR);
      const count = frame.counts.lines[i];
      const text = count === undefined ? id : `${id}: ${count.leftToRight} L>R  ${count.rightToLeft} R>L`;
      this.#drawTag(canvas, boundsOf(ends), text, LINE_COLOUR, places);
    });
  }

  #drawTag(canvas: Canvas, at: Rectangle, text: string, colour: Colour, places: LabelPlaces): void {
    this.#drawLabel(canvas, this.#place(at, text, places), text, colour);
  }
}

/** Draws a closed polygon. */
function strokeAround(
  canvas: Canvas,
  corners: readonly (readonly [number, number])[],
  thickness: number,
  colour: Colour,
): void {
  for (const [k, corner] of corners.entries())
    strokeLine(canvas, corner, corners[(k + 1) % corners.length]!, thickness, colour);
}

/** Tints the pixels of a mask. Neighbouring stretches of the source never meet on one pixel of the canvas. */
function fillMask(canvas: Canvas, mask: Mask, { scaleX, scaleY, offsetX, offsetY }: Placement, colour: Colour): void {
  for (const [column, from, to] of stretchesOf(runsOfMask(mask))) {
    const [x, y] = [Math.round(column * scaleX + offsetX), Math.round(from * scaleY + offsetY)];
    const width = Math.round((column + 1) * scaleX + offsetX) - x;
    fillRectangle(canvas, { x, y, width, height: Math.round(to * scaleY + offsetY) - y }, colour, MASK_OPACITY);
  }
}

/** Returns `#7 car 91% red`: without a track id, and what second stages have said of it, as far as there is any. */
function labelOf({ label, score, trackId, attributes = {} }: Detection): string {
  const said = Object.values(attributes).flatMap((attribute) => attribute.label ?? []);
  const name = [`${label} ${Math.round(score * 100)}%`, ...said].join(' ');
  return trackId === undefined ? name : `#${trackId} ${name}`;
}

function toCanvas([x, y]: RatioPoint, { placement, sourceWidth, sourceHeight }: OverlayFrame): [number, number] {
  return [
    x * sourceWidth * placement.scaleX + placement.offsetX,
    y * sourceHeight * placement.scaleY + placement.offsetY,
  ];
}

function boundsOf(points: readonly (readonly [number, number])[]): Rectangle {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x = Math.round(Math.min(...xs));
  const y = Math.round(Math.min(...ys));
  return { x, y, width: Math.round(Math.max(...xs)) - x, height: Math.round(Math.max(...ys)) - y };
}
