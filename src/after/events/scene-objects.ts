import type { Detection, RatioPoint } from '../../base/core/detection.ts';
import type { GroundPlane } from '../../base/geometry/ground-plane.ts';
import { anchorOf, footOf, type ZoneAnchor } from '../../frame/track/anchor.ts';
import { isInside } from '../../frame/track/zones.ts';
import { roundBox, roundScore } from '../../wire/protocol/result-record.ts';
import type { EventMoment, EventPicture } from '../../wire/protocol/rule-event.ts';

/** A zone as rules use it. */
export interface SceneZone {
  readonly id: string;
  readonly polygon: readonly RatioPoint[];
  readonly anchor: ZoneAnchor;
  /** Null: all. */
  readonly labels: ReadonlySet<string> | null;
  readonly minScore: number;
  readonly minSize: number;
  /** Null without a scale. */
  readonly ground: GroundPlane | null;
}

/** A frame as rules see it. */
export interface SceneFrame {
  readonly frame: number;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[];
  /** Media time in microseconds that never goes back. */
  readonly nowUs: number;
  readonly moment: EventMoment;
}

/** A moment on the time line of a stream. */
export interface SceneTime {
  /** Microseconds, as `SceneFrame.nowUs`. */
  readonly us: number;
  /** Number of the frame. */
  readonly frame: number;
  readonly moment: EventMoment;
}

/** An object is inside or outside of a zone once it has been seen there for this long, and in two frames: boxes flicker. */
const SETTLE_US = 200_000;
const SETTLE_FRAMES = 2;

/** Speed is measured over this long. */
const SPEED_SPAN_US = 1_000_000;
/** Over less, the flicker of boxes is faster than the object. */
const LEAST_SPEED_SPAN_US = 400_000;

/** An object has moved once its centre is further from where it stood than this share of its box's shorter side. */
const STILL_RATIO = 0.3;

/** Steps per pixel of a box that is shown. */
const BOX_STEPS = 10;

/** Points of a path; a longer one keeps every second. */
const PATH_POINTS = 64;

/** Where an object is with regard to a zone. */
interface Stay {
  isInside: boolean;
  /** When it came to where it is. */
  since: SceneTime;
  /** Seen on the other side since; null if it is not. */
  change: { readonly since: SceneTime; frames: number } | null;
  /** It became so in this frame. */
  changedNow: boolean;
}

interface Position {
  readonly us: number;
  /** Anchor as ratios of the picture. */
  readonly x: number;
  readonly y: number;
}

/** An object that is followed through the frames of one stream. */
export class SceneObject {
  readonly trackId: number;
  readonly first: SceneTime;
  last: SceneTime;
  /** It has not been seen for so long that it will not come back. */
  isGone = false;
  /** Height of its newest box, as a ratio of the picture's height. */
  size = 0;
  best: EventPicture;
  /** What second stages have said of it. */
  attributes: Readonly<Record<string, string>> = NO_ATTRIBUTES;
  /** When it came to where it stands. */
  still: SceneTime & { readonly x: number; readonly y: number };
  readonly #scores = new Map<string, number>();
  readonly #stays = new Map<string, Stay>();
  readonly #recent: Position[] = [];
  #aspect = 1;
  #path: RatioPoint[] = [];
  #stride = 1;
  #steps = 0;

  constructor(trackId: number, detection: Detection, frame: SceneFrame) {
    this.trackId = trackId;
    this.first = timeOf(frame);
    this.last = this.first;
    this.best = pictureOf(detection, frame);
    this.still = { ...this.first, ...centreOf(detection, frame) };
  }

  /** Takes its box in the next frame in which it is seen. */
  see(detection: Detection, frame: SceneFrame, zones: ReadonlyMap<string, SceneZone>): void {
    this.last = timeOf(frame);
    this.size = detection.box[3] / frame.height;
    this.#aspect = frame.width / frame.height;
    if (detection.attributes !== undefined) this.attributes = labelsOf(detection.attributes);
    if (detection.score > this.best.score) this.best = pictureOf(detection, frame);
    this.#scores.set(detection.label, (this.#scores.get(detection.label) ?? 0) + detection.score);
    const foot = anchorOf(detection.box, 'bottom-center');
    this.#move({ us: frame.nowUs, x: foot.x / frame.width, y: foot.y / frame.height });
    this.#stand(detection, frame);
    for (const zone of zones.values()) this.#stay(zone, detection, frame);
  }

