import { dirname } from 'node:path';
import type { FfmpegBinary } from './ffmpeg-binary.ts';
import { runFfmpeg } from './run-ffmpeg.ts';
import { accessOfUrl } from './source-access.ts';

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
  const args = [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info', '-i', url, '-map', '0:v:0'],
    ...['-vf', `fps=${perSecond.toFixed(6)}`, '-frames:v', `${count}`, '-f', 'image2', '-y', `file:${pattern}`],
  ];
  const listener = { onText: () => undefined, onLogLine: () => undefined };
  const access = { ...accessOfUrl(url), writes: dirname(pattern) };
  await runFfmpeg(ffmpeg, url, args, signal, listener, access);
}
