import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { RtspServer, rtspScript } from '../support/rtsp-server.ts';
import { waitFor } from '../support/wait-for.ts';

if (rtspScript.path === null) console.warn(`the times of a camera are not tested: ${rtspScript.reason}`);

describe.skipIf(rtspScript.path === null)('the times of a camera with B-frames', () => {
  const folder = new VideoFolder();
  const frames: PublishedFrame[] = [];
  let camera: RtspServer;
  let live: LiveRuntime;

  beforeAll(async () => {
    camera = await RtspServer.open(await folder.make('long.mp4', { frames: 1500, bFrames: 3 }));
    live = await LiveRuntime.open();
    live.runtime.published.add((frame) => void frames.push(frame));
    await live.add({ id: 'cam', source: camera.url, staleMs: 2000, maxAgeMs: 60_000 });
  });
  afterAll(async () => {
    expect(await live.close()).toEqual([]);
    await camera.stop();
    folder.remove();
  });

  const reported = (from = 0): PublishedFrame[] =>
    frames.slice(from).filter(({ captureClock }) => captureClock === 'sender-report');
  /** Wall clock at media time 0, by the capture of each frame. */
  const startsMs = (of: readonly PublishedFrame[]): number[] =>
    of.map(({ capturedAtMs, ptsUs }) => capturedAtMs! - ptsUs / 1000);

  it('are those of its sender reports once one has come, and as far apart as in the media', async () => {
    await waitFor('frames with the clock of the camera', () => reported().length > 30);
    expect(frames[0]!.captureClock, 'no report has come').toBe('arrival');
    const starts = startsMs(reported().slice(-30));
    // Rounded to a millisecond each; a report that comes meanwhile is as exact.
    expect(Math.max(...starts) - Math.min(...starts)).toBeLessThan(20);
    // The camera runs on this machine, so its clock is ours: frames arrive after their capture.
    for (const { capturedAtMs } of reported()) {
      expect(capturedAtMs).toBeLessThanOrEqual(Date.now());
      expect(capturedAtMs).toBeGreaterThan(Date.now() - 60_000);
    }
  }, 60_000);

  it('go on over connections: media time never goes back, and the clock of the camera is found again', async () => {
    for (let i = 0; i < 3; i += 1) {
      await camera.stop();
      await live.reaches(live.runtime.stream('cam'), 'reconnecting');
      await camera.start();
      const before = frames.length;
      await waitFor('frames with the clock of the camera', () => reported(before).length > 10);
    }
    const times = frames.map(({ ptsUs }) => ptsUs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(new Set(frames.map(({ run }) => run)).size).toBe(1);
  }, 120_000);
});