  /** Its class: detectors change their mind, so that with the most score of all its boxes. */
  get label(): string {
    let [best, most] = ['', -1];
    for (const [label, score] of this.#scores) if (score > most) [best, most] = [label, score];
    return best;
  }

  /** Best score so far. */
  get score(): number {
    return this.best.score;
  }

  /** Forgets where it is with regard to a zone: the zone lies elsewhere now. */
  leaveZone(id: string): void {
    this.#stays.delete(id);
  }

  /** Where it was, at most `PATH_POINTS` points and the newest one. */
  get path(): readonly RatioPoint[] {
    const { x, y } = this.#recent.at(-1)!;
    return [...this.#path, rounded(x, y)];
  }

  /** Where it is with regard to a zone; null if the zone does not count objects of its class, score or size. */
  stay(zone: SceneZone): Readonly<Stay> | null {
    const isWanted = zone.labels?.has(this.label) !== false && this.score >= zone.minScore && this.size >= zone.minSize;
    return isWanted ? (this.#stays.get(zone.id) ?? null) : null;
  }

  /** @returns metres per second on the ground, else picture heights per second; null until it has been seen for long enough. */
  speed(ground: GroundPlane | null): number | null {
    const [from, to] = [this.#recent[0]!, this.#recent.at(-1)!];
    if (to.us - from.us < LEAST_SPEED_SPAN_US) return null;
    const place = ({ x, y }: Position): readonly [number, number] | null =>
      ground === null ? [x * this.#aspect, y] : ground(x, y);
    const [a, b] = [place(from), place(to)];
    return a === null || b === null ? null : Math.hypot(b[0] - a[0], b[1] - a[1]) / ((to.us - from.us) / 1e6);
  }

  #move(position: Position): void {
    this.#recent.push(position);
    while (this.#recent.length > 2 && position.us - this.#recent[0]!.us > SPEED_SPAN_US) this.#recent.shift();
    if (this.#steps++ % this.#stride !== 0) return;
    this.#path.push(rounded(position.x, position.y));
    if (this.#path.length < PATH_POINTS) return;
    this.#path = this.#path.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  #stand(detection: Detection, frame: SceneFrame): void {
    const { x, y } = centreOf(detection, frame);
    const [, , width, height] = detection.box;
    const movedPx = Math.hypot((x - this.still.x) * frame.width, (y - this.still.y) * frame.height);
    if (movedPx > STILL_RATIO * Math.min(width, height)) this.still = { ...timeOf(frame), x, y };
  }

  #stay(zone: SceneZone, detection: Detection, frame: SceneFrame): void {
    const { x, y } = footOf(detection, zone.anchor);
    const isNow = isInside(zone.polygon, x / frame.width, y / frame.height);
    let stay = this.#stays.get(zone.id);
    if (stay === undefined) {
      // An object that is first seen inside has entered, once it is sure to be there.
      stay = { isInside: false, since: timeOf(frame), change: null, changedNow: false };
      this.#stays.set(zone.id, stay);
    }
    stay.changedNow = false;
    if (isNow === stay.isInside) {
      stay.change = null;
      return;
    }
    stay.change ??= { since: timeOf(frame), frames: 0 };
    stay.change.frames += 1;
    if (stay.change.frames < SETTLE_FRAMES || frame.nowUs - stay.change.since.us < SETTLE_US) return;
    stay.isInside = isNow;
    stay.since = stay.change.since;
    stay.change = null;
    stay.changedNow = true;
  }
}

const NO_ATTRIBUTES = Object.freeze({});
/** Of each set of attributes, which the frames of a track share. */
const labelsKnown = new WeakMap<object, Readonly<Record<string, string>>>();

function labelsOf(attributes: NonNullable<Detection['attributes']>): Readonly<Record<string, string>> {
  let labels = labelsKnown.get(attributes);
  if (labels === undefined) {
    labels = Object.fromEntries(
      Object.entries(attributes).flatMap(([name, { label }]) => (label === undefined ? [] : [[name, label]])),
    );
    labelsKnown.set(attributes, labels);
  }
  return labels;
}

/** Objects that are remembered at once: more than a picture can show. */
const MOST_OBJECTS = 10_000;

/** The objects of one stream. */
export class SceneObjects {
  readonly #known = new Map<number, SceneObject>();
  /** In the newest frame. */
  seen: readonly SceneObject[] = [];
  /** Those, and others that have not been seen for a moment. */
  present: readonly SceneObject[] = [];
  /** Found to be gone with the newest frame. */
  gone: readonly SceneObject[] = [];

  /** @param goneUs - an object that was not seen for longer is gone. */
  update(frame: SceneFrame, zones: ReadonlyMap<string, SceneZone>, goneUs: number): void {
    const seen: SceneObject[] = [];
    for (const detection of frame.detections) {
      const { trackId } = detection;
      if (trackId === undefined) continue;
      let object = this.#known.get(trackId);
      if (object === undefined) {
        if (this.#known.size >= MOST_OBJECTS) continue;
        object = new SceneObject(trackId, detection, frame);
        this.#known.set(trackId, object);
      }
      object.see(detection, frame, zones);
      seen.push(object);
    }
    this.seen = seen;
    this.gone = [...this.#known.values()].filter(({ last }) => frame.nowUs - last.us > goneUs);
    for (const object of this.gone) {
      object.isGone = true;
      this.#known.delete(object.trackId);
    }
    this.present = [...this.#known.values()];
  }

  /** Forgets where objects are with regard to zones that are gone, or lie elsewhere. */
  leaveZones(ids: readonly string[]): void {
    for (const object of this.#known.values()) for (const id of ids) object.leaveZone(id);
  }

  /** Forgets all: what comes next is unrelated. */
  clear(): void {
    this.#known.clear();
    this.seen = [];
    this.present = [];
    this.gone = [];
  }
}

export function timeOf({ nowUs, frame, moment }: SceneFrame): SceneTime {
  return { us: nowUs, frame, moment };
}

function centreOf({ box }: Detection, { width, height }: SceneFrame): { x: number; y: number } {
  const { x, y } = anchorOf(box, 'center');
  return { x: x / width, y: y / height };
}

function pictureOf({ box, score }: Detection, { frame, width, height, moment }: SceneFrame): EventPicture {
  return { ...moment, frame, box: roundBox(box, BOX_STEPS), score: roundScore(score), width, height };
}

function rounded(x: number, y: number): RatioPoint {
  return [Math.round(x * 1e4) / 1e4, Math.round(y * 1e4) / 1e4];
}
