import { dirname } from 'node:path';
import { FILE_ACCESS } from './allowed-formats.ts';
import { ffmpegArguments, INSPECTING, passthrough, seconds } from './ffmpeg-arguments.ts';
import type { FfmpegBinary } from './ffmpeg-binary.ts';
import { runFfmpeg } from './run-ffmpeg.ts';
import { accessOfUrl } from './sandbox-access.ts';

/** Frames of a video are further apart. */
const SAME_FRAME_US = 2_000;

/**
 * Writes the frames of a video at given times as JPEG files of their own size, numbered from 1 in the order of their times.
 *
 * @param timesUs - media times of frames, in rising order, each once. @param pattern - path of the files, with `%04d` for their number.
 * @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING
 */
export async function selectFrames(
  ffmpeg: FfmpegBinary,
  video: string,
  timesUs: readonly number[],
  pattern: string,
  signal: AbortSignal,
): Promise<void> {
  const url = `file:${video}`;
  const wanted = timesUs.map((us) => `between(t\\,${seconds(us - SAME_FRAME_US)}\\,${seconds(us + SAME_FRAME_US)})`);
  const args = ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: FILE_ACCESS,
    filters: [`select=${wanted.join('+')}`],
    outputOptions: ['-map 0:v:0', ...passthrough(ffmpeg.major), '-q:v 3', `-frames:v ${timesUs.length}`],
    format: 'image2',
    output: `file:${pattern}`,
  });
  const listener = { onText: () => undefined, onLogLine: () => undefined };
  await runFfmpeg(ffmpeg, url, args, signal, listener, { ...accessOfUrl(url), writes: dirname(pattern) });
}
