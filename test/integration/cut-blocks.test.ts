import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { type ClipBlock, type CutBlocks, cutBlocks } from '../../src/frame/decode/cut-blocks.ts';
import { probeSource } from '../../src/frame/decode/probe.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { testFfmpeg } from '../support/made-videos.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-blocks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const passthrough = testFfmpeg.major >= 6 ? '-fps_mode' : '-vsync';

async function ffmpeg(...args: readonly string[]): Promise<string> {
  const all = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y', ...args];
  const { stdout } = await promisify(execFile)(testFfmpeg.path, all, { maxBuffer: 64 * 2 ** 20 });
  return stdout;
}

interface Recording {
  readonly seconds: number;
  readonly fps: number;
  /** Distance of key frames in frames. */
  readonly keyint: number;
  readonly x264?: string;
  readonly filter?: string | undefined;
}

/** Small pictures that differ from frame to frame, which cost least with one thread. */
async function make(name: string, { seconds, fps, keyint, x264 = 'bframes=2', filter }: Recording): Promise<string> {
  const path = join(folder, name);
  const pictures = `testsrc2=size=64x48:rate=${fps}:duration=${seconds}${filter === undefined ? '' : `,${filter}`}`;
  const params = `keyint=${keyint}:min-keyint=${Math.min(keyint, 25)}:scenecut=0:${x264}`;
  await ffmpeg(
    ...['-f', 'lavfi', '-i', pictures, '-c:v', 'libx264', '-preset', 'ultrafast', '-x264-params', params],
    ...['-pix_fmt', 'yuv420p', '-threads', '1', passthrough, 'passthrough', path],
  );
  return path;
}

async function copy(from: string, name: string, ...args: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await ffmpeg('-i', from, '-c', 'copy', ...args, path);
  return path;
}

const notes: string[] = [];

async function cut(path: string): Promise<CutBlocks> {
  const source = parseSource(path, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 });
  const { durationUs } = await probeSource(testFfmpeg, source, 20_000);
  const place = mkdtempSync(join(folder, 'cut-'));
  return cutBlocks(testFfmpeg, source, durationUs, place, new AbortController().signal, (text) => notes.push(text));
}

interface Picture {
  readonly us: number;
  readonly hash: string;
}

/** Decodes files with ffmpeg alone, all in one process: time and hash of each picture. */
async function pictures(...paths: readonly string[]): Promise<Picture[][]> {
  const list = (path: string): string => `${path}.md5`;
  await ffmpeg(
    ...paths.flatMap((path) => ['-threads', '1', '-i', path]),
    ...paths.flatMap((path, i) => ['-map', `${i}:v:0`, passthrough, 'passthrough', '-f', 'framemd5', list(path)]),
  );
  return paths.map((path) => {
    const text = readFileSync(list(path), 'utf8');
    const [, num, den] = /^#tb 0: (\d+)\/(\d+)/m.exec(text)!;
    return [...text.matchAll(/^0, *-?\d+, *(-?\d+), *\d+, *\d+, *([0-9a-f]{32})/gm)].map(([, pts, hash]) => ({
      us: (Number(pts) * Number(num) * 1e6) / Number(den),
      hash: hash!,
    }));
  });
}

/** Decodes blocks and expects exactly the pictures that the recording has in their place. */
async function expectSamePictures(path: string, blocks: readonly ClipBlock[]): Promise<void> {
  const [all, ...cut] = await pictures(path, ...blocks.map((block) => block.path));
  for (const [i, { startUs, durationUs, frames }] of blocks.entries()) {
    const within = all!.filter(({ us }) => us > startUs - 1000 && us < startUs + durationUs - 1000);
    expect(within).toHaveLength(frames);
    expect(cut[i]!.map(({ hash }) => hash)).toEqual(within.map(({ hash }) => hash));
  }
}

/** Decodes blocks and expects as many pictures as they state. */
async function expectFrames(blocks: readonly ClipBlock[]): Promise<void> {
  const cut = await pictures(...blocks.map(({ path }) => path));
  expect(cut.map(({ length }) => length)).toEqual(blocks.map(({ frames }) => frames));
}

function expectInOrder(blocks: readonly ClipBlock[]): void {
  for (const [i, block] of blocks.entries()) {
    const previous = blocks[i - 1];
    if (previous !== undefined)
      expect(block.startUs).toBeGreaterThanOrEqual(previous.startUs + previous.durationUs - 1);
    expect(block.frames).toBeGreaterThan(0);
  }
}

/** Places of blocks in the recording, in seconds. */
function places(blocks: readonly ClipBlock[]): number[] {
  return blocks.map(({ startUs }) => startUs / 1e6);
}

const seconds = (blocks: readonly ClipBlock[]): number =>
  blocks.reduce((sum, { durationUs }) => sum + durationUs / 1e6, 0);

