/** @import { Preview } from './lib/client/index.js' */

import { strokeCased } from './places.js';

/** Points of one path; at the usual rate of pictures, the last seconds. */
const MOST_POINTS = 60;
/** A track that is missing from so many pictures has ended. */
const FORGET_AFTER = 10;

/** Where tracked objects stood in the last pictures of a stream: the middle of the lower edge of their boxes. */
export class Trails {
  /** @type {Map<number, { points: { x: number, y: number }[], missing: number }>} */
  #trails = new Map();
  #frame = -1;

  /** @param {Pick<Preview, 'frame' | 'detections'>} preview those with the boxes of the same frame add nothing */
  add({ frame, detections }) {
    if (frame === this.#frame) return;
    this.#frame = frame;
    for (const trail of this.#trails.values()) trail.missing += 1;
    for (const { trackId, box } of detections) {
      if (trackId === undefined) continue;
      const [x, y, width, height] = box;
      const trail = this.#trails.get(trackId) ?? { points: [], missing: 0 };
      this.#trails.set(trackId, trail);
      trail.missing = 0;
      trail.points.push({ x: x + width / 2, y: y + height });
      if (trail.points.length > MOST_POINTS) trail.points.shift();
    }
    for (const [id, { missing }] of this.#trails) if (missing > FORGET_AFTER) this.#trails.delete(id);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} scale CSS pixels per source pixel
   */
  draw(context, scale) {
    for (const { points } of this.#trails.values()) {
      const path = new Path2D();
      for (const { x, y } of points) path.lineTo(x * scale, y * scale);
      strokeCased(context, path, 'rgb(255 255 255)', 2);
    }
  }
}
