import type { Detection } from '../core/detection.ts';
import { iouXywh } from '../geometry/iou.ts';
import { AssignmentSolver } from './assignment.ts';
import { MediaTimeline } from './media-timeline.ts';
import { ObjectTrack } from './object-track.ts';
import { type ResolvedTrackOptions, resolveTrackOptions, type TrackOptions } from './track-options.ts';

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
  readonly #options: ResolvedTrackOptions;
  readonly #timeline: MediaTimeline;
  readonly #solver = new AssignmentSolver();
  #costs = new Float64Array(0);
  #tracks: ObjectTrack[] = [];
  #lastId = 0;

  /** @throws RangeError if an option is out of range. */
  constructor(options: TrackOptions = {}) {
    this.#options = resolveTrackOptions(options);
    this.#timeline = new MediaTimeline(this.#options.lostMs);
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
    const unseen = this.#associate(known, strong, matchIou);
    const inSight = unseen.filter((track) => track.state === 'tracked');
    for (const track of this.#associate(inSight, weak, lowMatchIou)) track.state = 'lost';
    const tentative = this.#tracks.filter((track) => track.state === 'tentative');
    const unconfirmed = new Set(this.#associate(tentative, strong, newMatchIou));
    this.#tracks = this.#tracks.filter((track) => !unconfirmed.has(track));

    this.#startTracks(strong);
    this.#confirmTracks();
    return this.#report(sightings);
  }

  #advanceTime(ptsUs: number): void {
    const { elapsedUs, isBroken } = this.#timeline.advance(ptsUs);
    if (isBroken) this.#tracks = [];
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
      track.observe(sighting.detection.box, this.#timeline.nowUs);
      return false;
    });
  }

  #startTracks(strong: readonly Sighting[]): void {
    for (const sighting of strong) {
      if (sighting.track !== null || sighting.detection.score < this.#options.newScore) continue;
      sighting.track = new ObjectTrack(sighting.detection, this.#timeline.nowUs);
      this.#tracks.push(sighting.track);
    }
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
    for (const { detection, track } of sightings) {
      if (detection.score < this.#options.reportScore) continue;
      const { classId, label, score, box } = detection;
      const bare = { classId, label, score, box };
      reported.push(track !== null && track.id > 0 ? { ...bare, trackId: track.id } : bare);
    }
    return reported;
  }
}

function hasArea({ box }: Detection): boolean {
  return box[2] > 0 && box[3] > 0 && box.every(Number.isFinite);
}

function iouWith(track: ObjectTrack, { box }: Detection): number {
  const p = track.predicted;
  return iouXywh(p[0]!, p[1]!, p[2]!, p[3]!, box[0], box[1], box[2], box[3]);
}
