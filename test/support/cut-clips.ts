import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { testFfmpeg } from './made-videos.ts';

/** Grain in every frame, so that a wrong reference changes the picture. */
const PICTURES = 'testsrc2=size=160x96:rate=25,noise=alls=30:allf=t';

/** Clips that can be cut, and clips that must not be, made with ffmpeg's own test pictures, each once. */
export class CutClips {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-cuts-')));
  readonly #frames: number;
  readonly #made = new Map<string, Promise<unknown>>();

  /** @param frames - length of each clip; there are 25 in a second. */
  constructor(frames = 120) {
    this.#frames = frames;
  }

  async #ffmpeg(name: string, ...args: readonly string[]): Promise<string> {
    const path = join(this.path, name);
    const head = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'];
    const making = this.#made.get(name) ?? promisify(execFile)(testFfmpeg.path, [...head, ...args, path]);
    this.#made.set(name, making);
    await making;
    return path;
  }

  #encode(name: string, filter: string, ...codec: readonly string[]): Promise<string> {
    const passthrough = testFfmpeg.major >= 6 ? '-fps_mode' : '-vsync';
    const graph = filter === '' ? PICTURES : `${PICTURES},${filter}`;
    const output = ['-frames:v', `${this.#frames}`, passthrough, 'passthrough', '-pix_fmt', 'yuv420p', ...codec];
    return this.#ffmpeg(name, '-f', 'lavfi', '-i', graph, ...output);
  }

  #h264(name: string, options: string, filter = ''): Promise<string> {
    const codec = [
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-x264-params',
      `keyint=25:min-keyint=25:scenecut=0:${options}`,
    ];
    return this.#encode(name, filter, ...codec);
  }

  /** A key frame each second, pictures reordered up to three deep. */
  reordered(name = 'reordered.mp4'): Promise<string> {
    return this.#h264(name, 'bframes=3');
  }

  /** A key frame every four seconds. */
  sparse(name = 'sparse.mp4'): Promise<string> {
    return this.#h264(name, 'keyint=100:min-keyint=100:bframes=3');
  }

  /** Everything that can be cut, with a word on what is special. */
  async regular(): Promise<readonly (readonly [what: string, path: string])[]> {
    const plain = await this.reordered();
    const copy = (name: string, ...args: readonly string[]): Promise<string> =>
      this.#ffmpeg(name, '-i', plain, '-c', 'copy', ...args);
    const late = ['-f', 'lavfi', '-i', 'sine=duration=5', '-itsoffset', '1.7', '-i', plain];
    return [
      ['reordered pictures', plain],
      ['Matroska', await copy('reordered.mkv')],
      ['fragments', await copy('fragments.mp4', '-movflags', 'frag_keyframe+empty_moov')],
      ['a start other than 0', await copy('late.mkv', '-output_ts_offset', '7.3')],
      [
        'sound that begins earlier',
        await this.#ffmpeg('sound.mp4', ...late, '-map', '0:a', '-map', '1:v', '-c:v', 'copy'),
      ],
      ['a variable rate', await this.#h264('variable.mp4', 'bframes=2', 'select=lt(mod(n\\,7)\\,4)')],
      ['no reordering', await this.#h264('straight.mp4', 'bframes=0')],
      ['MPEG-4', await this.#encode('mpeg4.mp4', '', '-c:v', 'mpeg4', '-g', '25')],
      ['key frames alone', await this.#encode('motion.mkv', '', '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p')],
    ];
  }

  /** Everything that must stay whole. */
  async irregular(): Promise<readonly (readonly [what: string, path: string])[]> {
    const plain = await this.reordered();
    const raw = await this.#ffmpeg('raw.h264', '-i', plain, '-c', 'copy');
    return [
      ['open groups of pictures', await this.#h264('open.mp4', 'bframes=3:open-gop=1')],
      ['no key frames but the first', await this.#h264('refresh.mp4', 'intra-refresh=1')],
      ['an edit list', await this.#ffmpeg('edited.mp4', '-ss', '1.3', '-i', plain, '-c', 'copy')],
      [
        'times finer than a microsecond',
        await this.#ffmpeg('fine.mp4', '-i', plain, '-c', 'copy', '-video_track_timescale', '10000000'),
      ],
      ['MPEG-TS', await this.#ffmpeg('stream.ts', '-i', plain, '-c', 'copy')],
      ['no container', raw],
      [
        'times by a program that knew nothing of reordering',
        await this.#ffmpeg('wrong.mp4', '-r', '25', '-i', raw, '-c', 'copy'),
      ],
    ];
  }

  /** Half of the pictures are 160x96, then they are larger. Matroska keeps the size of both, with a time index. */
  async resized(name: string): Promise<string> {
    const plain = await this.reordered();
    const large = await this.#ffmpeg('large.ts', '-i', plain, '-vf', 'scale=320:192', '-c:v', 'libx264', '-g', '25');
    const small = await this.#ffmpeg('small.ts', '-i', plain, '-c', 'copy');
    return this.#ffmpeg(name, '-i', `concat:${small}|${large}`, '-c', 'copy');
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
