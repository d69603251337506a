import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/core/clock.ts';
import type { Detection } from '../../base/core/detection.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';

/** Unchanged detections are sent again after this time, so that a client that lost a message is not outdated for longer. */
export const REPEAT_MS = 2000;

type Scene = Pick<PublishedFrame, 'width' | 'height' | 'detections'> & { readonly zones?: PublishedFrame['zones'] };

interface Sent {
  readonly scene: Scene;
  readonly atMs: number;
}

/**
 * Chooses the frames whose detections one client gets if it wants changes only. Each frame is compared with the last one
 * that was sent, not with the one before it, so that slow movement adds up.
 */
export class ChangeFilter {
  readonly #movedPx: number;
  readonly #clock: Clock;
  readonly #sent = new Map<string, Sent>();

  /** @param movedPx - source pixels by which an edge of a box may differ without being a change. */
  constructor(movedPx: number, clock: Clock) {
    this.#movedPx = movedPx;
    this.#clock = clock;
  }

  /** Forgets all other streams. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    for (const id of this.#sent.keys()) if (!streamIds.has(id)) this.#sent.delete(id);
  }

  /** Returns whether the frame is to be sent, and if so, remembers it as the last one sent of its stream. */
  tryTake({ streamId, width, height, detections, crossings = [], zones }: PublishedFrame): boolean {
    const now = this.#clock.now();
    const scene = { width, height, detections, zones };
    const last = this.#sent.get(streamId);
    const isOld = last === undefined || now - last.atMs >= REPEAT_MS;
    // A crossing is in one frame only.
    if (!isOld && crossings.length === 0 && isSameScene(last.scene, scene, this.#movedPx)) return false;
    this.#sent.set(streamId, { scene, atMs: now });
    return true;
  }
}

/**
 * Returns whether two frames have the same counts of zones and show the same objects at the same places: each detection of one has its own counterpart in the
 * other, with equal class, label, track id and attributes and each edge within `movedPx`. Scores and the order of detections do not
 * count. Among objects that overlap within the tolerance it may miss a pairing and return false, never the reverse.
 */
export function isSameScene(left: Scene, right: Scene, movedPx: number): boolean {
  if (!isDeepStrictEqual(left.zones, right.zones)) return false;
  const count = left.detections.length;
  if (count !== right.detections.length || left.width !== right.width || left.height !== right.height) return false;
  const isTaken = new Uint8Array(count);
  return right.detections.every((detection, index) => {
    // The order rarely changes, so the search begins at the same position.
    for (let step = 0; step < count; step += 1) {
      const candidate = (index + step) % count;
      if (isTaken[candidate] === 1 || !isSameObject(left.detections[candidate]!, detection, movedPx)) continue;
      isTaken[candidate] = 1;
      return true;
    }
    return false;
  });
}

function isSameObject(left: Detection, right: Detection, movedPx: number): boolean {
  if (left.classId !== right.classId || left.label !== right.label || left.trackId !== right.trackId) return false;
  if (left.attributes !== right.attributes && !isDeepStrictEqual(left.attributes, right.attributes)) return false;
  const [leftX, leftY, leftWidth, leftHeight] = left.box;
  const [rightX, rightY, rightWidth, rightHeight] = right.box;
  return (
    Math.abs(leftX - rightX) <= movedPx &&
    Math.abs(leftY - rightY) <= movedPx &&
    Math.abs(leftX + leftWidth - rightX - rightWidth) <= movedPx &&
    Math.abs(leftY + leftHeight - rightY - rightHeight) <= movedPx
  );
}
