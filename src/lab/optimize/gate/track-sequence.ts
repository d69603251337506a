import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Detection } from '../../../base/core/detection.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { type MotBox, type MotTruth, readMotTruth, trueTracks } from '../../../network/evaluate/mot-files.ts';

/** Names that the video of a sequence may have. */
const VIDEOS = ['video.mp4', 'video.mkv'] as const;
const TRUTH = ['gt', 'gt.txt'] as const;

/** The class of objects in the ground truth of MOTChallenge. */
export const TRACKED_LABEL = 'person';

/** With fewer objects a candidate cannot pass: of ten the interval means something, as of ten blocks of video. */
export const FEWEST_TRACKS = 10;

/** A video whose objects were followed by people. */
export interface TrackSequence {
  readonly folder: string;
  readonly video: string;
  readonly truth: MotTruth;
}

/** Whether a path is a folder as MOTChallenge has it, with `gt/gt.txt`. */
export function isSequence(folder: string): boolean {
  return existsSync(join(folder, ...TRUTH));
}

/** @throws DATASET_INVALID */
export function readTruthIn(folder: string): Promise<MotTruth> {
  return readMotTruth(join(folder, ...TRUTH));
}

/** Path of the video of a sequence; null if it has none. */
export function videoIn(folder: string): string | null {
  return VIDEOS.map((name) => join(folder, name)).find(existsSync) ?? null;
}

/** @throws DATASET_INVALID without true tracks or without a video. */
async function readTrackSequence(folder: string): Promise<TrackSequence> {
  const refused = (what: string): SightlineError => new SightlineError('DATASET_INVALID', `${folder}: ${what}`);
  if (!isSequence(folder)) throw refused(`expected a folder with ${join(...TRUTH)}, as MOTChallenge has it`);
  const video = videoIn(folder);
  if (video === null)
    throw refused(
      `expected ${VIDEOS.join(' or ')} beside gt; make it of pictures: ffmpeg -framerate 25 -i img1/%06d.jpg -crf 12 video.mp4`,
    );
  return { folder, video, truth: await readTruthIn(folder) };
}

/**
 * @param folders - separated by commas.
 * @param flag - that names them, for errors.
 * @throws DATASET_INVALID, also for fewer true tracks than could judge anything.
 */
export async function readTrackSequences(folders: string, flag: string): Promise<TrackSequence[]> {
  const sequences = await Promise.all(folders.split(',').map((folder) => readTrackSequence(folder.trim())));
  const tracks = sequences.reduce((sum, { truth }) => sum + trueTracks(truth), 0);
  if (tracks >= FEWEST_TRACKS) return sequences;
  throw new SightlineError(
    'DATASET_INVALID',
    `${flag} ${folders}: expected at least ${FEWEST_TRACKS} true tracks, to judge identities by, received ${tracks}`,
  );
}

/** What has an identity in a frame, as a line of MOTChallenge each. @param frame - from 1 */
export function motBoxesOf(frame: number, detections: readonly Detection[]): MotBox[] {
  return detections.flatMap(({ trackId, box, score }) =>
    trackId === undefined ? [] : [{ frame, id: trackId, box, score }],
  );
}
