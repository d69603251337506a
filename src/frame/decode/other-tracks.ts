import type { Ffmpeg } from '../../base/process/confinement.ts';
import { FILE_ACCESS } from './allowed-formats.ts';
import { ffmpegArguments, INSPECTING, NO_TAGS } from './ffmpeg-arguments.ts';
import { runFfmpeg } from './run-ffmpeg.ts';

/** Longest search; then nothing is known. */
const SEARCH_MS = 10_000;
const TIME_BASE = /^#tb (\d+): (\d+)\/(\d+)/;
/** stream, dts, pts, duration. */
const ROW = /^(\d+), *-?\d+, *(-?\d+), *(\d+),/;

/**
 * Returns whether sound, subtitles or data of a file reach a time: then its length says nothing about its video. Reads the whole
 * file without decoding, so it is for files in doubt.
 *
 * @returns false if there are no such tracks, or if they cannot be read.
 */
export async function otherTracksReach(
  ffmpeg: Ffmpeg,
  url: string,
  timeUs: number,
  stop: AbortSignal,
): Promise<boolean> {
  const args = ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: [...FILE_ACCESS],
    outputOptions: ['-map 0:a?', '-map 0:s?', '-map 0:d?', '-vn', '-c copy', '-copy_unknown', ...NO_TAGS],
    format: 'framecrc',
    output: 'pipe:1',
  });
  const found = new AbortController();
  const tickUs = new Map<string, number>();
  let rest = '';
  const read = (line: string): void => {
    const base = TIME_BASE.exec(line);
    if (base !== null) tickUs.set(base[1]!, (Number(base[2]) / Number(base[3])) * 1e6);
    const row = ROW.exec(line);
    if (row !== null && (Number(row[2]) + Number(row[3])) * (tickUs.get(row[1]!) ?? 0) >= timeUs) found.abort();
  };
  const onText = (text: string): void => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) read(line);
  };
  const signal = AbortSignal.any([found.signal, stop, AbortSignal.timeout(SEARCH_MS)]);
  await runFfmpeg(ffmpeg, url, args, signal, { onText, onLogLine: () => undefined }).catch(() => undefined);
  return found.signal.aborted;
}
