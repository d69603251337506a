import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SourceWindow } from '../../src/base/core/source.ts';
import { planSegments } from '../../src/fleet/control/jobs/plan-segments.ts';
import type { FfmpegBinary } from '../../src/frame/decode/ffmpeg-binary.ts';
import type { FrameHeader } from '../../src/frame/decode/ffmpeg-log.ts';
import type { SegmentSpan } from '../../src/wire/protocol/fleet.ts';
import { CutClips } from '../support/cut-clips.ts';
import { type Decoded, decodeFrames, fileSource } from '../support/decode-frames.ts';
import { sharedDir } from '../support/shared.ts';
import { testedFfmpegs } from './odd-media-player.ts';

const clips = new CutClips();
const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));
const decode = (ffmpeg: FfmpegBinary, path: string, every: number, window?: SourceWindow): Promise<Decoded> =>
  decodeFrames(ffmpeg, { ...fileSource(path), ...(window === undefined ? {} : { window }) }, { every });

const plan = (ffmpeg: FfmpegBinary, path: string, segmentSeconds: number): Promise<readonly SegmentSpan[]> =>
  planSegments({ ffmpeg, path, segmentSeconds, tapers: false, signal: new AbortController().signal });

async function expectSameInParts(
  ffmpeg: FfmpegBinary,
  path: string,
  segmentSeconds: number,
  steps: readonly number[],
): Promise<void> {
  const spans = await plan(ffmpeg, path, segmentSeconds);
  expect(spans.length, path).toBeGreaterThan(1);
  for (const every of steps) {
    const whole = await decode(ffmpeg, path, every);
    const frames: FrameHeader[] = [];
    const pictures: string[] = [];
    for (const { fromUs, toUs, firstFrame, frames: listed } of spans) {
      const part = await decode(ffmpeg, path, every, { fromUs, toUs, firstFrame });
      if (every === 1) expect(part.frames).toHaveLength(listed!);
      frames.push(...part.frames);
      pictures.push(...part.pictures);
    }
    expect(frames).toEqual(whole.frames);
    expect(pictures).toEqual(whole.pictures);
  }
}

beforeAll(async () => {
  await clips.regular();
  await clips.irregular();
});
afterAll(() => clips.remove());

describe.each(ffmpegs)('$label', ({ binary }) => {
  it('a file decoded in parts gives the same pictures and times as in one piece', async () => {
    for (const [, path] of await clips.regular()) await expectSameInParts(binary, path, 1, [1, 4]);
  });

  it('files that cannot be cut reliably stay whole', async () => {
    const whole = { index: 0, fromUs: null, toUs: null, firstFrame: 0 };
    for (const [what, path] of await clips.irregular()) expect(await plan(binary, path, 1), what).toEqual([whole]);
    expect(await plan(binary, join(clips.path, 'reordered.mp4'), 0)).toEqual([whole]);
  });

  it.skipIf(sharedDir === null)(
    'the same holds for real recordings (needs shared videos)',
    { timeout: 240_000 },
    async () => {
      const folder = join(sharedDir!, 'videos');
      const names = readdirSync(folder).filter((name) => name.endsWith('.mp4'));
      const kept: string[] = [];
      for (const name of names) {
        if ((await plan(binary, join(folder, name), 8)).length === 1) kept.push(name);
        else await expectSameInParts(binary, join(folder, name), 8, [1]);
      }
      // Its packets have decode times, not presentation times. bikes.mp4 lasts ten seconds.
      expect(kept).toEqual(['bikes.mp4', 'pedestrians.mp4']);
    },
  );
});

it('an aborted plan rejects with the reason', async () => {
  const stop = AbortSignal.abort(new Error('the job was cancelled'));
  const request = {
    ffmpeg: ffmpegs[0]!.binary,
    path: join(clips.path, 'reordered.mp4'),
    segmentSeconds: 1,
    tapers: false,
    signal: stop,
  };
  await expect(planSegments(request)).rejects.toThrow('the job was cancelled');
});
