import type { Ffmpeg } from '../../base/process/confinement.ts';
import { LogTail } from '../../base/process/log-tail.ts';
import { startReader } from '../../base/process/start-reader.ts';
import { type DecodePlan, stillArguments } from './decode-command.ts';

const LOG_CHARS = 4_000;
/** A picture of 64 megapixels takes about a second. */
const MAX_CPU_SECONDS = 60;

/**
 * Reads an image file with ffmpeg and fits it into a canvas like a video frame.
 *
 * @param picture - u8 `[height, width, 3]` RGB of the canvas, or of one canvas per view below each other; overwritten.
 * @throws Error with ffmpeg's message if the file is not an image.
 */
export async function decodeStill(
  ffmpeg: Ffmpeg,
  path: string,
  canvas: DecodePlan['canvas'],
  picture: Uint8Array,
): Promise<void> {
  const { group } = await startReader(ffmpeg, stillArguments(path, canvas), {
    reads: [path],
    cpuSeconds: MAX_CPU_SECONDS,
  });
  const { child } = group;
  const log = new LogTail(child.stderr!, LOG_CHARS);
  let bytes = 0;
  child.stdout!.on('data', (chunk: Uint8Array) => {
    if (bytes + chunk.length <= picture.length) picture.set(chunk, bytes);
    bytes += chunk.length;
    if (bytes > picture.length) group.kill();
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (bytes > picture.length) throw new Error(`ffmpeg gave more than the expected ${picture.length} bytes`);
  if (code !== 0) throw new Error(log.text.trim().split('\n')[0] || `ffmpeg ended with exit code ${code}`);
  if (bytes < picture.length) throw new Error(`ffmpeg gave ${bytes} bytes, expected ${picture.length}`);
}
