import type { SourceInput } from '../../base/core/source.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { decodeArguments } from './decode-command.ts';
import { FfmpegLog, type FrameHeader } from './ffmpeg-log.ts';
import { headersPlan } from './headers-plan.ts';
import { runFfmpeg } from './run-ffmpeg.ts';
import { accessOf } from './sandbox-access.ts';

/**
 * Decodes a source, or a window of it, and reports only the time and size of each frame.
 *
 * @returns the number of decode errors that ffmpeg reported.
 * @throws SOURCE_*, DECODE_OUT_OF_STEP, DECODE_EXITED with the cause, FFMPEG_MISSING; the signal's reason if it aborts.
 */
export async function listFrames(
  ffmpeg: Ffmpeg,
  source: SourceInput,
  signal: AbortSignal,
  onFrame: (frame: FrameHeader) => void,
): Promise<number> {
  const plan = headersPlan(ffmpeg.major);
  const log = new FfmpegLog(source.url, plan.headerTag);
  const args = decodeArguments(source, plan);
  let decodeErrors = 0;
  let problem: string | null = null;
  const listener = {
    onText: () => undefined,
    onLogLine: (line: string) => {
      const event = log.read(line);
      if (event?.kind === 'frame') onFrame(event.frame);
      else if (event?.kind === 'decode-error') decodeErrors += 1;
      else if (event?.kind === 'out-of-step') problem ??= event.text;
    },
  };
  await runFfmpeg(ffmpeg, source.url, args, signal, listener, accessOf(source));
  if (problem !== null) throw new SightlineError('DECODE_OUT_OF_STEP', `${source.label}: ${problem}`);
  return decodeErrors;
}
