import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ResizeRule } from '../../src/base/core/model.ts';
import { cropFilter, placeView, viewPixels, viewsOf } from '../../src/base/geometry/views.ts';
import { decodeArguments } from '../../src/frame/decode/decode-command.ts';
import type { FfmpegBinary } from '../../src/frame/decode/ffmpeg-binary.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { runFfmpeg } from '../support/read-video.ts';
import { sharedDir } from '../support/shared.ts';
import { type Box, boxVideo, readViews, type ViewedFrame } from '../support/view-rig.ts';
import { testedFfmpegs } from './odd-media-player.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-views-'));
afterAll(() => rmSync(folder, { recursive: true }));

const CENTRED: ResizeRule = { mode: 'letterbox', anchor: 'center', padValue: 0 };
const TOP_LEFT: ResizeRule = { mode: 'letterbox', anchor: 'top-left', padValue: 0, rounding: 'floor' };
const STRETCHED: ResizeRule = { mode: 'stretch' };

const TILES = viewsOf({ tiles: { columns: 2, rows: 2, overlap: 0.2, whole: true } })!;
const REGION = viewsOf({ region: { x: 0.37, y: 0.11, width: 0.51, height: 0.63 } })!;
const TILED_REGION = viewsOf({
  region: { x: 0.25, y: 0, width: 0.7, height: 1 },
  tiles: { columns: 3, rows: 1, overlap: 0.1, whole: false },
})!;
const CUTS = [...TILES.slice(0, 4), ...REGION, ...TILED_REGION];

async function pixelsOf(ffmpeg: FfmpegBinary, args: readonly string[]): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(ffmpeg.path, args, { encoding: 'buffer', maxBuffer: 2 ** 26 });
  return stdout;
}

