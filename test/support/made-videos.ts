import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { findFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';

export interface VideoShape {
  readonly frames: number;
  readonly fps?: number;
  readonly width?: number;
  readonly height?: number;
  /** Frames between two others that refer to both: they are sent in another order than shown. */
  readonly bFrames?: number;
  /** Between two key frames; half a second if absent. */
  readonly keyEvery?: number;
}

/** The ffmpeg that the tests use, as the product would find it. */
export const testFfmpeg = await findFfmpeg({
  path: process.env.FFMPEG_PATH,
  searchPath: process.env.PATH ?? '',
});

/** A folder of generated videos. Its unique name identifies every ffmpeg that reads one of them. */
export class VideoFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'sightline-faults-'));

  /** Unique text in the command line of every ffmpeg that reads from this folder. */
  get marker(): string {
    return basename(this.path);
  }

  /** Makes an H.264 test video with a key frame every half second, so that a reader can join quickly. */
  async make(
    name: string,
    { frames, fps = 25, width = 320, height = 180, bFrames = 0, keyEvery }: VideoShape,
  ): Promise<string> {
    const path = join(this.path, name);
    await promisify(execFile)(testFfmpeg.path, [
      ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'],
      ...['-f', 'lavfi', '-i', `testsrc2=size=${width}x${height}:rate=${fps}`, '-frames:v', String(frames)],
      ...['-c:v', 'libx264', '-preset', 'ultrafast', ...(bFrames === 0 ? ['-tune', 'zerolatency'] : [])],
      ...[
        '-pix_fmt',
        'yuv420p',
        '-g',
        String(keyEvery ?? Math.max(1, Math.round(fps / 2))),
        '-bf',
        String(bFrames),
        path,
      ],
    ]);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
