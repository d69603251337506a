import type { Box, Detection } from '../../base/core/detection.ts';
import { NO_SHIFT, type SceneShift } from '../../base/core/frame.ts';
import { AssignmentSolver } from '../../base/geometry/assignment.ts';
import { iouXywh, sharedArea } from '../../base/geometry/iou.ts';
import { MediaTimeline } from './media-timeline.ts';
import { ObjectTrack, shifted } from './object-track.ts';
import { type ResolvedTrackOptions, resolveTrackOptions, type TrackOptions } from './track-options.ts';

/** How well the tracker had predicted the newest frame that was inferred. */
export interface PredictionQuality {
  /** Confirmed tracks that were found in the inferred frame before. */
  readonly tracks: number;
  /** How many of `tracks` were not found again. */
  readonly lost: number;
  /** Objects that no track had predicted; without weak detections, most of which are false. */
  readonly fresh: number;
  /** Smallest IoU of a predicted box with its detection; 1 if there was none. */
  readonly leastIou: number;
}

/** A new object of this score is hardly a false one. */
const SURE_SCORE = 0.5;
/** An object of this mean score needs no `minHits` frames: one, or two where frames follow each other closely and a second costs nothing. */
const CERTAIN_SCORE = 0.8;
const CLOSE_FRAMES_US = 150_000;

/**
 * Boxes are compared with a margin on each side, as a share of their sides: small or fast objects do not overlap from frame to frame. It is
 * as wide as the place is uncertain, see `MotionFilter.spread`.
 */
const LEAST_MARGIN = 0.1;
const MOST_MARGIN = 0.8;
const MARGIN_OF_A_SPREAD = 0.05;
/** What the overlap with the place where an object was seen last counts, beside that with the place where it was going. */
const TURN_SHARE = 0.75;
/** How much of the overlap a difference in height costs, by its natural logarithm, and how much a score of 0. */
const HEIGHT_COST = 0.2;
const SCORE_COST = 0.6;

/** Boxes of one class that overlap more, as IoU or as a share of the smaller one, may be two of one object. */
const DOUBLE_IOU = 0.45;
const DOUBLE_SHARE = 0.55;
/** After this time it is an object of its own that the other one hides in part, such as a car in a row of parked ones. */
const DOUBLE_US = 1_000_000;
/** Detections in a row after which it keeps what it is seen as, though the first object is missed in a frame. */
const DOUBLE_HITS = 3;
/** For this time an object that is not found still hides what is seen in its place. */
const HIDING_US = 700_000;

/** A detection of the newest frame and the track that it was matched with. */
interface Sighting {
  readonly detection: Detection;
  track: ObjectTrack | null;
}

/** How well a detection fits a track: 1 at best, and it is not matched below a limit. */
type Fit = (track: ObjectTrack, detection: Detection) => number;

/**
 * Assigns identities to the detections of one stream over time. Tracks are matched with high-score detections first, and those in sight that
 * are left with low-score detections, since a partly hidden object still gives a weak box (Zhang et al., "ByteTrack: Multi-Object Tracking by
 * Associating Every Detection Box", 2022). Boxes are compared with a margin (Yang et al., "Hard to Track Objects with Irregular Motions and
 * Similar Appearances?", 2023), which grows with the uncertainty of the motion filter, so that it fits any rate and any gap.
 *
 * A second box of an object that is tracked already starts no track. Time is media time, not frames; tracks only match detections of
 * their own class; a lost track whose predicted place is occupied by another object is not merged with it, since people do walk behind each
 * other. What each of these gives: ADR 125.
 *
 * One instance per stream.
 */
export class ObjectTracker {
  #options: ResolvedTrackOptions;
  readonly #timeline: MediaTimeline;
  readonly #solver = new AssignmentSolver();
  #costs = new Float64Array(0);
  #tracks: ObjectTrack[] = [];
  /** Reported detections of the newest inferred frame that belong to no track. */
  #strays: readonly Detection[] = [];
  #shift = NO_SHIFT;
  #lastId = 0;
  #leastIou = 1;
  #quality: PredictionQuality = { tracks: 0, lost: 0, fresh: 0, leastIou: 1 };
  /** Time of the newest inferred frame; null before the first. */
  #inferredUs: number | null = null;

