import { randomUUID } from 'node:crypto';
import { extname } from 'node:path';
import type { StreamConfig } from '../config/stream.ts';
import { encodeArguments, indexArguments, type VideoContainer } from '../decode/ffmpeg-command.ts';
import { findVideoEncoder } from '../decode/video-encoders.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { OverlayCounts, VideoFilePlan } from '../protocol/annotate.ts';
import { partialPathOf, resolveOutput } from '../sinks/output-names.ts';
import { recoverVideo } from '../sinks/recover-video.ts';
import type { SinkFailureListener } from '../sinks/sink.ts';
import { VideoSink } from '../sinks/video-sink.ts';
import { PICTURE_FIT } from './lane-frames.ts';
import { threadEntry } from './thread-entry.ts';

/** Containers by the ending of the file's name. */
const CONTAINERS: Readonly<Record<string, VideoContainer>> = {
  '.mp4': 'mp4',
  '.m4v': 'mp4',
  '.mov': 'mov',
  '.mkv': 'matroska',
};

export interface VideoSinkRequest {
  readonly id: string;
  /** File to write; its ending chooses the container. */
  readonly path: string;
  readonly ffmpeg: { readonly path: string; readonly major: number };
  /** `StreamInput.picture` of the stream, and its policy. */
  readonly picture: { readonly width: number; readonly height: number };
  readonly policy: 'live' | 'file';
  readonly overlay: Pick<StreamConfig, 'zones' | 'lines'>;
  /** State of zones and lines after the frame that is being published. */
  readonly counts?: () => OverlayCounts;
  /** See `VideoFilePlan`. */
  readonly keepsEarlier?: boolean;
  readonly onFailure: SinkFailureListener;
  readonly onRecovery?: (lostPictures: number) => void;
  readonly onNotice: (text: string) => void;
}

/**
 * Starts the annotated video of one stream. While it runs, the video grows beside its path as `NAME.partial.EXT`, which
 * can be played as far as it got even after a crash; at the end it gets an index and its own name, so a file of that name
 * is always whole. For MP4 this copies the file once, and needs its size twice on the disk for that moment. What a crashed run
 * left under the partial name is kept as `NAME.recovered-N.EXT`.
 *
 * @throws CONFIG_INVALID for another ending than .mp4, .m4v, .mov and .mkv; FFMPEG_MISSING where this ffmpeg can encode
 * no video. That the file cannot be written is told later, as with every sink.
 */
export async function openVideoSink(request: VideoSinkRequest): Promise<VideoSink> {
  const { id, ffmpeg, picture, policy, overlay, counts, keepsEarlier = false } = request;
  const { onFailure, onRecovery, onNotice } = request;
  const container = videoContainer(request.path);
  // Where there is no such folder, the sink says so when it is opened.
  const path = await resolveOutput(request.path).catch(() => request.path);
  const encoder = await findVideoEncoder(ffmpeg.path);
  if (encoder !== 'libx264')
    onNotice(
      `sink ${id}: ffmpeg at ${ffmpeg.path} has no libx264; ${path} is written with ${encoder}, larger and coarser`,
    );
  const partialPath = partialPathOf(path);
  await recoverVideo(id, path, onNotice);
  const encodeArgs = encodeArguments({ ffmpegMajor: ffmpeg.major, encoder, container, path: partialPath });
  const file: VideoFilePlan = {
    id,
    path,
    partialPath,
    ffmpegPath: ffmpeg.path,
    encodeArgs,
    keepsEarlier,
    finish: container === 'matroska' ? null : finishPlan(container, partialPath, path),
  };
  return new VideoSink({
    id,
    thread: threadEntry('annotate'),
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

/** Tells from a path which container is meant, before anything is started. @throws CONFIG_INVALID */
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
