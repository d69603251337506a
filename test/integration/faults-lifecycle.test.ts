import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc, ownResources } from '../support/processes.ts';
import { freePort } from '../support/rtsp-server.ts';
import { waitFor, within } from '../support/wait-for.ts';

const FILE_FRAMES = 300;

describe.skipIf(!hasProc)('adding, pausing and removing streams (needs /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100 });
    await folder.make('file.mp4', { frames: FILE_FRAMES });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(folder.marker), 'no ffmpeg outlives its runtime').toEqual([]);
  });

  afterAll(() => folder.remove());

  const camera = (id: string, more: object = {}): Record<string, unknown> => ({
    id,
    source: `${folder.path}/loop.mp4`,
    loop: true,
    realtime: true,
    ...more,
  });
  const file = (id: string): Record<string, unknown> => ({ id, source: `${folder.path}/file.mp4` });

  it('a camera can be paused and resumed: no ffmpeg runs meanwhile, and frame numbers continue', async () => {
    live = await LiveRuntime.open();
    const [cam] = await live.addAll([camera('cam'), camera('steady')]);
    await live.allFlow(['cam', 'steady']);
    const steadyIsWell = live.watch(['steady']);
    for (let i = 0; i < 3; i++) {
      await within('pause', 5_000, cam!.pause());
      expect(cam!.state).toBe('paused');
      expect(ffmpegWith(folder.marker)).toHaveLength(1);
      expect(live.report('cam').frames.inFlight).toBe(0);
      const before = live.published('cam').frames.length;
      await live.flows('steady', 3);
      expect(live.published('cam').frames.length, 'nothing is published while paused').toBe(before);
      cam!.resume();
      await live.flows('cam');
    }
    const { frames } = live.published('cam');
    expect(frames).toEqual([...new Set(frames)].sort((a, b) => a - b));
    expect(live.states('cam').slice(0, 5)).toEqual(['running', 'pausing', 'paused', 'starting', 'running']);
    expect(await steadyIsWell()).toEqual([]);
  });

  it('a file that is paused repeatedly loses no frame and repeats none', async () => {
    live = await LiveRuntime.open({ frameMs: 4, threads: 2 });
    const archive = await live.add(file('archive'));
    for (let i = 0; i < 3; i++) {
      await live.flows('archive', 20);
      await within('pause', 5_000, archive.pause());
      expect(live.report('archive').frames.inFlight).toBe(0);
      archive.resume();
    }
    await within('the file', 20_000, archive.settled());
    expect(archive.state).toBe('ended');
    expect(live.published('archive').frames).toEqual(Array.from({ length: FILE_FRAMES }, (_, i) => i));
  });

  it('a file that is paused after its last frame was read ends normally when it is resumed', async () => {
    live = await LiveRuntime.open({ callMs: 150, frameMs: 0, maxBatch: 1 });
    const archive = await live.add({ id: 'short', source: await folder.make('short.mp4', { frames: 4 }) });
    await waitFor('all frames to be read', () => live.report('short').frames.in === 4);
    await within('pause', 10_000, archive.pause());
    archive.resume();
    await within('the file', 10_000, archive.settled());
    expect(archive.failure).toBeNull();
    expect(live.published('short').frames).toEqual([0, 1, 2, 3]);
  });

  it('a stream that is removed while it is pausing is removed, and both requests are answered', async () => {
    live = await LiveRuntime.open({ callMs: 100, frameMs: 0, maxBatch: 1 });
    const [cam, archive] = await live.addAll([camera('cam'), file('archive')]);
    await live.allFlow(['cam', 'archive'], 2);
    const pauses = [cam!.pause(), archive!.pause()].map((pause) => pause.catch(() => undefined));
    const removals = [live.runtime.remove('cam'), live.runtime.remove('archive')];
    await within('pause and removal', 10_000, Promise.all([...pauses, ...removals]));
    expect([cam!.state, archive!.state]).toEqual(['removed', 'removed']);
    expect(ffmpegWith(folder.marker)).toEqual([]);
  });

  it('a camera whose ffmpeg dies during a pause request is paused normally', async () => {
    live = await LiveRuntime.open();
    const cam = await live.add(camera('cam'));
    for (let i = 0; i < 5; i++) {
      await live.flows('cam', 2);
      process.kill(ffmpegWith(folder.marker)[0]!.pid, 'SIGKILL');
      // The lane's reconnect message and our pause request cross, at a different point each time.
      for (let turn = 0; turn < i * 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      await within('pause', 5_000, cam.pause());
      expect(cam.state).toBe('paused');
      cam.resume();
    }
    await live.flows('cam', 2);
  });

  it('a stream is removed while its lane dies', async () => {
    live = await LiveRuntime.open();
    const [cam, archive] = await live.addAll([camera('cam'), file('archive')]);
    await live.allFlow(['cam', 'archive'], 2);
    const crash = live.runtime.threads.lanes[0]!.crash();
    await within('removals', 10_000, Promise.all([live.runtime.remove('cam'), live.runtime.remove('archive'), crash]));
    expect([cam!.state, archive!.state]).toEqual(['removed', 'removed']);
    await live.add(camera('again'));
    await live.flows('again');
  });

  it('a stream can be removed while it connects and while it waits to reconnect', async () => {
    live = await LiveRuntime.open();
    await live.add(camera('steady'));
    await live.flows('steady');
    const steadyIsWell = live.watch(['steady']);
    const port = await freePort();
    // 192.0.2.0/24 is reserved for documentation: there is no answer, not even a refusal.
    for (const source of ['rtsp://192.0.2.1:554/cam', `rtsp://127.0.0.1:${port}/cam`]) {
      const connecting = await live.add({ id: 'cam', source });
      await within('removal while connecting', 5_000, live.runtime.remove('cam'));
      expect(connecting.state).toBe('removed');
      const waiting = await live.add({ id: 'cam', source });
      await live.reaches(waiting, 'reconnecting');
      await within('removal in back-off', 5_000, live.runtime.remove('cam'));
      expect(waiting.state).toBe('removed');
    }
    await live.add(camera('quick'));
    await within('removal at once', 5_000, live.runtime.remove('quick'));
    expect(live.runtime.childPids).toHaveLength(1);
    expect(await steadyIsWell()).toEqual([]);
  });

  it('an id in use gives STREAM_EXISTS, and can be reused after the removal', async () => {
    live = await LiveRuntime.open();
    await live.add(camera('cam'));
    await expect(live.add(camera('cam'))).rejects.toMatchObject({ code: 'STREAM_EXISTS' });
    await live.flows('cam');
    const removal = live.runtime.remove('cam');
    await expect(live.add(camera('cam'))).rejects.toMatchObject({ code: 'STREAM_EXISTS' });
    await removal;
    await live.add(camera('cam'));
    await live.flows('cam');
    await live.runtime.remove('cam');
    await expect(live.runtime.remove('cam')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
  });

  it('priority can be changed while streams run, and a paused stream can be changed too', async () => {
    // Capacity for half of the frames of two cameras: priority decides which one is served.
    live = await LiveRuntime.open({ callMs: 40, frameMs: 0, maxBatch: 1 });
    const streams = await live.addAll([camera('a'), camera('b')]);
    await live.allFlow(['a', 'b']);
    const share = async (): Promise<number> => {
      const before = ['a', 'b'].map((id) => live.published(id).frames.length);
      await waitFor('30 results', () => count() - before[0]! - before[1]! >= 30);
      return (live.published('a').frames.length - before[0]!) / 30;
    };
    const count = (): number => live.published('a').frames.length + live.published('b').frames.length;
    expect(await share()).toBeGreaterThan(0.3);
    live.runtime.retune(streams[1]!, {
      ...streams[1]!.arrangement,
      config: parseStream(camera('b', { priority: 5 }), {}),
    });
    await live.flows('b', 3);
    // What is shed before it is scaled follows within seconds.
    await waitFor('b goes first now', async () => (await share()) < 0.3);
    expect(live.report('b').priority).toBe(5);
    await streams[1]!.pause();
    live.runtime.retune(streams[1]!, {
      ...streams[1]!.arrangement,
      config: parseStream(camera('b', { priority: -5 }), {}),
    });
    streams[1]!.resume();
    await live.reaches(streams[1]!, 'running');
    await waitFor('b goes last now', async () => (await share()) > 0.8);
    expect(streams.map(({ state }) => state)).toEqual(['running', 'running']);
    expect(live.report('a').reconnects + live.report('b').reconnects).toBe(0);
  });

  it('stop() during activity ends soon, can be called again, and leaves nothing', async () => {
    const before = ownResources();
    live = await LiveRuntime.open({ lanes: 2, threads: 2, callMs: 20 });
    const port = await freePort();
    const streams = await live.addAll([
      camera('running'),
      camera('stopped'),
      camera('pausing'),
      camera('removing'),
      file('archive'),
      { id: 'away', source: `rtsp://127.0.0.1:${port}/cam` },
      { id: 'silent', source: 'rtsp://192.0.2.1:554/cam' },
    ]);
    await live.allFlow(['running', 'stopped', 'pausing', 'removing', 'archive'], 2);
    const pids = live.runtime.childPids;
    expect(pids).toHaveLength(5);
    process.kill(pids[1]!, 'SIGSTOP');
    process.kill(pids[0]!, 'SIGKILL');
    const others = [
      streams[2]!.pause().catch(() => undefined),
      live.runtime.remove('removing'),
      live.runtime.threads.lanes[1]!.crash(),
      live.runtime.threads.inference[0]!.crash(),
    ];
    await live.add(camera('new'));
    const startedMs = performance.now();
    void live.runtime.stop();
    await within('the second stop()', 10_000, live.runtime.stop());
    console.log(`stop() in the middle of everything: ${Math.round(performance.now() - startedMs)} ms`);
    expect(ffmpegWith(folder.marker), 'a second call of stop() also waits for the end').toEqual([]);
    await expect(live.add(camera('late'))).rejects.toMatchObject({ code: 'STREAM_STATE' });
    await within('what else was going on', 5_000, Promise.all(others));
    expect(streams.map(({ state }) => state)).toEqual(streams.map(() => 'removed'));
    await waitFor('the threads to be gone', () => ownResources().threads <= before.threads + 1);
    expect(await live.runtime.stop()).toEqual([]);
  });
});
