import type { Box } from '../../base/core/detection.ts';

/** A line segment. All lengths in this file are in picture heights. */
export interface Segment {
  readonly fromX: number;
  readonly fromY: number;
  readonly toX: number;
  readonly toY: number;
}

export interface CrossingRule {
  /** Half the width of the band around the line in which an object is on neither side. */
  readonly band: number;
  readonly settleUs: number;
  readonly settleFrames: number;
}

export interface Position {
  readonly anchor: { readonly x: number; readonly y: number };
  readonly box: Box;
  readonly nowUs: number;
}

/** As seen along the segment, in the displayed picture (y grows downwards). */
export type Side = 'left' | 'right';

/**
 * Share of its length by which a segment is extended at each end. The feet of a person cut off by the picture's lower
 * border lie exactly on that border, or a rounding error beyond it, and so at the end of a line that was drawn down to it.
 */
const END_RATIO = 1e-6;

/** Weight of the newest step in the running estimate of velocity. */
const NEWEST_SHARE = 0.5;

/** The state of one object with regard to one line: its last position, and the side that it is known to be on. */
export class LineWalk {
  lastUs = 0;
  #last: Position | null = null;
  #velocityX = 0;
  #velocityY = 0;
  /** The last side that was certain; null before the first. */
  #side: Side | null = null;
  /** Whether the last change of sides went through the segment, not past one of its ends. */
  #isThrough = false;
  /** Since when, and for how many frames, the object has been on the other side. */
  #beyondSinceUs = 0;
  #beyondFrames = 0;

  /** Processes the object's next position; returns the side that it has now crossed to, null for none. */
  step(position: Position, segment: Segment, rule: CrossingRule): Side | null {
    const last = this.#last;
    if (last !== null && !this.#isPlausible(last, position)) this.#reset();
    else if (last !== null) this.#updateCrossing(last, position, segment);
    this.#updateVelocity(position);
    this.#last = position;
    this.lastUs = position.nowUs;
    return this.#settle(position, segment, rule);
  }

  #settle({ anchor, nowUs }: Position, segment: Segment, rule: CrossingRule): Side | null {
    const distance = signedDistance(anchor, segment);
    const side: Side | null = Math.abs(distance) <= rule.band ? null : distance < 0 ? 'left' : 'right';
    if (side === null || side === this.#side) {
      this.#beyondFrames = 0;
      return null;
    }
    if (this.#side === null) {
      this.#side = side;
      return null;
    }
    if (this.#beyondFrames === 0) this.#beyondSinceUs = nowUs;
    this.#beyondFrames += 1;
    if (this.#beyondFrames < rule.settleFrames || nowUs - this.#beyondSinceUs < rule.settleUs) return null;
    this.#side = side;
    this.#beyondFrames = 0;
    return this.#isThrough ? side : null;
  }

  /** Checks whether the path from the last position to this one crosses the line, and if so, whether inside the segment. */
  #updateCrossing(last: Position, position: Position, segment: Segment): void {
    const before = signedDistance(last.anchor, segment);
    const after = signedDistance(position.anchor, segment);
    if (before < 0 === after < 0) return;
    const share = before / (before - after);
    const x = last.anchor.x + share * (position.anchor.x - last.anchor.x);
    const y = last.anchor.y + share * (position.anchor.y - last.anchor.y);
    const dx = segment.toX - segment.fromX;
    const dy = segment.toY - segment.fromY;
    const along = ((x - segment.fromX) * dx + (y - segment.fromY) * dy) / (dx * dx + dy * dy);
    this.#isThrough = along >= -END_RATIO && along <= 1 + END_RATIO;
  }

  /**
   * Returns false for a jump that the object cannot have made: its new box does not touch the path from its last box to its
   * predicted one. The track id has then moved to another object, and the state of the first one no longer applies.
   */
  #isPlausible(last: Position, { box, nowUs }: Position): boolean {
    const elapsedUs = nowUs - last.nowUs;
    const shiftX = this.#velocityX * elapsedUs;
    const shiftY = this.#velocityY * elapsedUs;
    const [x, y, width, height] = last.box;
    return (
      box[0] < x + width + Math.max(0, shiftX) &&
      box[0] + box[2] > x + Math.min(0, shiftX) &&
      box[1] < y + height + Math.max(0, shiftY) &&
      box[1] + box[3] > y + Math.min(0, shiftY)
    );
  }

  #reset(): void {
    this.#last = null;
    this.#side = null;
    this.#isThrough = false;
    this.#beyondFrames = 0;
    this.#velocityX = 0;
    this.#velocityY = 0;
  }

  #updateVelocity({ anchor, nowUs }: Position): void {
    const last = this.#last;
    if (last === null || nowUs <= last.nowUs) return;
    const elapsedUs = nowUs - last.nowUs;
    this.#velocityX += NEWEST_SHARE * ((anchor.x - last.anchor.x) / elapsedUs - this.#velocityX);
    this.#velocityY += NEWEST_SHARE * ((anchor.y - last.anchor.y) / elapsedUs - this.#velocityY);
  }
}

/** Returns the distance from the infinite line: negative to the left of it, as seen from the first point to the second. */
function signedDistance(point: { readonly x: number; readonly y: number }, segment: Segment): number {
  const dx = segment.toX - segment.fromX;
  const dy = segment.toY - segment.fromY;
  return (dx * (point.y - segment.fromY) - dy * (point.x - segment.fromX)) / Math.hypot(dx, dy);
}
