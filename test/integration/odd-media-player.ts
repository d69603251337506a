import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { type FfmpegBinary, findFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';
import { openRuntime } from '../../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import { conservationGap } from '../../src/frame/telemetry/stream-telemetry.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { within } from '../support/wait-for.ts';

/** Every ffmpeg to test: the product's own choice, the packaged one, those of FFMPEG_ALTERNATIVES. */
export async function testedFfmpegs(): Promise<FfmpegBinary[]> {
  const named = (process.env.FFMPEG_ALTERNATIVES ?? '').split(delimiter).filter((path) => path !== '');
  const paths = [testFfmpeg.path, packagedPath(), ...named].filter((path) => path !== null);
  return Promise.all([...new Set(paths)].map((path) => findFfmpeg({ path, searchPath: '' })));
}

function packagedPath(): string | null {
  try {
    return (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
  } catch {
    return null;
  }
}

/** Counts the frames that an ffmpeg decodes by itself: one line of `framecrc` each. */
export async function countFrames(ffmpeg: FfmpegBinary, path: string): Promise<number> {
  const args = ['-hide_banner', '-nostdin', '-loglevel', 'quiet', '-i', path, '-map', '0:v:0', '-vsync', 'passthrough'];
  if (ffmpeg.major >= 6) args.splice(-2, 2, '-fps_mode', 'passthrough');
  const { stdout } = await promisify(execFile)(ffmpeg.path, [...args, '-f', 'framecrc', '-'], { maxBuffer: 2 ** 26 });
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
}

export interface Played {
  readonly frames: readonly PublishedFrame[];
  readonly failure: SightlineError | null;
  readonly warnings: readonly string[];
  readonly decodeErrors: number;
  readonly state: string;
  /** The first preview picture, JPEG. */
  readonly preview: Uint8Array | null;
}

export interface PlayerModel {
  readonly name: 'centernet' | 'yolox-nano';
  /** Boxes that are "found" in every frame, in pixels of the model's input. */
  readonly rows: readonly number[];
  readonly inputSize?: string;
}

/** A runtime with a fake engine that plays one file after the other. */
export class OddMediaPlayer {
  readonly #runtime: Runtime;
  readonly #ffmpeg: FfmpegBinary;
  #count = 0;

  private constructor(runtime: Runtime, ffmpeg: FfmpegBinary) {
    this.#runtime = runtime;
    this.#ffmpeg = ffmpeg;
  }

  static async open(ffmpeg: FfmpegBinary, { name, rows, inputSize }: PlayerModel): Promise<OddMediaPlayer> {
    const model = {
      name,
      engine: 'fake',
      threads: 1,
      fake: { rows },
      ...(inputSize === undefined ? {} : { inputSize }),
    };
    const config = parsePipeline(JSON.stringify({ name: 'odd', description: 'Odd media.', model, lanes: 1 }), 'test');
    const environment = {
      ffmpegPath: ffmpeg.path,
      searchPath: '',
      modelPath: [],
      cacheDir: join(tmpdir(), 'sightline-no-cache'),
      token: undefined,
    };
    const sinks = new ResultSinks([]);
    return new OddMediaPlayer(await openRuntime({ ...config, sinks, environment, onNotice: () => undefined }), ffmpeg);
  }

  /** Plays a file to its end. @param withPicture - keep full pictures and let sharp make the input. */
  async play(
    path: string,
    { withPicture = false, ...settings }: { withPicture?: boolean; every?: number } = {},
  ): Promise<Played> {
    const id = `file-${this.#count++}`;
    const config = parseStream({ id, source: path, ...settings }, {});
    const input = await resolveStreamInput(config, this.#ffmpeg, withPicture ? { maxWidth: null } : null);
    const frames: PublishedFrame[] = [];
    let preview: Uint8Array | null = null;
    const leave = [
      this.#runtime.published.add((frame) => frames.push(frame)),
      this.#runtime.previews.add(({ jpeg }) => {
        preview ??= jpeg;
      }),
    ];
    this.#runtime.watchPreviews(new Set([id]));
    const stream = this.#runtime.add(config, input);
    await within(`the end of ${path}`, 25_000, stream.settled());
    const { frames: counters, decodeErrors } = stream.report(performance.timeOrigin + performance.now(), 0);
    const { failure, warnings, state } = stream;
    const isWhole = conservationGap(counters) === 0 && counters.inFlight === 0 && stream.heldSlots === 0;
    if (!isWhole) throw new Error(`${path}: frames were lost or held: ${JSON.stringify(counters)}`);
    await this.#runtime.remove(id);
    for (const stop of leave) stop();
    return { frames, failure, warnings: [...warnings], decodeErrors, state, preview };
  }

  async close(): Promise<void> {
    await within('stop()', 20_000, this.#runtime.stop());
  }
}

/** Videos made from ffmpeg's test pictures, each unusual in one way. */
export class OddMediaFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'sightline-odd-'));

  async #make(name: string, input: readonly string[], output: readonly string[]): Promise<string> {
    const path = join(this.path, name);
    const head = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'];
    await promisify(execFile)(testFfmpeg.path, [...head, ...input, ...output, path]);
    return path;
  }

  static readonly #H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-pix_fmt', 'yuv420p'];

  /** Red on the left, green on the right. */
  halves(name: string, size: string, frames: number, ...output: string[]): Promise<string> {
    const [width, height] = size.split('x') as [string, string];
    const half = `${Number(width) / 2}x${height}`;
    const graph = `color=red:s=${half}:r=25[a];color=lime:s=${half}:r=25[b];[a][b]hstack`;
    return this.#make(
      name,
      ['-f', 'lavfi', '-i', graph, '-frames:v', String(frames)],
      [...OddMediaFolder.#H264, ...output],
    );
  }

  /** Rotated by metadata only, 90 degrees anticlockwise: its matrix maps the point (x, y) to (y, -x). */
  async rotated(): Promise<string> {
    const flat = await this.halves('flat.mp4', '128x64', 10);
    if (testFfmpeg.major >= 6)
      return this.#make('rotated.mp4', ['-display_rotation', '90', '-i', flat], ['-c', 'copy']);
    return this.#make('rotated.mp4', ['-i', flat], ['-c', 'copy', '-metadata:s:v:0', 'rotate=90']);
  }

  /** Pixels twice as wide as high. */
  wide(): Promise<string> {
    return this.halves('wide.mp4', '64x64', 10, '-vf', 'setsar=2/1');
  }

  /** Frames 0 to 5 of a 25 fps clip, then every fifth. */
  uneven(): Promise<string> {
    const passthrough = testFfmpeg.major >= 6 ? '-fps_mode' : '-vsync';
    return this.halves('uneven.mp4', '64x64', 9, '-vf', 'select=lt(n\\,5)+not(mod(n\\,5))', passthrough, 'passthrough');
  }

  /** Two sizes in one transport stream. */
  async resized(): Promise<string> {
    const parts = [await this.halves('a.ts', '128x64', 10), await this.halves('b.ts', '64x128', 10)];
    return this.#make('resized.ts', ['-i', `concat:${parts.join('|')}`], ['-map', '0:v', '-c', 'copy']);
  }

  sound(): Promise<string> {
    return this.#make('sound.m4a', ['-f', 'lavfi', '-i', 'sine=duration=1'], ['-c:a', 'aac']);
  }
}
