import { ffmpegArguments, NO_TAGS, ONE_THREAD, passthrough } from './ffmpeg-arguments.ts';

/** How raw pictures are encoded into a video file. */
export interface EncodePlan {
  readonly ffmpegMajor: number;
  readonly encoder: VideoEncoderName;
  readonly container: VideoContainer;
  readonly path: string;
}

export type VideoEncoderName = 'libx264' | 'mpeg4' | 'mjpeg';
export type VideoContainer = 'mp4' | 'mov' | 'matroska';

/**
 * Quality and speed of each encoder. No B-frames, so that a truncated file has no gap at its start. `ticks` per second: the
 * largest time base that the encoder accepts and that the usual rates (24, 25, 30, 50, 60 and their 1000/1001) divide.
 */
export const ENCODER_OPTIONS: Readonly<Record<VideoEncoderName, { options: readonly string[]; ticks: number }>> = {
  libx264: { options: ['-preset veryfast', '-crf 23', '-bf 0', '-pix_fmt yuv420p'], ticks: 120_000 },
  mpeg4: { options: ['-q:v 4', '-bf 0', '-pix_fmt yuv420p'], ticks: 60_000 },
  mjpeg: { options: ['-q:v 4', '-pix_fmt yuvj420p'], ticks: 60_000 },
};

/** A truncated file loses at most this much. */
const KEY_FRAME_SECONDS = 2;

/**
 * Builds the arguments of the ffmpeg that encodes one video. Input: Matroska with rgb24 pictures and their timestamps, on
 * standard input. Output: a file that is playable at any time up to what has been written (fragmented MP4, or Matroska).
 * Each picture keeps its own timestamp; none is repeated or dropped for a constant rate.
 */
export function encodeArguments({ ffmpegMajor, encoder, container, path }: EncodePlan): string[] {
  const { options, ticks } = ENCODER_OPTIONS[encoder];
  const range = encoder === 'mjpeg' ? 'pc' : 'tv';
  const isMov = container !== 'matroska';
  return ffmpegArguments(['-y', '-hide_banner', '-nostats', '-loglevel', 'error'], {
    input: 'pipe:0',
    inputOptions: ['-f matroska', '-fpsprobesize 0', '-analyzeduration 0'],
    filters: [`scale=out_color_matrix=bt709:out_range=${range}`],
    outputOptions: [
      ...['-map 0:v:0', ...passthrough(ffmpegMajor), `-enc_time_base 1/${ticks}`, `-c:v ${encoder}`, ...options],
      ...['-colorspace bt709', '-color_primaries bt709', '-color_trc bt709', `-color_range ${range}`],
      ...[`-force_key_frames expr:gte(t,n_forced*${KEY_FRAME_SECONDS})`, '-flush_packets 1'],
      ...(isMov ? ['-movflags +frag_keyframe+empty_moov+default_base_moof', `-video_track_timescale ${ticks}`] : []),
    ],
    format: container,
    output: `file:${path}`,
  });
}

/** Builds the arguments that copy a fragmented video into one with its index at the front, without re-encoding. */
export function indexArguments(container: VideoContainer, fromPath: string, toPath: string): string[] {
  return ffmpegArguments(['-y', '-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error'], {
    input: `file:${fromPath}`,
    outputOptions: ['-map 0:v:0', '-c copy', '-movflags +faststart', '-use_editlist 0'],
    format: container,
    output: `file:${toPath}`,
  });
}

/** Where a virtual camera's pictures come from. `raw`: grey u8 `[height, width]` pictures on standard input. */
export type CameraPictures =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'test' }
  | { readonly kind: 'raw' };

export interface CameraEncoding {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly pictures: CameraPictures;
  /** Encode this many frames; null for as long as there are pictures. */
  readonly frames: number | null;
}

/**
 * Builds the arguments of the ffmpeg that encodes a virtual camera's pictures: H.264 without B-frames, a key frame each
 * second, in FLV on standard output. Raw pictures are encoded one by one, without delay.
 */
export function cameraArguments({ width, height, fps, pictures, frames }: CameraEncoding): string[] {
  const size = `${width}x${height}`;
  const isRaw = pictures.kind === 'raw';
  const input = cameraInput(pictures, size, fps);
  const scale = isRaw ? [] : [`fps=${fps}`, `scale=${width}:${height}:flags=bilinear`];
  return ffmpegArguments(['-hide_banner', ...(isRaw ? [] : ['-nostdin']), '-nostats', '-loglevel', 'error'], {
    input: input.url,
    inputOptions: input.options,
    filters: [...scale, 'setsar=1', 'format=yuv420p'],
    outputOptions: [
      ...['-map 0:v:0', ...NO_TAGS, '-an', '-sn', '-dn', ...ONE_THREAD, '-c:v libx264', '-bf 0', '-sc_threshold 0'],
      `-g ${Math.max(1, Math.round(fps))}`,
      ...(isRaw ? ['-preset ultrafast', '-tune zerolatency', '-crf 18', '-flush_packets 1'] : ['-preset veryfast']),
      ...(frames === null ? [] : [`-frames:v ${frames}`]),
    ],
    format: 'flv',
    output: 'pipe:1',
  });
}

function cameraInput(
  pictures: CameraPictures,
  size: string,
  fps: number,
): { readonly url: string; readonly options: readonly string[] } {
  switch (pictures.kind) {
    case 'file':
      return { url: `file:${pictures.path}`, options: ['-stream_loop -1'] };
    case 'test':
      return { url: `testsrc2=size=${size}:rate=${fps}`, options: ['-f lavfi'] };
    case 'raw': {
      const format = ['-f rawvideo', '-pix_fmt gray', `-video_size ${size}`, `-framerate ${fps}`];
      return { url: 'pipe:0', options: [...format, ...NO_PROBE] };
    }
  }
}

const NO_PROBE = ['-probesize 32', '-analyzeduration 0', '-fpsprobesize 0'] as const;