  /** @throws RangeError if an option is out of range. */
  constructor(options: TrackOptions = {}) {
    this.#options = resolveTrackOptions(options);
    this.#timeline = new MediaTimeline(this.#options.lostMs);
  }

  /** Applies from the next frame on. A change keeps all tracks and the numbering of their ids. */
  set options(options: ResolvedTrackOptions) {
    this.#options = options;
    this.#timeline.breakMs = options.lostMs;
  }

  /**
   * Processes the next frame.
   *
   * @param detections - boxes in source pixels, down to `lowScore`, in any order. Neither kept nor changed.
   * @param ptsUs - media time. Frames may be missing; a step back of more than `lostMs` (a looped source) ends all
   *   tracks.
   * @param shift - how far the camera has moved, which moves all that it has seen.
   * @returns the detections with a score of at least `reportScore`, in the order given. Those of a confirmed track
   *   carry `trackId`: whole numbers from 1, never reused by one tracker.
   */
  update(detections: readonly Detection[], ptsUs: number, shift: SceneShift = NO_SHIFT): Detection[] {
    this.#advanceTime(ptsUs);
    this.#follow(shift);
    const sightings = detections.map((detection): Sighting => ({ detection, track: null }));
    const { highScore, lowScore, matchIou, lowMatchIou, newMatchIou } = this.#options;
    const strong = sightings.filter(({ detection }) => detection.score >= highScore && hasArea(detection));
    const weak = sightings.filter(
      ({ detection }) => detection.score >= lowScore && detection.score < highScore && hasArea(detection),
    );

    const known = this.#tracks.filter((track) => track.state !== 'tentative');
    const tracks = known.filter((track) => track.state === 'tracked').length;
    this.#leastIou = 1;
    // A second box that is there again and again may be an object: it does not take the identity of the first one.
    const doubles = this.#tracks.filter(
      (track) => track.mayBeDouble && track.state === 'tentative' && track.hits >= DOUBLE_HITS,
    );
    const unseen = this.#associate([...known, ...doubles], strong, fitWithMargin, matchIou);
    const inSight = unseen.filter((track) => track.state === 'tracked');
    const lost = this.#associate(inSight, weak, iouWith, lowMatchIou);
    for (const track of lost) track.state = 'lost';
    const leastIou = this.#leastIou;
    const tentative = this.#tracks.filter((track) => track.state === 'tentative' && !doubles.includes(track));
    const unconfirmed = new Set(this.#associate(tentative, strong, fitWithMargin, newMatchIou));
    for (const track of unseen) if (track.state === 'tentative') unconfirmed.add(track);
    const nowUs = this.#timeline.nowUs;
    this.#tracks = this.#tracks.filter((track) => !unconfirmed.has(track) || track.outlastsMiss());

    const hiding = this.#tracks.filter((track) => track.state === 'lost' && nowUs - track.lastUs < HIDING_US);
    const fresh = this.#startTracks(strong, hiding);
    this.#quality = { tracks, lost: lost.length, fresh, leastIou };
    this.#confirmTracks();
    this.#inferredUs = this.#timeline.nowUs;
    return this.#report(sightings);
  }

  /** How well it had predicted the newest frame given to `update`. */
  get quality(): PredictionQuality {
    return this.#quality;
  }

