import { SightlineError } from '../../base/errors/sightline-error.ts';
import { askProgram } from '../../base/process/ask-program.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { VideoEncoderName } from './encode-command.ts';

/** Best first. H.264 plays everywhere. MPEG-4 part 2 files are larger, but every ffmpeg that encodes video has it. */
const PREFERRED: readonly VideoEncoderName[] = ['libx264', 'mpeg4', 'mjpeg'];

/**
 * Finds the best video encoder of an ffmpeg.
 *
 * @throws FFMPEG_MISSING if it has none of the encoders in `PREFERRED`.
 */
export async function findVideoEncoder({ path: ffmpegPath, confinement }: Ffmpeg): Promise<VideoEncoderName> {
  const { stdout } = await askProgram(ffmpegPath, ['-hide_banner', '-encoders'], {
    env: confinement.environment,
    maxBuffer: 4 * 2 ** 20,
  }).catch((error: Error) => {
    throw new SightlineError('FFMPEG_MISSING', `ffmpeg at ${ffmpegPath} does not list its encoders: ${error.message}`);
  });
  // ` V..... libx264   description`
  const names = new Set([...stdout.matchAll(/^ V\S{5} (\S+)/gm)].map(([, name]) => name));
  const found = PREFERRED.find((name) => names.has(name));
  if (found !== undefined) return found;
  throw new SightlineError(
    'FFMPEG_MISSING',
    `ffmpeg at ${ffmpegPath} can write no video: it has none of ${PREFERRED.join(', ')}. Install a full build of ffmpeg`,
    { path: ffmpegPath },
  );
}
