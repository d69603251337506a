import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { sharedDir } from '../support/shared.ts';
import { countFrames, OddMediaFolder, OddMediaPlayer, testedFfmpegs } from './odd-media-player.ts';

// The fake engine "finds" these in every frame: the middle half of a stretched input, and in a letterboxed one (416x416,
// picture at the top left) the whole input and a small box near the corner.
const STRETCHED = { name: 'centernet', inputSize: '160x96', rows: [40, 24, 80, 48, 0.9, 0] } as const;
const LETTERBOXED = { name: 'yolox-nano', rows: [0, 0, 416, 416, 0.9, 0, 26, 52, 104, 104, 0.8, 1] } as const;

const folder = new OddMediaFolder();
const ffmpegs = (await testedFfmpegs()).map((binary) => ({
  label: `ffmpeg ${binary.version} (${binary.foundBy})`,
  binary,
}));

/** Returns whether all boxes lie in the middle half of their own frame. */
function expectMiddle(frames: readonly PublishedFrame[]): void {
  for (const { width, height, detections } of frames) {
    expect(detections).toHaveLength(1);
    const expected = [width / 4, height / 4, width / 2, height / 2];
    detections[0]!.box.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 2);
    });
  }
}

/** Returns whether the boxes of the letterboxed model have the computed places. `scale` is 416 over the longer side. */
function expectLetterbox(frames: readonly PublishedFrame[]): void {
  for (const { width, height, detections } of frames) {
    const scale = 416 / Math.max(width, height);
    expect(detections.map(({ classId }) => classId)).toEqual([0, 1]);
    const [whole, small] = [detections[0]!.box, detections[1]!.box];
    expect(whole).toEqual([0, 0, width, height]);
    [26, 52, 104, 104].forEach((value, i) => {
      // The fit is rounded to whole model pixels: an error of up to half a pixel in 416 at the far edge.
      expect(Math.abs(small[i]! - value / scale)).toBeLessThan(1 + 0.5 / scale);
    });
  }
}

/** Returns the sizes in order, each with its number of frames: `128x64 x10, 64x128 x10`. */
function sizes(frames: readonly PublishedFrame[]): string {
  const runs: { size: string; count: number }[] = [];
  for (const { width, height } of frames) {
    const size = `${width}x${height}`;
    if (runs.at(-1)?.size === size) runs.at(-1)!.count += 1;
    else runs.push({ size, count: 1 });
  }
  return runs.map(({ size, count }) => `${size} x${count}`).join(', ');
}

function expectNumbered(frames: readonly PublishedFrame[]): void {
  expect(frames.map(({ frame }) => frame)).toEqual(frames.map((_, i) => i));
  frames.reduce((last, { ptsUs }) => {
    expect(ptsUs).toBeGreaterThanOrEqual(last);
    return ptsUs;
  }, 0);
}

/** Returns the mean colour of the upper and lower, or left and right, quarter of a picture. */
async function ends(jpeg: Uint8Array, axis: 'x' | 'y'): Promise<{ size: string; first: string; last: string }> {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  const at = (share: number): string => {
    const x = Math.floor(info.width * (axis === 'x' ? share : 0.5));
    const y = Math.floor(info.height * (axis === 'y' ? share : 0.5));
    const [r, g, b] = data.subarray((y * info.width + x) * 3) as unknown as [number, number, number];
    return r > 200 && g < 60 && b < 60 ? 'red' : g > 200 && r < 60 && b < 60 ? 'green' : `${r},${g},${b}`;
  };
  return { size: `${info.width}x${info.height}`, first: at(0.15), last: at(0.85) };
}

