import { execFile } from 'node:child_process';
import { type DecodePlan, stillArguments } from './decode-command.ts';

/**
 * Reads an image file with ffmpeg and fits it into a canvas like a video frame.
 *
 * @param picture - u8 `[height, width, 3]` RGB of the canvas, or of one canvas per view below each other; overwritten.
 * @throws Error with ffmpeg's message if the file is not an image.
 */
export async function decodeStill(
  ffmpegPath: string,
  path: string,
  canvas: DecodePlan['canvas'],
  picture: Uint8Array,
): Promise<void> {
  const options = { encoding: 'buffer', maxBuffer: picture.length * 2 } as const;
  const pixels = await new Promise<Buffer>((resolve, reject) => {
    execFile(ffmpegPath, stillArguments(path, canvas), options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.toString().trim().split('\n')[0] || error.message));
    });
  });
  if (pixels.length !== picture.length)
    throw new Error(`ffmpeg gave ${pixels.length} bytes, expected ${picture.length}`);
  picture.set(pixels);
}
