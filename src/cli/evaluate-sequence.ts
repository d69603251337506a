import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileFailure } from '../after/sinks/sink-failure.ts';
import type { Detection } from '../base/core/detection.ts';
import { NO_SHIFT, type SceneShift } from '../base/core/frame.ts';
import { writeWholeFile } from '../base/disk/replace-file.ts';
import { PICTURE_EXTENSIONS } from '../frame/source/expand-inputs.ts';
import { ObjectTracker } from '../frame/track/object-tracker.ts';
import type { TrackOptions } from '../frame/track/track-options.ts';
import { type CollectOptions, collectOnImages, collectOnVideo } from '../lab/optimize/gate/collect-results.ts';
import { motBoxesOf, readTruthIn, TRACKED_LABEL, videoIn } from '../lab/optimize/gate/track-sequence.ts';
import {
  byFrame,
  compareMot,
  type MotBox,
  motLine,
  readMotBoxes,
  readSequenceInfo,
  type SequenceInfo,
} from '../network/evaluate/mot-files.ts';
import { trackingCounts } from '../network/evaluate/tracking-score.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import { type CliIo, note, wrongCommand } from './cli-io.ts';
import { type ModelFlags, modelConfigOf } from './model-flags.ts';
import { type TracksReport, tracksReport } from './score-tracks.ts';
import { type SequencePictures, sceneShifts } from './sequence-motion.ts';

export interface SequenceFlags extends ModelFlags {
  readonly model: string;
  /** File of detections; then no model runs. */
  readonly detections?: string;
  /** Every n-th frame is used, by tracker and figures. */
  readonly every: number;
  /** Where tracks are written. */
  readonly out?: string;
}

export interface SequenceReport extends TracksReport {
  readonly sequence: string;
  /** The model, or the file of detections. */
  readonly by: string;
  readonly every: number;
  /** Frames per second of those that are used. */
  readonly fps: number;
}

/** Folder of the pictures of a sequence. */
const PICTURES = 'img1';
const PICTURES_END = new RegExp(`\\.(${PICTURE_EXTENSIONS.join('|')})$`, 'i');

/**
 * Tracks the objects of a sequence, found by a model or given as detections, and compares them with its ground truth.
 *
 * @throws DATASET_INVALID; COMMAND_INVALID without anything to read; as `collectOnVideo`
 */
export async function evaluateSequence(folder: string, flags: SequenceFlags, io: CliIo): Promise<SequenceReport> {
  const truth = await readTruthIn(folder);
  const written = await readSequenceInfo(join(folder, 'seqinfo.ini'));
  const info = { ...written, frames: Math.max(written.frames, truth.frames) };
  const { every, detections, out } = flags;
  const found =
    detections === undefined
      ? await inferred(folder, info, flags, io)
      : trackDetections(await readMotBoxes(detections, false), info, {
          every,
          shifts: await sceneShifts(picturesIn(folder), every, io),
        });
  if (out !== undefined)
    await writeWholeFile(out, found.map(motLine).join('')).catch((error: Error) => {
      throw fileFailure('--out', out, error);
    });
  return {
    sequence: info.name,
    by: detections ?? flags.model,
    every,
    fps: info.fps / every,
    ...tracksReport(trackingCounts(compareMot(truth, found, every))),
  };
}

interface SequenceOptions {
  /** Every n-th frame is used. */
  readonly every: number;
  /** How far the camera had moved, by the number of the frame from 0; absent: it stands. */
  readonly shifts?: ReadonlyMap<number, SceneShift>;
  readonly options?: TrackOptions;
}

/** Gives detections of a file their identities, as a stream with `track: true` does. */
export function trackDetections(
  detections: readonly MotBox[],
  { fps, frames }: SequenceInfo,
  { every, shifts, options }: SequenceOptions,
): MotBox[] {
  const tracker = new ObjectTracker(options);
  const given = byFrame(detections);
  const found: MotBox[] = [];
  let shift = NO_SHIFT;
  for (let frame = 1; frame <= frames; frame += every) {
    const boxes = (given.get(frame) ?? []).map(
      ({ box, score }): Detection => ({ classId: 0, label: TRACKED_LABEL, score, box }),
    );
    shift = shifts?.get(frame - 1) ?? shift;
    found.push(...motBoxesOf(frame, tracker.update(boxes, Math.round(((frame - 1) * 1e6) / fps), shift)));
  }
  return found;
}

/** Runs a model on the video of a sequence as a stream reads it, or on its pictures. */
async function inferred(folder: string, info: SequenceInfo, flags: SequenceFlags, io: CliIo): Promise<MotBox[]> {
  const options: CollectOptions = {
    model: modelConfigOf(flags),
    batch: check(batchConfig, {}, 'batch'),
    environment: io.environment,
    stop: io.stop,
    onNotice: (text) => note(io, text),
    onOpened: ({ classes }) => {
      if (!classes.includes(TRACKED_LABEL))
        throw wrongCommand(
          `--model ${flags.model}: expected a model that finds a ${TRACKED_LABEL}, received classes ${classes.slice(0, 5).join(', ')}`,
        );
    },
  };
  const { every } = flags;
  const pictures = picturesIn(folder);
  if (pictures === null)
    throw wrongCommand(
      `${folder}: expected video.mp4 or video.mkv, pictures in ${PICTURES}, or --detections with a file of detections`,
    );
  if ('video' in pictures) {
    const { video: source } = pictures;
    const stream = { id: 'sequence', source, policy: 'file', every, track: true, labels: [TRACKED_LABEL] };
    const { frames, scoreThreshold } = await collectOnVideo(options, parseStream(stream, {}));
    return frames.flatMap(({ frame, detections }) =>
      motBoxesOf(
        frame + 1,
        detections.filter(({ score }) => score >= scoreThreshold),
      ),
    );
  }
  const paths = pictures.paths.filter((_, i) => i % every === 0);
  const { frames, scoreThreshold } = await collectOnImages(options, { paths, resizeBy: 'ffmpeg', label: PICTURES });
  const detections = frames.flatMap(({ frame, detections: all }) =>
    all.flatMap(({ label, box, score }) =>
      label === TRACKED_LABEL ? [{ frame: 1 + frame * every, id: -1, box, score }] : [],
    ),
  );
  const shifts = await sceneShifts(pictures, every, io);
  return trackDetections(detections, info, { every, shifts, options: { reportScore: scoreThreshold } });
}

function picturesIn(folder: string): SequencePictures {
  const video = videoIn(folder);
  if (video !== null) return { video };
  const pictures = join(folder, PICTURES);
  const names = existsSync(pictures) ? readdirSync(pictures).sort() : [];
  const paths = names.filter((name) => PICTURES_END.test(name)).map((name) => join(pictures, name));
  return paths.length === 0 ? null : { paths };
}
