import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { SightlineError } from '../../src/errors/sightline-error.ts';
import { demoClipPath, makeDemoClip } from '../../src/host/demo-clip.ts';
import type { DemoPictures } from '../../src/host/demo-scene.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { describeVideo, runFfmpeg } from '../support/read-video.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-demo-clip-'));
afterAll(() => rmSync(folder, { recursive: true }));

const WIDTH = 1280;

/** Pictures of the right sizes in one colour each: the black car is green here, the grey one and its street are grey. */
async function fetchPictures(): Promise<DemoPictures> {
  const plain = (width: number, height: number, background: string): Promise<Uint8Array> =>
    sharp({ create: { width, height, channels: 3, background } })
      .jpeg()
      .toBuffer();
  return { blackCar: await plain(1024, 680, '#00d000'), greyCar: await plain(1500, 938, '#808080') };
}

describe('the demonstration clip', () => {
  it('shows a street of 24 seconds on which cars drive, empty where it is repeated', async () => {
    const path = demoClipPath(join(folder, 'works'));
    await makeDemoClip(testFfmpeg, path, fetchPictures);
    const video = await describeVideo(path);
    expect(video).toMatchObject({ width: WIDTH, height: 720, durationMs: 24_000, codec: 'h264' });
    expect(video.timesMs).toHaveLength(600);
    expect(readdirSync(dirname(path))).toHaveLength(1);
    // The green car enters on the right after 1.5 s and drives to the left at 300 pixels a second, so its front is at
    // 1280 - 300 (t - 1.5). The far lane is where y is 400 to 450.
    const rows = await readRows(path, [0, 75, 125, 599]);
    const [start, early, late, end] = rows.map(greenSpan);
    expect([start, end]).toEqual([null, null]);
    for (const [span, second] of [
      [early, 3],
      [late, 5],
    ] as const) {
      const front = WIDTH - 300 * (second - 1.5);
      expect(span![0]).toBeGreaterThan(front - 15);
      expect(span![0]).toBeLessThan(front + 25);
    }
  }, 180_000);

  it('names what could not be fetched and what to do, if there is no network', async () => {
    const away = new SightlineError('MODEL_WEIGHTS_MISSING', 'npm view a@1: getaddrinfo ENOTFOUND registry');
    await expect(
      makeDemoClip(testFfmpeg, join(folder, 'offline.mp4'), () => Promise.reject(away)),
    ).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: expect.stringMatching(/pictures could not be fetched: npm view .*ENOTFOUND.*video of your own/),
    });
  });

  it('leaves no incomplete file behind if the pictures are damaged or ffmpeg fails', async () => {
    const damaged = async (): Promise<DemoPictures> => ({ blackCar: new Uint8Array(9), greyCar: new Uint8Array(9) });
    const path = demoClipPath(join(folder, 'broken'));
    await expect(makeDemoClip(testFfmpeg, path, damaged)).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringMatching(/pictures cannot be read.*video of your own/),
    });
    await expect(makeDemoClip({ ...testFfmpeg, path: '/bin/false' }, path, fetchPictures)).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringMatching(/ffmpeg at .* could not make it/),
    });
    expect(readdirSync(dirname(path))).toEqual([]);
  });
});

/** Reads one row of the far lane, RGB, from each of some frames, in one pass. */
async function readRows(path: string, frames: readonly number[]): Promise<Uint8Array[]> {
  const rows = join(folder, 'rows.rgb');
  const select = frames.map((frame) => `eq(n,${frame})`).join('+');
  const filters = `select='${select}',format=rgb24,crop=${WIDTH}:1:0:425`;
  await runFfmpeg('-i', path, '-vf', filters, '-vsync', '0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', rows);
  const bytes = readFileSync(rows);
  return frames.map((_, i) => bytes.subarray(3 * WIDTH * i, 3 * WIDTH * (i + 1)));
}

/** First and last column that are much greener than red; null if none is. */
function greenSpan(row: Uint8Array): [number, number] | null {
  const green = Array.from({ length: WIDTH }, (_, x) => x).filter((x) => row[3 * x + 1]! - row[3 * x]! >= 60);
  return green.length === 0 ? null : [green[0]!, green.at(-1)!];
}
