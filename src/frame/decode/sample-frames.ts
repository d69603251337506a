import { dirname } from 'node:path';
import { FILE_ACCESS } from './allowed-formats.ts';
import { ffmpegArguments, INSPECTING } from './ffmpeg-arguments.ts';
import type { FfmpegBinary } from './ffmpeg-binary.ts';
import { runFfmpeg } from './run-ffmpeg.ts';
import { accessOfUrl } from './sandbox-access.ts';

/**
 * Writes frames of a video, spread evenly over its length, as PNG files of their own size.
 *
 * @param durationUs - of the video; null where unknown, then frames are taken from its start, one a second.
 * @param pattern - path of the files, with `%04d` for their number.
 * @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING
 */
export async function sampleFrames(
  ffmpeg: FfmpegBinary,
  video: string,
  durationUs: number | null,
  count: number,
  pattern: string,
  signal: AbortSignal,
): Promise<void> {
  const url = `file:${video}`;
  const perSecond = durationUs === null || durationUs <= 0 ? 1 : (count * 1e6) / durationUs;
  const args = ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: FILE_ACCESS,
    filters: [`fps=${perSecond.toFixed(6)}`],
    outputOptions: ['-map 0:v:0', `-frames:v ${count}`],
    format: 'image2',
    output: `file:${pattern}`,
  });
  const listener = { onText: () => undefined, onLogLine: () => undefined };
  const access = { ...accessOfUrl(url), writes: dirname(pattern) };
  await runFfmpeg(ffmpeg, url, args, signal, listener, access);
}
