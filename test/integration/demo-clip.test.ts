import { statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { demoClip } from '../../src/network/store/package-root.ts';
import { describeVideo } from '../support/read-video.ts';

it('the demonstration clip comes with the package: 24 seconds that every browser plays, small', async () => {
  expect(statSync(demoClip()).size).toBeLessThan(2e6);
  const video = await describeVideo(demoClip());
  expect(video).toMatchObject({ width: 1280, height: 720, durationMs: 24_000, codec: 'h264' });
  expect(video.timesMs).toHaveLength(600);
});