  /**
   * Predicts the boxes of a frame that was not inferred: each object in sight moves on at its velocity, and a detection without
   * a track stays where it was. No track ages or is lost by it.
   *
   * @param picture - size in source pixels, to which boxes are clipped; an object that has left the picture is not returned.
   */
  predict(
    ptsUs: number,
    picture: { readonly width: number; readonly height: number },
    shift: SceneShift = NO_SHIFT,
  ): Detection[] {
    this.#advanceTime(ptsUs);
    this.#follow(shift);
    const predicted: Detection[] = [...this.#strays];
    for (const track of this.#tracks) {
      if (
        track.state === 'lost' ||
        (track.state === 'tentative' && track.lastUs < this.#inferredUs!) ||
        track.seen.score < this.#options.reportScore
      )
        continue;
      const box = clipped(track.movedBox, picture);
      if (box === null) continue;
      const { classId, label, score } = track.seen;
      predicted.push(track.id > 0 ? { classId, label, score, box, trackId: track.id } : { classId, label, score, box });
    }
    return predicted;
  }

  #advanceTime(ptsUs: number): void {
    const { elapsedUs, isBroken } = this.#timeline.advance(ptsUs);
    if (isBroken) {
      this.#inferredUs = null;
      this.#tracks = [];
      this.#strays = [];
    }
    const oldestUs = this.#timeline.nowUs - this.#options.lostMs * 1000;
    this.#tracks = this.#tracks.filter((track) => track.lastUs >= oldestUs);
    for (const track of this.#tracks) track.predict(elapsedUs);
  }

  #follow(shift: SceneShift): void {
    const [x, y] = [shift.x - this.#shift.x, shift.y - this.#shift.y];
    this.#shift = shift;
    if (x === 0 && y === 0) return;
    for (const track of this.#tracks) track.shift(x, y);
    this.#strays = this.#strays.map((stray) => shifted(stray, x, y));
  }

  /** Matches tracks with free sightings of their class for the largest sum of fits, all above `least`. Returns the unmatched tracks. */
  #associate(tracks: readonly ObjectTrack[], sightings: readonly Sighting[], fitOf: Fit, least: number): ObjectTrack[] {
    const free = sightings.filter((sighting) => sighting.track === null);
    if (tracks.length === 0 || free.length === 0) return [...tracks];
    const size = tracks.length * free.length;
    if (this.#costs.length < size) this.#costs = new Float64Array(size * 2);
    const costs = this.#costs;
    // A forbidden pair costs as much as leaving both unmatched, so the solver never prefers it to an allowed pair.
    const forbidden = 1 - least;
    let k = 0;
    for (const track of tracks) {
      for (const { detection } of free) {
        costs[k++] = track.classId === detection.classId ? Math.min(forbidden, 1 - fitOf(track, detection)) : forbidden;
      }
    }
    const columns = this.#solver.solve(costs, tracks.length, free.length);
    return tracks.filter((track, row) => {
      const column = columns[row]!;
      if (column === -1 || costs[row * free.length + column]! >= forbidden) return true;
      const sighting = free[column]!;
      sighting.track = track;
      this.#leastIou = Math.min(this.#leastIou, iouWith(track, sighting.detection));
      track.observe(sighting.detection, this.#timeline.nowUs);
      return false;
    });
  }

  /** @returns how many it started that are hardly false. */
  #startTracks(strong: readonly Sighting[], hiding: readonly ObjectTrack[]): number {
    const isDouble = (sighting: Sighting): boolean =>
      strong.some((other) => other !== sighting && hides(other.detection, other.track, sighting)) ||
      hiding.some((track) => hides({ classId: track.classId, box: track.movedBox }, track, sighting));
    for (const sighting of strong) {
      if (sighting.track?.state === 'tentative' && !isDouble(sighting)) sighting.track.standsAlone();
    }
    // Of two boxes of a new object, the better one starts its track.
    const unmatched = strong.filter(
      ({ track, detection }) => track === null && detection.score >= this.#options.newScore,
    );
    let started = 0;
    for (const sighting of unmatched.sort((a, b) => b.detection.score - a.detection.score)) {
      const mayBeDouble = isDouble(sighting);
      sighting.track = new ObjectTrack(sighting.detection, this.#timeline.nowUs, mayBeDouble);
      this.#tracks.push(sighting.track);
      if (sighting.detection.score >= SURE_SCORE && !mayBeDouble) started += 1;
    }
    return started;
  }

  #confirmTracks(): void {
    const { minHits, isEarly } = this.#options;
    const nowUs = this.#timeline.nowUs;
    const isClose = this.#inferredUs !== null && nowUs - this.#inferredUs < CLOSE_FRAMES_US;
    const certainHits = Math.min(minHits, isClose ? 2 : 1);
    for (const track of this.#tracks) {
      if (track.state !== 'tentative') continue;
      const needed = isEarly && track.meanScore >= CERTAIN_SCORE && !track.mayBeDouble ? certainHits : minHits;
      if (track.lastUs < nowUs || track.hits < needed || (track.mayBeDouble && nowUs - track.firstUs < DOUBLE_US))
        continue;
      this.#lastId += 1;
      track.confirm(this.#lastId);
    }
  }

  #report(sightings: readonly Sighting[]): Detection[] {
    const reported: Detection[] = [];
    const strays: Detection[] = [];
    for (const { detection, track } of sightings) {
      if (detection.score < this.#options.reportScore) continue;
      reported.push(track !== null && track.id > 0 ? { ...detection, trackId: track.id } : detection);
      if (track === null) strays.push(detection);
    }
    this.#strays = strays;
    return reported;
  }
}

function hasArea({ box }: Detection): boolean {
  return box[2] > 0 && box[3] > 0 && box.every(Number.isFinite);
}

/** Returns the part of a box inside the picture; null if less than a quarter of it is. */
function clipped(
  [x, y, width, height]: Iterable<number> & ArrayLike<number>,
  picture: { readonly width: number; readonly height: number },
): Box | null {
  const left = Math.max(0, x!);
  const top = Math.max(0, y!);
  const right = Math.min(picture.width, x! + width!);
  const bottom = Math.min(picture.height, y! + height!);
  const isInside = right > left && bottom > top && (right - left) * (bottom - top) >= (width! * height!) / 4;
  return isInside ? [left, top, right - left, bottom - top] : null;
}

function iouWith(track: ObjectTrack, { box }: Detection): number {
  const p = track.predicted;
  return iouXywh(p[0]!, p[1]!, p[2]!, p[3]!, box[0], box[1], box[2], box[3]);
}

function fitWithMargin(track: ObjectTrack, { box, score }: Detection): number {
  const margin = Math.min(MOST_MARGIN, Math.max(LEAST_MARGIN, track.spread + MARGIN_OF_A_SPREAD));
  const [x, y, width, height] = track.predicted as unknown as Box;
  let overlap = iouWithin(x, y, width, height, box, margin);
  if (track.state !== 'lost') {
    // What turns or stops is nearer to where it was than to where it was going.
    const [lastX, lastY, lastWidth, lastHeight] = track.seen.box;
    overlap = Math.max(overlap, TURN_SHARE * iouWithin(lastX, lastY, lastWidth, lastHeight, box, LEAST_MARGIN));
  }
  if (overlap === 0) return 0;
  const likeness = overlap - HEIGHT_COST * Math.abs(Math.log(box[3] / height));
  return likeness * (1 - SCORE_COST * (1 - score));
}
/** IoU of two boxes with a margin on each side, as a share of their sides. */
function iouWithin(x: number, y: number, width: number, height: number, box: Box, margin: number): number {
  const grown = 1 + 2 * margin;
  return iouXywh(
    x - margin * width,
    y - margin * height,
    width * grown,
    height * grown,
    box[0] - margin * box[2],
    box[1] - margin * box[3],
    box[2] * grown,
    box[3] * grown,
  );
}

/** Whether a sighting may be a second box of the object of another track, which has an identity or was there first. */
function hides(
  other: Pick<Detection, 'classId' | 'box'>,
  track: ObjectTrack | null,
  { detection, track: own }: Sighting,
): boolean {
  if (track === null || other.classId !== detection.classId || (own !== null && track.id === 0)) return false;
  const [ax, ay, aw, ah] = other.box;
  const [bx, by, bw, bh] = detection.box;
  const shared = sharedArea(ax, ay, aw, ah, bx, by, bw, bh);
  const union = aw * ah + bw * bh - shared;
  return shared > DOUBLE_IOU * union || shared > DOUBLE_SHARE * Math.min(aw * ah, bw * bh);
}
