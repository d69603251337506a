import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../support/processes.ts';
import { waitFor } from '../support/wait-for.ts';

/** Far shorter than the time between two frames that are taken. */
const STALE_MS = 500;

describe.skipIf(!hasProc)('a live stream of which few frames are taken (needs /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
  });
  afterAll(() => folder.remove());

  const open = async (settings: object): Promise<void> => {
    const source = await folder.make('loop.mp4', { frames: 100, fps: 50 });
    live = await LiveRuntime.open();
    await live.add({ id: 'slow', source, loop: true, realtime: true, staleMs: STALE_MS, ...settings });
  };

  it.each([{ every: 100 }, { maxFps: 0.5 }, { every: 10, maxFps: 0.5 }])(
    'keeps its connection while frames are decoded: %j',
    async (settings) => {
      await open(settings);
      await live.flows('slow', 4, { deadlineMs: 30_000 });
      expect(live.report('slow')).toMatchObject({ state: 'running', reconnects: 0 });
    },
  );

  it('is opened again if nothing is decoded any more', async () => {
    await open({ every: 200 });
    await live.flows('slow', 1);
    const [child] = ffmpegWith(folder.marker);
    process.kill(child!.pid, 'SIGSTOP');
    await waitFor('a new connection', () => live.report('slow').reconnects === 1);
    await live.flows('slow', 1);
    expect(live.codes('slow')).toEqual(['SOURCE_STALLED']);
  });
});