/** Centres of twelve equal parts of 30 minutes, less half a block. */
const TWELVE_OF_HALF_AN_HOUR = [70, 220, 370, 520, 670, 820, 970, 1120, 1270, 1420, 1570, 1720];

describe('blocks of a long recording', () => {
  const halfAnHour = make('half-an-hour.mp4', { seconds: 1800, fps: 5, keyint: 25 });

  it('are twelve of 10 s, copied from all over it, with exactly its pictures', async () => {
    const path = await halfAnHour;
    const { blocks, isCopied, isWhole } = await cut(path);
    expect({ isCopied, isWhole }).toEqual({ isCopied: true, isWhole: false });
    // A key frame each 5 s falls on each of these times.
    expect(places(blocks)).toEqual(TWELVE_OF_HALF_AN_HOUR);
    for (const { durationUs, frames } of blocks) {
      expect(durationUs / 1e6).toBeLessThanOrEqual(10);
      expect(durationUs / 1e6).toBeGreaterThan(9);
      // At five frames a second.
      expect(frames).toBe(Math.round(durationUs / 200_000));
    }
    expectInOrder(blocks);
    await expectSamePictures(path, blocks);
  });

  it('begin at key frames 30 s apart', async () => {
    const path = await make('sparse.mp4', { seconds: 1800, fps: 5, keyint: 150 });
    const { blocks, isCopied } = await cut(path);
    expect(isCopied).toBe(true);
    // The key frame at or before each time.
    expect(places(blocks)).toEqual(TWELVE_OF_HALF_AN_HOUR.map((at) => Math.floor(at / 30) * 30));
    await expectSamePictures(path, blocks);
  });

  it('of ten minutes are spread over ten minutes', async () => {
    const path = await make('ten.mp4', { seconds: 600, fps: 5, keyint: 5 });
    const { blocks } = await cut(path);
    expect(places(blocks)).toEqual([20, 70, 120, 170, 220, 270, 320, 370, 420, 470, 520, 570]);
    await expectSamePictures(path, blocks);
  });

  it('are copied from Matroska and from a transport stream', async () => {
    const path = await halfAnHour;
    for (const name of ['half.mkv', 'half.ts']) {
      const other = await copy(path, name);
      const { blocks, isCopied } = await cut(other);
      expect(isCopied, name).toBe(true);
      expect(blocks).toHaveLength(12);
      for (const [i, at] of TWELVE_OF_HALF_AN_HOUR.entries())
        expect(Math.abs(places(blocks)[i]! - at), name).toBeLessThanOrEqual(5);
      await expectSamePictures(other, blocks);
    }
  });

  it('come from a file that states no length, and from a raw stream', async () => {
    const path = await halfAnHour;
    const live = await copy(path, 'live.mkv', '-live', '1');
    const cutLive = await cut(live);
    expect(cutLive.isCopied).toBe(true);
    for (const [i, at] of TWELVE_OF_HALF_AN_HOUR.entries())
      expect(Math.abs(places(cutLive.blocks)[i]! - at)).toBeLessThanOrEqual(5);
    await expectSamePictures(live, cutLive.blocks);

    // Its packets have no times; the rate is in the stream itself.
    const raw = await copy(path, 'raw.h264');
    const cutRaw = await cut(raw);
    expect(cutRaw.isCopied).toBe(false);
    expect(cutRaw.blocks).toHaveLength(12);
    expect(Math.round(cutRaw.blocks.at(-1)!.startUs / 1e6)).toBe(1720);
    expectInOrder(cutRaw.blocks);
    for (const { frames } of cutRaw.blocks) expect(frames).toBe(50);
    await expectFrames(cutRaw.blocks);
  });

  it('are decoded in one pass where only the first picture is a key frame', async () => {
    notes.length = 0;
    const path = await make('one-key.mp4', { seconds: 300, fps: 5, keyint: 99_999 });
    const { blocks, isCopied } = await cut(path);
    expect(isCopied).toBe(false);
    // (i + 0.5) * 300 / 12 - 5
    // The first frame at or after each; a list of segments does not state the first.
    expect(places(blocks)).toEqual([7.5, 32.6, 57.6, 82.6, 107.6, 132.6, 157.6, 182.6, 207.6, 232.6, 257.6, 282.6]);
    for (const { frames } of blocks) expect(frames).toBe(50);
    await expectFrames(blocks);
    expect(notes.join()).toContain('too few key frames');
  });

  it('are encoded again where pictures before a key frame need the ones before it', async () => {
    const path = await make('open.mp4', { seconds: 300, fps: 5, keyint: 25, x264: 'bframes=3:open-gop=1' });
    const { blocks, isCopied } = await cut(path);
    expect(isCopied).toBe(false);
    expect(blocks).toHaveLength(12);
    expectInOrder(blocks);
    for (const { frames } of blocks) expect(frames).toBe(50);
    await expectFrames(blocks);
  });

  it('have all pictures of a variable rate', async () => {
    const path = await make('variable.mkv', { seconds: 300, fps: 10, keyint: 20, filter: 'select=lt(mod(n\\,7)\\,4)' });
    const { blocks, isCopied } = await cut(path);
    expect(isCopied).toBe(true);
    expect(blocks).toHaveLength(12);
    await expectSamePictures(path, blocks);
  });

  it('come from the pictures alone where the sound is longer', async () => {
    const short = await make('part.mp4', { seconds: 60, fps: 5, keyint: 5 });
    const path = join(folder, 'sound.mp4');
    const sound = ['-f', 'lavfi', '-i', 'sine=duration=200:sample_rate=8000'];
    await ffmpeg('-i', short, ...sound, '-map', '0:v', '-map', '1:a', '-c:v', 'copy', path);
    const { blocks, isWhole } = await cut(path);
    expect(isWhole).toBe(true);
    expect(places(blocks)).toEqual([0, 10, 20, 30, 40, 50]);
  });

  it('of a rotated recording are rotated', async () => {
    const plain = await make('plain.mp4', { seconds: 300, fps: 5, keyint: 5 });
    const path = await copy(plain, 'rotated.mp4', '-metadata:s:v', 'rotate=90');
    const { blocks } = await cut(path);
    const source = parseSource(blocks[3]!.path, {
      loop: false,
      realtime: false,
      rtspTransport: 'tcp',
      readTimeoutMs: 5000,
    });
    const whole = parseSource(path, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 });
    const { width, height } = await probeSource(testFfmpeg, whole, 20_000);
    expect(await probeSource(testFfmpeg, source, 20_000)).toMatchObject({ width, height });
  });
});

