import type { SourceInput } from '../core/source.ts';
import { decodeArguments } from './ffmpeg-command.ts';
import { FfmpegLog, type FrameLine } from './ffmpeg-log.ts';
import { headersPlan } from './headers-plan.ts';
import { runFfmpeg } from './run-ffmpeg.ts';

/**
 * Decodes a source, or a window of it, for its frames' times and sizes alone.
 *
 * @returns damaged pieces that ffmpeg told of.
 * @throws SOURCE_*, DECODE_EXITED with the cause, FFMPEG_MISSING; the signal's reason where it aborts.
 */
export async function listFrames(
  ffmpeg: { readonly path: string; readonly major: number },
  source: SourceInput,
  signal: AbortSignal,
  onFrame: (frame: FrameLine) => void,
): Promise<number> {
  const log = new FfmpegLog(source.url);
  let decodeErrors = 0;
  const args = decodeArguments(source, headersPlan(ffmpeg.major));
  await runFfmpeg(ffmpeg.path, source.url, args, signal, {
    onText: () => undefined,
    onLogLine: (line) => {
      const event = log.read(line);
      if (event?.kind === 'frame') onFrame(event.frame);
      else if (event?.kind === 'decode-error') decodeErrors += 1;
    },
  });
  return decodeErrors;
}