describe.each(ffmpegs)('$label', ({ binary }) => {
  let player: OddMediaPlayer;
  let letterbox: OddMediaPlayer;

  beforeAll(async () => {
    player = await OddMediaPlayer.open(binary, STRETCHED);
    letterbox = await OddMediaPlayer.open(binary, LETTERBOXED);
  });

  afterAll(async () => {
    await player?.close();
    await letterbox?.close();
  });

  describe('generated clips', () => {
    it('a video rotated by metadata is upright in size, boxes and pixels', async () => {
      const path = await folder.rotated();
      for (const withPicture of [false, true]) {
        const { frames, preview } = await player.play(path, { withPicture });
        expect(sizes(frames)).toBe('64x128 x10');
        expectMiddle(frames);
        // The right side is the top after a rotation by 90 degrees anticlockwise.
        expect(await ends(preview!, 'y')).toEqual({ size: '64x128', first: 'green', last: 'red' });
      }
      expectLetterbox((await letterbox.play(path)).frames);
    });

    it('non-square pixels: sizes and boxes are in display pixels', async () => {
      const path = await folder.wide();
      for (const withPicture of [false, true]) {
        const { frames, preview } = await player.play(path, { withPicture });
        expect(sizes(frames)).toBe('128x64 x10');
        expectMiddle(frames);
        expect(await ends(preview!, 'x')).toEqual({ size: '128x64', first: 'red', last: 'green' });
      }
      expectLetterbox((await letterbox.play(path, { withPicture: true })).frames);
    });

    it('a video that changes its size: each frame has its own size and boxes', async () => {
      const path = await folder.resized();
      for (const withPicture of [false, true]) {
        const { frames, failure } = await player.play(path, { withPicture });
        expect(failure).toBeNull();
        expect(sizes(frames)).toBe('128x64 x10, 64x128 x10');
        expectNumbered(frames);
        if (!withPicture) expectMiddle(frames);
      }
      expectLetterbox((await letterbox.play(path)).frames);
    });

    it('a variable frame rate: exactly the timestamps of the container', async () => {
      const { frames } = await player.play(await folder.uneven());
      expect(frames.map(({ ptsUs }) => ptsUs / 40_000)).toEqual([0, 1, 2, 3, 4, 5, 10, 15, 20]);
    });

    it('every n-th frame keeps its number and time in the file', async () => {
      const path = await folder.halves('ten.mp4', '64x64', 10);
      const { frames, warnings } = await player.play(path, { every: 4 });
      expect(frames.map(({ frame, ptsUs }) => [frame, ptsUs])).toEqual([
        [0, 0],
        [4, 160_000],
        [8, 320_000],
      ]);
      expect(warnings).toEqual([]);
    });

    it('frames far apart do not count as a truncated file', async () => {
      const path = await folder.halves('long.mp4', '64x64', 250);
      const { frames, warnings } = await player.play(path, { every: 100 });
      expect(frames).toHaveLength(3);
      expect(warnings).toEqual([]);
    });

    it('one frame gives one result', async () => {
      const { frames, state, warnings } = await player.play(await folder.halves('one.mp4', '64x64', 1));
      expect([frames.length, state, warnings.length]).toEqual([1, 'ended', 0]);
    });

    it('a file truncated in the middle gives the frames that are left, with a warning', async () => {
      const path = await folder.halves(
        'cut.mp4',
        '640x360',
        100,
        '-movflags',
        '+faststart',
        '-vf',
        'noise=alls=60:allf=t',
      );
      truncateSync(path, 800_000);
      const { frames, warnings, failure } = await player.play(path);
      expect(failure).toBeNull();
      expect(frames.length).toBeGreaterThan(0);
      expect(frames.length).toBeLessThan(100);
      expect(warnings.join()).toContain(`${path}: the file ends early`);
    });

    it.each([
      ['empty.mp4', '', 'SOURCE_UNREADABLE'],
      ['text.mp4', 'text\n', 'SOURCE_UNREADABLE'],
      ['corrupt-401.mp4', 'text\n', 'SOURCE_UNREADABLE'],
    ])('%s is not a video: the error names file and cause', async (name, text, code) => {
      const path = join(folder.path, name);
      writeFileSync(path, text);
      const { frames, failure, state } = await player.play(path);
      expect([frames.length, state, failure?.code]).toEqual([0, 'failed', code]);
      expect(failure?.message).toContain(`${path}: it is not a video`);
    });

    it('an audio file has another error than a file that is not media', async () => {
      const path = await folder.sound();
      const { frames, failure } = await player.play(path);
      expect([frames.length, failure?.code]).toEqual([0, 'SOURCE_NO_VIDEO']);
      expect(failure?.message).toContain(`${path}: it holds no video stream`);
    });
  });

  describe.skipIf(sharedDir === null)('from the shared folder (skipped if there is none)', () => {
    const odd = (name: string): string => join(sharedDir ?? '', 'odd-media', name);

    it.each([
      ['ok.ts', '768x432 x50'],
      ['rotate90.mp4', '432x768 x38'],
      ['rotate180.mp4', '768x432 x38'],
      ['sar_4_3.mp4', '427x240 x38'],
      ['midstream_resize.ts', '640x360 x25, 320x240 x25'],
      ['vfr.mp4', '768x432 x24'],
      ['interlaced.mp4', '640x360 x19'],
      ['gray.mp4', '640x360 x38'],
      ['hevc_10bit.mkv', '640x360 x38'],
      ['vp9.webm', '640x360 x38'],
      ['fmp4.mp4', '640x360 x38'],
      ['odd_321x181_yuv444.mp4', '321x181 x38'],
      ['tiny_2x2.mp4', '2x2 x25'],
      ['one_frame.mp4', '768x432 x1'],
      ['truncated_tail.mp4', '768x432 x130'],
    ])('%s: %s, boxes in the pixels of each', async (name, expected) => {
      const { frames, failure, state } = await player.play(odd(name));
      expect(failure).toBeNull();
      expect([sizes(frames), state]).toEqual([expected, 'ended']);
      expectNumbered(frames);
      expectMiddle(frames);
    });

    it.each(['rotate90.mp4', 'sar_4_3.mp4', 'midstream_resize.ts', 'odd_321x181_yuv444.mp4'])(
      '%s: letterboxed boxes are in source pixels',
      async (name) => {
        const { frames } = await letterbox.play(odd(name));
        expect(frames.length).toBeGreaterThan(0);
        expectLetterbox(frames);
      },
    );

    it('vfr.mp4: timestamps are those of the container', async () => {
      const { frames } = await player.play(odd('vfr.mp4'));
      // As ffprobe lists them: fourteen frames a quarter of a second apart, less one hundredth, then ten at full rate.
      const expected = [
        ...Array.from({ length: 14 }, (_, i) => i * 240_000),
        ...Array.from({ length: 10 }, (_, i) => 3_200_000 + i * 80_000),
      ];
      expect(frames.map(({ ptsUs }) => ptsUs)).toEqual(expected);
    });

    it('truncated_tail.mp4: reported with a warning', async () => {
      const { warnings } = await player.play(odd('truncated_tail.mp4'));
      expect(warnings.join()).toContain('the file ends early');
    });

    it.each(['corrupt_bits.ts', 'lost_packets.ts'])(
      '%s: has every frame that ffmpeg decodes, and a count of errors',
      async (name) => {
        const { frames, failure, decodeErrors, state } = await player.play(odd(name));
        expect([failure, state]).toEqual([null, 'ended']);
        expect(frames.length).toBe(await countFrames(binary, odd(name)));
        expect(Math.abs(frames.length - 50)).toBeLessThanOrEqual(2);
        expect(decodeErrors).toBeGreaterThan(0);
      },
    );

    it('ok.ts: no errors and no warnings', async () => {
      const { decodeErrors, warnings } = await player.play(odd('ok.ts'));
      expect([decodeErrors, warnings]).toEqual([0, []]);
    });

    it.each([
      ['zero_frames.mp4', 'SOURCE_NO_VIDEO', 'it holds no video'],
      ['audio_only.m4a', 'SOURCE_NO_VIDEO', 'it holds no video'],
      ['no_header.mp4', 'SOURCE_UNREADABLE', 'it is not a video, or its index (moov atom) is missing'],
      ['random.mp4', 'SOURCE_UNREADABLE', 'it is not a video'],
      ['text.mp4', 'SOURCE_UNREADABLE', 'it is not a video'],
      ['zero_bytes.mp4', 'SOURCE_UNREADABLE', 'it is not a video'],
    ])('%s: %s', async (name, code, cause) => {
      const { frames, failure, state } = await player.play(odd(name));
      expect([frames.length, state, failure?.code]).toEqual([0, 'failed', code]);
      expect(failure?.message).toContain(`${odd(name)}: ${cause}`);
    });
  });
});
