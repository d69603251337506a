import { randomUUID } from 'node:crypto';
import { extname } from 'node:path';
import { workerEntry } from '../../base/core/worker-entry.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { PICTURE_FIT } from '../../base/geometry/placement.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { encodeArguments, indexArguments, type VideoContainer } from '../../frame/decode/encode-command.ts';
import { findVideoEncoder } from '../../frame/decode/video-encoders.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { OverlayCounts, VideoFilePlan } from '../../wire/protocol/annotate.ts';
import { partialPathOf, resolveOutput } from './output-names.ts';
import { recoverVideo } from './recover-video.ts';
import type { SinkFailureListener } from './sink.ts';
import { VideoSink } from './video-sink.ts';

/** Containers by file extension. */
const CONTAINERS: Readonly<Record<string, VideoContainer>> = {
  '.mp4': 'mp4',
  '.m4v': 'mp4',
  '.mov': 'mov',
  '.mkv': 'matroska',
};

export interface VideoSinkRequest {
  readonly id: string;
  /** File to write; its extension selects the container. */
  readonly path: string;
  readonly ffmpeg: Ffmpeg;
  /** `StreamInput.picture` of the stream, and its policy. */
  readonly picture: { readonly width: number; readonly height: number };
  readonly policy: 'live' | 'file';
  readonly overlay: Pick<StreamConfig, 'zones' | 'lines'>;
  /** Returns the state of zones and lines after the frame that is being published. */
  readonly counts?: () => OverlayCounts;
  /** See `VideoFilePlan`. */
  readonly keepsEarlier?: boolean;
  readonly onFailure: SinkFailureListener;
  readonly onRecovery?: (lostPictures: number) => void;
  readonly onNotice: (text: string) => void;
}

/**
 * Starts the annotated video of one stream. While it runs, the video is written next to its path as `NAME.partial.EXT`,
 * which is playable even after a crash; at the end it gets an index and its final name, so a file of that name is
 * always complete. For MP4 this copies the file once, which temporarily takes twice its size on disk. The partial file
 * of a crashed run is kept as `NAME.recovered-N.EXT`.
 *
 * @throws CONFIG_INVALID for an extension other than .mp4, .m4v, .mov and .mkv; FFMPEG_MISSING if this ffmpeg cannot
 * encode video. A file that cannot be written is reported later, as with every sink.
 */
export async function openVideoSink(request: VideoSinkRequest): Promise<VideoSink> {
  const { id, ffmpeg, picture, policy, overlay, counts, keepsEarlier = false } = request;
  const { onFailure, onRecovery, onNotice } = request;
  const container = videoContainer(request.path);
  // A missing folder is reported when the sink is opened.
  const path = await resolveOutput(request.path).catch(() => request.path);
  const encoder = await findVideoEncoder(ffmpeg);
  if (encoder !== 'libx264')
    onNotice(
      `sink ${id}: ffmpeg at ${ffmpeg.path} has no libx264; ${path} is written with ${encoder}, as a larger file of lower quality`,
    );
  const partialPath = partialPathOf(path);
  await recoverVideo(id, path, onNotice);
  const encodeArgs = encodeArguments({ ffmpegMajor: ffmpeg.major, encoder, container, path: partialPath });
  const file: VideoFilePlan = {
    id,
    path,
    partialPath,
    ffmpeg: { path: ffmpeg.path, major: ffmpeg.major, confinement: ffmpeg.confinement },
    encodeArgs,
    keepsEarlier,
    finish: container === 'matroska' ? null : finishPlan(container, partialPath, path),
  };
  return new VideoSink({
    id,
    thread: workerEntry('annotate.thread'),
    file,
    ...picture,
    fit: PICTURE_FIT,
    overlay: { zones: overlay.zones, lines: overlay.lines },
    policy,
    counts,
    onFailure,
    onRecovery,
    onNotice,
  });
}

/** Returns the container for a path. @throws CONFIG_INVALID */
export function videoContainer(path: string): VideoContainer {
  const container = CONTAINERS[extname(path).toLowerCase()];
  if (container !== undefined) return container;
  throw new SightlineError(
    'CONFIG_INVALID',
    `video file "${path}": expected a name that ends in ${Object.keys(CONTAINERS).join(', ')}`,
    { path },
  );
}

function finishPlan(container: VideoContainer, partialPath: string, path: string): VideoFilePlan['finish'] {
  const outputPath = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  return { args: indexArguments(container, partialPath, outputPath), outputPath };
}