describe.each((await testedFfmpegs()).map((ffmpeg) => ({ label: `ffmpeg ${ffmpeg.version}`, ffmpeg })))(
  '$label',
  ({ ffmpeg }) => {
    it.each(['240x135', '241x135', '99x181', '16x2', '3x5', '2x2', '1x1'])(
      'cuts exactly the computed pixels out of a picture of %s',
      async (size) => {
        const [width, height] = size.split('x').map(Number) as [number, number];
        // Red is the column, green is the row.
        const source = `nullsrc=s=${size},format=gbrp,geq=r=X:g=Y:b=0`;
        for (const view of CUTS) {
          const { x, y, width: w, height: h } = viewPixels(view, { width, height });
          const args = ['-loglevel', 'error', '-f', 'lavfi', '-i', source, '-frames:v', '1', '-vf', cropFilter(view)];
          const pixels = await pixelsOf(ffmpeg, [...args, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1']);
          expect(pixels.length, `${JSON.stringify(view)} of ${size}`).toBe(w * h * 3);
          expect([pixels[0], pixels[1]]).toEqual([x, y]);
          expect([pixels.at(-3), pixels.at(-2)]).toEqual([x + w - 1, y + h - 1]);
        }
      },
    );

    it.each([
      ['320x180', '1', CENTRED],
      ['321x181', '1', TOP_LEFT],
      ['240x180', '4/3', CENTRED],
      ['250x181', '16/11', TOP_LEFT],
      ['320x181', '3/4', CENTRED],
      ['66x130', '1', STRETCHED],
    ] as const)(
      'fills exactly the computed part of each input with the view: %s, pixel aspect %s',
      async (size, sar, fit) => {
        const [width, height] = size.split('x').map(Number) as [number, number];
        const [num, den = 1] = sar.split('/').map(Number) as [number, number?];
        const input = { width: 96, height: 64, resize: fit };
        const views = [...TILES, ...REGION, ...TILED_REGION];
        // Without a format of full colour, ffmpeg's source rounds odd sizes down.
        const url = `color=white:s=${size}:r=10:d=0.1,format=yuv444p,setsar=${sar}`;
        const plan = {
          ffmpegMajor: ffmpeg.major,
          headerTag: 'a1',
          every: 1,
          maxFps: null,
          afterUs: null,
          takesCommands: false,
          hwaccel: 'none',
          threads: 1,
        };
        const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;
        const args = decodeArguments(
          { kind: 'synthetic', url, label: url, isLive: false, probeAddress: null, options },
          { ...plan, canvas: { width: input.width, height: input.height, fit, views } },
        );
        const pixels = await pixelsOf(ffmpeg, args);
        expect(pixels.length).toBe(views.length * 96 * 64 * 3);
        const unscaled = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
        for (const [i, view] of views.entries()) {
          const expected = placeView(view, { width, height }, num / den, unscaled, input).fit;
          expect(whitePart(pixels.subarray(i * 96 * 64 * 3, (i + 1) * 96 * 64 * 3)), `view ${i}`).toEqual(expected);
        }
      },
    );
  },
);

/** The box around the bright pixels of a 96x64 input. */
function whitePart(pixels: Uint8Array): { x: number; y: number; width: number; height: number } {
  const [xs, ys]: [Set<number>, Set<number>] = [new Set(), new Set()];
  for (let at = 0; at < 96 * 64; at++) {
    if (pixels[at * 3]! < 128) continue;
    xs.add(at % 96);
    ys.add(Math.floor(at / 96));
  }
  return { x: Math.min(...xs), y: Math.min(...ys), width: xs.size, height: ys.size };
}

/** Centre of the light in an input, in its pixels; null if it is dark. */
function lightCentre(pixels: Uint8Array, width: number): [x: number, y: number] | null {
  let [sum, sumX, sumY] = [0, 0, 0];
  for (let at = 0; at < pixels.length / 3; at++) {
    const light = Math.max(0, pixels[at * 3 + 1]! - 40);
    sum += light;
    sumX += light * ((at % width) + 0.5);
    sumY += light * (Math.floor(at / width) + 0.5);
  }
  return sum === 0 ? null : [sumX / sum, sumY / sum];
}

/**
 * Looks for the box in every input, and maps it back to source pixels.
 *
 * @param shift - uses the place of the view so many further on: what a mix-up would do.
 * @returns what is wrong, as sentences.
 */
function misplaced(
  frames: readonly ViewedFrame[],
  boxOf: (frame: ViewedFrame) => Box,
  inputWidth: number,
  shift = 0,
): string[] {
  const complaints: string[] = [];
  for (const frame of frames) {
    const box = boxOf(frame);
    const centre = [box.x + box.width / 2, box.y + box.height / 2] as const;
    let seen = 0;
    for (const [i, { pixels }] of frame.inputs.entries()) {
      const { bounds, placement } = frame.inputs[(i + shift) % frame.inputs.length]!;
      const where = `frame ${frame.meta.frame}, view ${i}`;
      const right = bounds.x + bounds.width;
      const bottom = bounds.y + bounds.height;
      const light = lightCentre(pixels, inputWidth);
      const isInside =
        box.x >= bounds.x && box.y >= bounds.y && box.x + box.width <= right && box.y + box.height <= bottom;
      const isOutside =
        box.x + box.width < bounds.x - 2 ||
        box.y + box.height < bounds.y - 2 ||
        box.x > right + 2 ||
        box.y > bottom + 2;
      if (isOutside && light !== null) complaints.push(`${where}: light where there is none`);
      if (!isInside) continue;
      seen += 1;
      if (light === null) {
        complaints.push(`${where}: no light`);
        continue;
      }
      const x = (light[0] - placement.offsetX) / placement.scaleX;
      const y = (light[1] - placement.offsetY) / placement.scaleY;
      // A third of an input pixel.
      const isThere =
        Math.abs(x - centre[0]) * placement.scaleX < 0.34 && Math.abs(y - centre[1]) * placement.scaleY < 0.34;
      if (!isThere) complaints.push(`${where}: the box is at ${x.toFixed(1)}, ${y.toFixed(1)} instead of ${centre}`);
    }
    if (seen === 0) complaints.push(`frame ${frame.meta.frame}: no view shows the box`);
  }
  return complaints;
}

describe('a box in the picture', () => {
  const BOX: Box = { x: 180, y: 60, width: 24, height: 16 };
  const shown = { width: 320, height: 180 };
  /** `shown`: the picture as displayed; `kept`: the full picture that sharp gets. */
  const square = { path: '', boxOf: () => BOX, shown, kept: shown };
  const odd = { path: '', boxOf: () => BOX, shown: { width: 321, height: 181 }, kept: { width: 322, height: 182 } };
  const wide = {
    path: '',
    // Stored at 132 to 150 of 240 columns, which are displayed 4/3 as wide.
    boxOf: () => ({ x: 176, y: 60, width: 24, height: 16 }),
    shown,
    kept: shown,
  };
  const resized = {
    path: '',
    boxOf: ({ meta }: ViewedFrame) => (meta.width === 320 ? BOX : { x: 62, y: 100, width: 12, height: 12 }),
    shown,
    kept: shown,
  };

  beforeAll(async () => {
    square.path = await boxVideo(join(folder, 'square.mp4'), '320x180', BOX);
    odd.path = await boxVideo(join(folder, 'odd.mp4'), '321x181', BOX, 'format=yuv444p');
    wide.path = await boxVideo(join(folder, 'wide.mp4'), '240x180', { ...BOX, x: 132, width: 18 }, 'setsar=4/3');
    const parts = [
      await boxVideo(join(folder, 'first.ts'), '320x180', BOX),
      await boxVideo(join(folder, 'second.ts'), '160x240', { x: 62, y: 100, width: 12, height: 12 }),
    ];
    resized.path = join(folder, 'resized.ts');
    await runFfmpeg('-i', `concat:${parts.join('|')}`, '-map', '0:v', '-c', 'copy', resized.path);
  });

  const clips = [
    ['square pixels', square],
    ['an odd size', odd],
    ['pixels wider than high', wide],
    ['a size that changes on the way', resized],
  ] as const;
  const settings = [
    ['a region', REGION],
    ['tiles and the whole', TILES],
    ['tiles of a region', TILED_REGION],
  ] as const;
  const cases = clips.flatMap(([clip, of]) =>
    settings.flatMap(([name, views]) =>
      ([CENTRED, TOP_LEFT, STRETCHED] as const).map((resize) => ({ clip, of, name, views, resize, rule: resize.mode })),
    ),
  );

  it.each(cases)('is found at its place by ffmpeg: $clip, $name, $rule', async ({ of, views, resize }) => {
    const input = { width: 96, height: 64, resize };
    const frames = await readViews(of.path, { ffmpeg: testFfmpeg, views, input });
    expect(frames.length).toBe(of === resized ? 8 : 4);
    expect(frames[0]!.meta).toMatchObject(of.shown);
    expect(misplaced(frames, of.boxOf, 96)).toEqual([]);
  });

  it.each(cases)(
    'is found at its place by sharp in the full picture: $clip, $name, $rule',
    async ({ of, views, resize }) => {
      const input = { width: 96, height: 64, resize };
      const frames = await readViews(of.path, { ffmpeg: testFfmpeg, views, input, picture: of.kept });
      expect(misplaced(frames, of.boxOf, 96)).toEqual([]);
    },
  );

  it('is found at the wrong place if the place of another view is used', async () => {
    const input = { width: 96, height: 64, resize: CENTRED };
    const frames = await readViews(square.path, { ffmpeg: testFfmpeg, views: TILES, input });
    expect(misplaced(frames, square.boxOf, 96, 1).length).toBeGreaterThan(0);
  });
});

describe.skipIf(sharedDir === null)('unusual files (needs the shared folder)', () => {
  it.each([
    ['sar_4_3.mp4', { width: 768, height: 432 }],
    ['rotate90.mp4', { width: 432, height: 768 }],
    ['midstream_resize.ts', { width: 768, height: 432 }],
  ])('%s: ffmpeg and sharp make the same views', async (name, picture) => {
    const path = join(sharedDir!, 'odd-media', name);
    const input = { width: 96, height: 96, resize: CENTRED };
    const options = { ffmpeg: testFfmpeg, views: [...TILES, ...REGION], input };
    const [direct, fromPicture] = [await readViews(path, options), await readViews(path, { ...options, picture })];
    expect(direct.length).toBeGreaterThan(30);
    expect(fromPicture.length).toBe(direct.length);
    for (const at of [0, direct.length - 1]) {
      const [a, b] = [direct[at]!, fromPicture[at]!];
      expect([a.meta.width, a.meta.height]).toEqual([b.meta.width, b.meta.height]);
      for (const [view, one] of a.inputs.entries()) {
        const two = b.inputs[view]!;
        // Edges lie on even stored pixels in one, on even displayed pixels in the other.
        for (const key of ['x', 'y', 'width', 'height'] as const)
          expect(Math.abs(one.bounds[key] - two.bounds[key]), `${name} ${view} ${key}`).toBeLessThanOrEqual(4.01);
        const next = b.inputs[(view + 1) % b.inputs.length]!;
        const difference = meanDifference(one.pixels, two.pixels);
        expect(difference, `frame ${at}, view ${view}`).toBeLessThan(12);
        expect(meanDifference(one.pixels, next.pixels), 'another view looks different').toBeGreaterThan(2 * difference);
      }
    }
  });
});

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}
