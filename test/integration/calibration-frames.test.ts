import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { calibrationFrames } from '../../src/cli/calibration-frames.ts';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { readEnvironment } from '../../src/settings/config/environment.ts';
import { tinyModel } from '../conformance/engine-cases.ts';
import { VideoFolder } from '../support/made-videos.ts';

describe('calibrationFrames', () => {
  const folder = new VideoFolder();
  afterAll(() => folder.remove());
  const io: CliIo = {
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    environment: readEnvironment(process.env),
    stop: new AbortController().signal,
  };
  const { spec } = tinyModel();
  const bytes = spec.input.width * spec.input.height * 3;

  it('takes 64 frames that are spread over a video, fitted into the input', async () => {
    // 8 seconds: 200 frames, of which about every third is taken.
    const video = await folder.make('long.mp4', { frames: 200 });
    const frames = await calibrationFrames(video, spec, io);
    expect(frames).toHaveLength(64);
    expect(new Set(frames.map(({ length }) => length))).toEqual(new Set([bytes]));
    // The test picture moves, so that frames from all over it differ.
    expect(new Set(frames.map((frame) => Buffer.from(frame).toString('base64'))).size).toBeGreaterThan(16);
  });

  it('of a file that is no video gives the cause', async () => {
    await expect(calibrationFrames('package.json', spec, io)).rejects.toMatchObject({
      code: expect.stringMatching(/^SOURCE_/),
    });
  });

  it('of nothing says what was expected', async () => {
    await expect(calibrationFrames('no-such-folder', spec, io)).rejects.toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      message: expect.stringContaining('expected a folder of pictures or a video'),
    });
  });
});