describe('blocks of a short recording', () => {
  it.each([
    [14, 4],
    [80, 8],
    [120, 12],
    [6, 4],
  ])('of %i s are %i equal parts that cover it', async (length, count) => {
    const path = await make(`short-${length}.mp4`, { seconds: length, fps: 10, keyint: 5 });
    const { blocks, isCopied, isWhole } = await cut(path);
    expect({ isCopied, isWhole }).toEqual({ isCopied: true, isWhole: true });
    expect(blocks).toHaveLength(count);
    expect(seconds(blocks)).toBeCloseTo(length, 3);
    expectInOrder(blocks);
    await expectSamePictures(path, blocks);
  });

  it('with a single key frame are encoded again and cover it', async () => {
    const path = await make('short-one-key.mp4', { seconds: 20, fps: 10, keyint: 9999 });
    const { blocks, isCopied } = await cut(path);
    expect(isCopied).toBe(false);
    expect(places(blocks)).toEqual([0, 5, 10, 15]);
    expect(blocks.map(({ frames }) => frames)).toEqual([50, 50, 50, 50]);
    await expectFrames(blocks);
  });

  it.each([
    ['a constant rate', undefined],
    ['a variable rate', 'select=lt(mod(n\\,7)\\,4)'],
  ])('with a single key frame and %s lose no picture at the borders of blocks', async (name, filter) => {
    const path = await make(`borders of ${name}.mp4`, { seconds: 79.5, fps: 10, keyint: 9999, filter });
    const { blocks } = await cut(path);
    expect(blocks).toHaveLength(8);
    expectInOrder(blocks);
    expect(blocks.reduce((sum, { frames }) => sum + frames, 0)).toBe((await pictures(path))[0]!.length);
    await expectFrames(blocks);
  });

  it('up to 4 s is one block, the recording itself', async () => {
    const path = await make('three.mp4', { seconds: 3, fps: 10, keyint: 5 });
    const whole = { path, startUs: 0, durationUs: 3e6, frames: 30 };
    expect(await cut(path)).toEqual({ blocks: [whole], isCopied: true, isWhole: true });
  });

  it('with one frame is one block', async () => {
    const path = await make('one.mp4', { seconds: 0.1, fps: 10, keyint: 5 });
    expect((await cut(path)).blocks).toMatchObject([{ path, frames: 1 }]);
  });

  it('without video is refused', async () => {
    const path = join(folder, 'sound.m4a');
    await ffmpeg('-f', 'lavfi', '-i', 'sine=duration=1', path);
    const source = parseSource(path, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 });
    mkdirSync(join(folder, 'none'));
    const cutting = cutBlocks(testFfmpeg, source, 1e6, join(folder, 'none'), new AbortController().signal, () => {});
    await expect(cutting).rejects.toMatchObject({ code: 'SOURCE_NO_VIDEO' });
  });
});
