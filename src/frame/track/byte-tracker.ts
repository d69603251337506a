import type { Box, Detection } from '../../base/core/detection.ts';
import { iouXywh } from '../../base/geometry/iou.ts';
import { AssignmentSolver } from './assignment.ts';
import { MediaTimeline } from './media-timeline.ts';
import { ObjectTrack } from './object-track.ts';
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

/** A detection of the newest frame and the track that it was matched with. */
interface Sighting {
  readonly detection: Detection;
  track: ObjectTrack | null;
}

/**
 * Assigns identities to the detections of one stream over time: ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking
 * by Associating Every Detection Box", 2022). Tracks are matched with high-score detections first, the remaining tracks
 * with low-score detections, since a partly occluded object still gives a weak box.
 *
 * Differences from the paper: time is media time, not frames; tracks only match detections of their own class; an object in
 * the very first frame must be confirmed like any other; a lost track whose predicted position is occupied by another
 * object is not merged with it, since people do walk behind each other.
 *
 * One instance per stream. Takes some tens of microseconds for 20 objects.
 */
export class ByteTracker {
  #options: ResolvedTrackOptions;
  readonly #timeline: MediaTimeline;
  readonly #solver = new AssignmentSolver();
  #costs = new Float64Array(0);
  #tracks: ObjectTrack[] = [];
  /** Reported detections of the newest inferred frame that belong to no track. */
  #strays: readonly Detection[] = [];
  #lastId = 0;
  #leastIou = 1;
  #quality: PredictionQuality = { tracks: 0, lost: 0, fresh: 0, leastIou: 1 };

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
   * @returns the detections with a score of at least `reportScore`, in the order given. Those of a confirmed track
   *   carry `trackId`: whole numbers from 1, never reused by one tracker.
   */
  update(detections: readonly Detection[], ptsUs: number): Detection[] {
    this.#advanceTime(ptsUs);
    const sightings = detections.map((detection): Sighting => ({ detection, track: null }));
    const { highScore, lowScore, matchIou, lowMatchIou, newMatchIou } = this.#options;
    const strong = sightings.filter(({ detection }) => detection.score >= highScore && hasArea(detection));
    const weak = sightings.filter(
      ({ detection }) => detection.score >= lowScore && detection.score < highScore && hasArea(detection),
    );

    const known = this.#tracks.filter((track) => track.state !== 'tentative');
    const tracks = known.filter((track) => track.state === 'tracked').length;
    this.#leastIou = 1;
    const unseen = this.#associate(known, strong, matchIou);
    const inSight = unseen.filter((track) => track.state === 'tracked');
    const lost = this.#associate(inSight, weak, lowMatchIou);
    for (const track of lost) track.state = 'lost';
    const leastIou = this.#leastIou;
    const tentative = this.#tracks.filter((track) => track.state === 'tentative');
    const unconfirmed = new Set(this.#associate(tentative, strong, newMatchIou));
    this.#tracks = this.#tracks.filter((track) => !unconfirmed.has(track));

    const fresh = this.#startTracks(strong);
    this.#quality = { tracks, lost: lost.length, fresh, leastIou };
    this.#confirmTracks();
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
  predict(ptsUs: number, picture: { readonly width: number; readonly height: number }): Detection[] {
    this.#advanceTime(ptsUs);
    const predicted: Detection[] = [...this.#strays];
    for (const track of this.#tracks) {
      if (track.state === 'lost' || track.seen.score < this.#options.reportScore) continue;
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
      this.#tracks = [];
      this.#strays = [];
    }
    const oldestUs = this.#timeline.nowUs - this.#options.lostMs * 1000;
    this.#tracks = this.#tracks.filter((track) => track.lastUs >= oldestUs);
    for (const track of this.#tracks) track.predict(elapsedUs);
  }

  /**
   * Matches tracks with free sightings for the largest sum of IoU, among pairs of the same class with an IoU above
   * `overIou`. Returns the unmatched tracks.
   */
  #associate(tracks: readonly ObjectTrack[], sightings: readonly Sighting[], overIou: number): ObjectTrack[] {
    const free = sightings.filter((sighting) => sighting.track === null);
    if (tracks.length === 0 || free.length === 0) return [...tracks];
    const size = tracks.length * free.length;
    if (this.#costs.length < size) this.#costs = new Float64Array(size * 2);
    const costs = this.#costs;
    // A forbidden pair costs as much as leaving both unmatched, so the solver never prefers it to an allowed pair.
    const forbidden = 1 - overIou;
    let k = 0;
    for (const track of tracks) {
      for (const { detection } of free) {
        costs[k++] =
          track.classId === detection.classId ? Math.min(forbidden, 1 - iouWith(track, detection)) : forbidden;
      }
    }
    const columns = this.#solver.solve(costs, tracks.length, free.length);
    return tracks.filter((track, row) => {
      const column = columns[row]!;
      if (column === -1 || costs[row * free.length + column]! >= forbidden) return true;
      const sighting = free[column]!;
      sighting.track = track;
      this.#leastIou = Math.min(this.#leastIou, 1 - costs[row * free.length + column]!);
      track.observe(sighting.detection, this.#timeline.nowUs);
      return false;
    });
  }

  /** @returns how many it started that are hardly false. */
  #startTracks(strong: readonly Sighting[]): number {
    let started = 0;
    for (const sighting of strong) {
      if (sighting.track !== null || sighting.detection.score < this.#options.newScore) continue;
      sighting.track = new ObjectTrack(sighting.detection, this.#timeline.nowUs);
      this.#tracks.push(sighting.track);
      if (sighting.detection.score >= SURE_SCORE) started += 1;
    }
    return started;
  }

  #confirmTracks(): void {
    for (const track of this.#tracks) {
      if (track.state !== 'tentative' || track.hits < this.#options.minHits) continue;
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
