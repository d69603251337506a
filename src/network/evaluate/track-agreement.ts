import { iouXywh } from '../../base/geometry/iou.ts';
import { NOT_FOUND } from '../../base/geometry/match-boxes.ts';
import { type FrameMatches, NOT_ASKED } from './frame-matches.ts';
import { quantile } from './loss-bootstrap.ts';

/** How well a candidate follows the objects of the reference over time. */
export interface TrackAgreement {
  /** Tracks of the reference that last at least `FEWEST_FRAMES` frames. */
  readonly tracks: number;
  /** Those that the candidate covers with one id for more than half of their life. */
  readonly kept: number;
  /** Frames from an object's first appearance in the reference to that in the candidate. */
  readonly delayFrames: { readonly median: number; readonly p95: number; readonly max: number };
  /** Tracks whose object appears later than `lateMs`, or never. */
  readonly late: number;
  /** Lingering boxes: those that the candidate still shows where the reference's object has gone. */
  readonly staleBoxes: number;
  /** Boxes that the candidate shows. */
  readonly boxes: number;
}

/** Shorter tracks are left out: most are false detections that flicker. */
const FEWEST_FRAMES = 5;
/** A box continues one of the frame before if they overlap by at least this IoU. */
const CONTINUES_IOU = 0.5;

interface TrackLife {
  frames: number;
  readonly firstFrame: number;
  readonly firstUs: number;
  readonly coveredBy: Map<number, number>;
  appearedFrame: number | null;
  appearedUs: number | null;
}

/**
 * Compares tracks, first appearances and lingering boxes, in the frames that both runs published.
 *
 * @param lateMs - media time from which an object's appearance counts as late.
 */
export function compareTracks(frames: readonly FrameMatches[], lateMs: number): TrackAgreement {
  const lives = new Map<number, TrackLife>();
  for (const frame of frames) follow(frame, lives);
  const tracks = [...lives.values()].filter((life) => life.frames >= FEWEST_FRAMES);
  const delays = tracks.flatMap(({ appearedFrame, firstFrame }) =>
    appearedFrame === null ? [] : [appearedFrame - firstFrame],
  );
  const sorted = Float64Array.from(delays).sort();
  const isLate = ({ appearedUs, firstUs }: TrackLife): boolean =>
    appearedUs === null || appearedUs - firstUs > lateMs * 1000;
  return {
    tracks: tracks.length,
    kept: tracks.filter((life) => Math.max(0, ...life.coveredBy.values()) * 2 > life.frames).length,
    delayFrames: {
      median: sorted.length === 0 ? 0 : quantile(sorted, 0.5),
      p95: sorted.length === 0 ? 0 : quantile(sorted, 0.95),
      max: sorted.at(-1) ?? 0,
    },
    late: tracks.filter(isLate).length,
    ...countLingering(frames),
  };
}

function follow({ frame, ptsUs, reference, candidate, found }: FrameMatches, lives: Map<number, TrackLife>): void {
  for (const [i, { trackId }] of reference.entries()) {
    const match = found[i]!;
    if (trackId === undefined || match === NOT_ASKED) continue;
    let life = lives.get(trackId);
    if (life === undefined) {
      life = {
        frames: 0,
        firstFrame: frame,
        firstUs: ptsUs,
        coveredBy: new Map(),
        appearedFrame: null,
        appearedUs: null,
      };
      lives.set(trackId, life);
    }
    life.frames += 1;
    if (match === NOT_FOUND) continue;
    life.appearedFrame ??= frame;
    life.appearedUs ??= ptsUs;
    const id = candidate[match]!.trackId;
    if (id !== undefined) life.coveredBy.set(id, (life.coveredBy.get(id) ?? 0) + 1);
  }
}

/**
 * Counts lingering boxes. A box lingers if the reference has no such object in the frame, and it continues a box of the frame before
 * that was right or lingering itself. A box that was inferred in this very frame is a false detection and does not linger.
 */
function countLingering(frames: readonly FrameMatches[]): { staleBoxes: number; boxes: number } {
  let staleBoxes = 0;
  let boxes = 0;
  let earlier: FrameMatches['candidate'] = [];
  for (const { candidate, confirmed, by } of frames) {
    const shown = candidate.filter((_, i) => confirmed[i] !== NOT_ASKED);
    boxes += shown.length;
    const living = candidate.filter((_, i) => confirmed[i]! >= 0);
    const lingering = candidate.filter(
      ({ box, label }, i) =>
        confirmed[i] === NOT_FOUND &&
        by !== 'inferred' &&
        earlier.some((other) => other.label === label && iouXywh(...other.box, ...box) >= CONTINUES_IOU),
    );
    staleBoxes += lingering.length;
    earlier = [...living, ...lingering];
  }
  return { staleBoxes, boxes };
}
