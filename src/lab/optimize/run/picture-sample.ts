import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelSpec } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { ClipBlock } from '../../../frame/decode/cut-blocks.ts';
import type { FfmpegBinary } from '../../../frame/decode/ffmpeg-binary.ts';
import { sampleFrames } from '../../../frame/decode/sample-frames.ts';
import { preprocessImage } from '../../../frame/preprocess/sharp-preprocessor.ts';
import type { LoopPictures } from '../../measure/engine-alone.ts';

/** Enough for varied pictures: what a gated network costs depends on what it sees. */
const COUNT = 12;

/** Pictures of the user's own video, with which engines are timed alone. */
export class PictureSample {
  readonly #folder: string;
  readonly #paths: readonly string[];

  private constructor(folder: string, paths: readonly string[]) {
    this.#folder = folder;
    this.#paths = paths;
  }

  /** @param blocks - of the video; each gives as many pictures. @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING */
  static async of(ffmpeg: FfmpegBinary, blocks: readonly ClipBlock[], signal: AbortSignal): Promise<PictureSample> {
    const folder = await mkdtemp(join(tmpdir(), 'sightline-optimize-'));
    try {
      const each = Math.ceil(COUNT / blocks.length);
      for (const [i, { path, durationUs }] of blocks.entries()) {
        const pattern = join(folder, `${String(i).padStart(2, '0')}-%04d.png`);
        await sampleFrames(ffmpeg, path, durationUs, each, pattern, signal);
      }
      const names = (await readdir(folder)).sort();
      if (names.length === 0) throw new SightlineError('SOURCE_NO_VIDEO', 'the recording holds no video frame');
      return new PictureSample(
        folder,
        names.map((name) => join(folder, name)),
      );
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** PNG files, in the order of their times. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  /** Returns the pictures as a model takes them, one after the other. */
  async fittedTo(spec: ModelSpec): Promise<LoopPictures> {
    const frameBytes = spec.input.width * spec.input.height * 3;
    const buffer = new SharedArrayBuffer(frameBytes * this.#paths.length);
    for (const [i, path] of this.#paths.entries())
      await preprocessImage(path, spec, new Uint8Array(buffer, i * frameBytes, frameBytes));
    return { buffer, frameBytes };
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
