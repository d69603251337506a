import { isDeepStrictEqual } from 'node:util';
import type { RatioPoint } from '../../base/core/detection.ts';
import type { ZoneCount } from '../../base/core/frame.ts';
import { distanceToSegment } from '../../base/geometry/distance-to-segment.ts';
import { type CountedFrame, footOf, type ZoneAnchor } from './anchor.ts';

export interface ZoneOptions {
  readonly id: string;
  /** At least three corners; the last is connected to the first. May be concave. */
  readonly polygon: readonly RatioPoint[];
  /** Default `bottom-center`. */
  readonly anchor?: ZoneAnchor | undefined;
  /** Labels of the classes to count; all if absent. */
  readonly labels?: readonly string[] | undefined;
  /** Only boxes with at least this score. */
  readonly minScore?: number | undefined;
  /** Only boxes at least this tall, as a ratio of the picture's height. */
  readonly minSize?: number | undefined;
}

interface Zone {
  readonly options: ZoneOptions;
  readonly labels: ReadonlySet<string> | null;
  inside: number;
}

/** A point this close to an edge is on it. Boxes are f32: clipped to the picture, they may still end slightly outside it. */
const EDGE_RATIO = 1e-6;

/**
 * Counts the objects inside polygons, in the newest frame: all that are reported there, with or without a track. One instance per
 * stream.
 */
export class ZoneCounter {
  readonly #zones: Zone[];

  /**
   * @param before - the counter of the same stream until now, which is left as it is: zones whose settings stay the same keep
   *   their count until the next frame.
   * @throws RangeError if a polygon has fewer than three corners.
   */
  constructor(zones: readonly ZoneOptions[], before: ZoneCounter | null = null) {
    const known = before === null ? [] : before.#zones;
    this.#zones = zones.map(
      (options) => known.find((zone) => isDeepStrictEqual(zone.options, options)) ?? toZone(options),
    );
  }

  /** Counts in the next frame of the stream. */
  update(frame: CountedFrame): void {
    for (const zone of this.#zones) {
      const { polygon, anchor = 'bottom-center', minScore = 0, minSize = 0 } = zone.options;
      zone.inside = 0;
      for (const detection of frame.detections) {
        if (zone.labels?.has(detection.label) === false) continue;
        if (detection.score < minScore || detection.box[3] / frame.height < minSize) continue;
        const { x, y } = footOf(detection, anchor);
        if (isInside(polygon, x / frame.width, y / frame.height)) zone.inside += 1;
      }
    }
  }

  /** Returns the counts of the newest frame. */
  report(): ZoneCount[] {
    return this.#zones.map(({ options: { id }, inside }) => ({ id, inside }));
  }
}

function toZone(options: ZoneOptions): Zone {
  const { id, polygon, labels } = options;
  if (polygon.length < 3) {
    throw new RangeError(`zone ${id}: expected a polygon of at least 3 corners, received ${polygon.length}`);
  }
  return { options, labels: labels === undefined ? null : new Set(labels), inside: 0 };
}

/**
 * Returns whether a point is inside a polygon by the even-odd rule. A point on an edge counts as inside, because the feet
 * of a person cut off by the picture's lower border lie exactly on the edge of a zone that reaches down to it.
 */
export function isInside(polygon: readonly RatioPoint[], x: number, y: number): boolean {
  let inside = false;
  let [previousX, previousY] = polygon.at(-1)!;
  for (const [cornerX, cornerY] of polygon) {
    if (distanceToSegment(x, y, previousX, previousY, cornerX, cornerY) <= EDGE_RATIO) return true;
    if (cornerY > y !== previousY > y) {
      const crossing = cornerX + ((y - cornerY) * (previousX - cornerX)) / (previousY - cornerY);
      if (x < crossing) inside = !inside;
    }
    previousX = cornerX;
    previousY = cornerY;
  }
  return inside;
}
