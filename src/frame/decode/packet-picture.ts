import type { Ffmpeg } from '../../base/process/confinement.ts';
import { LogTail } from '../../base/process/log-tail.ts';
import { lowerPriority } from '../../base/process/lower-priority.ts';
import { startReader } from '../../base/process/start-reader.ts';
import { ffmpegArguments, ONE_THREAD, seconds } from './ffmpeg-arguments.ts';

const LOG_CHARS = 4_000;
const MAX_CPU_SECONDS = 60;
/** A JPEG of 64 megapixels. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * Decodes one picture of fragmented MP4 in memory: the first one at or after a time, as it is displayed.
 *
 * @param parts - the beginning of the file, and fragments from a key frame on.
 * @param timeUs - by the times of these fragments.
 * @returns a JPEG.
 * @throws Error with ffmpeg's message
 */
export async function decodePicture(ffmpeg: Ffmpeg, parts: readonly Uint8Array[], timeUs: number): Promise<Buffer> {
  const args = ffmpegArguments(['-hide_banner', '-nostats', '-loglevel', 'error', '-copyts'], {
    input: 'pipe:0',
    inputOptions: ['-protocol_whitelist pipe', '-f mov'],
    filters: [`select=gte(t\\,${seconds(timeUs - 500)})`, 'scale=w=max(1\\,round(iw*sar)):h=ih', 'setsar=1'],
    outputOptions: ['-map 0:v:0', '-an', '-frames:v 1', '-q:v 3', '-strict unofficial', ...ONE_THREAD],
    format: 'mjpeg',
    output: 'pipe:1',
  });
  const { group, pid } = await startReader(ffmpeg, args, { cpuSeconds: MAX_CPU_SECONDS }, 'pipe');
  const { child } = group;
  lowerPriority(await pid);
  const log = new LogTail(child.stderr!, LOG_CHARS);
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout!.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) group.kill();
    else chunks.push(chunk);
  });
  // It has its picture before it has read all.
  child.stdin!.on('error', () => undefined);
  child.stdin!.end(Buffer.concat(parts));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (bytes > MOST_BYTES) throw new Error(`ffmpeg gave more than ${MOST_BYTES} bytes`);
  if (code !== 0 || bytes === 0)
    throw new Error(log.text.trim().split('\n')[0] || `ffmpeg ended with exit code ${code}`);
  return Buffer.concat(chunks);
}
