import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RuntimeStream } from '../../src/frame/runtime/stream/runtime-stream.ts';
import { HttpVideoServer } from '../support/http-video-server.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../support/processes.ts';
import { freePort, RefusingCamera, RtspServer, rtspScript } from '../support/rtsp-server.ts';
import { waitFor } from '../support/wait-for.ts';

if (rtspScript.path === null) console.warn(`RTSP faults are skipped: ${rtspScript.reason}`);

/** @returns how many attempts of a stream to connect have failed since this call. */
function failedAttempts(stream: RuntimeStream): () => number {
  let count = 0;
  const onLaneMessage = stream.onLaneMessage.bind(stream);
  stream.onLaneMessage = (message) => {
    if (message.type === 'reconnecting') count += 1;
    onLaneMessage(message);
  };
  return () => count;
}

/** A stream must resume within this time after its source returns; measured times are printed and much shorter. */
const BACK_WITHIN_MS = 5_000;

describe.skipIf(!hasProc)('a server that disappears (needs /proc)', () => {
  const steadySource = new VideoFolder();
  const served = new VideoFolder();
  const rtspServers: RtspServer[] = [];
  let http: HttpVideoServer;
  let live: LiveRuntime;

  beforeAll(async () => {
    const [video, clip] = await Promise.all([
      served.make('served.mp4', { frames: 100 }),
      served.make('clip.mp4', { frames: 3 }),
      served.make('long.mp4', { frames: 1500 }),
      steadySource.make('steady.mp4', { frames: 100 }),
    ]);
    execFileSync(testFfmpeg.path, ['-loglevel', 'error', '-i', clip, '-c', 'copy', `${served.path}/clip.ts`]);
    http = new HttpVideoServer(video, `${served.path}/clip.ts`, served.path);
    await http.start();
    await Promise.all([http.startPackager('short', 0.5), http.startPackager('long', 2)]);
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(steadySource.marker), 'no ffmpeg outlives its runtime').toEqual([]);
    await Promise.all(rtspServers.splice(0).map((server) => server.stop()));
  });

  afterAll(async () => {
    await http.close();
    served.remove();
    steadySource.remove();
  });

  async function openWithSteady(): Promise<void> {
    live = await LiveRuntime.open({ lanes: 2, threads: 1 });
    await live.add({ id: 'steady', source: `${steadySource.path}/steady.mp4`, loop: true, realtime: true });
    await live.flows('steady');
  }

  /** The query marks our ffmpeg, as opposed to those that serve. */
  const httpUrl = (path: string): string => `${http.origin}${path}?m=${steadySource.marker}`;

  /** Stops a server until the stream is reconnecting, restarts it, and returns the time until the stream resumes. */
  async function recoveryMs(id: string, stop: () => Promise<void>, start: () => Promise<void>): Promise<number> {
    const stream = live.runtime.stream(id);
    await stop();
    await live.reaches(stream, 'reconnecting');
    const failed = failedAttempts(stream);
    await waitFor('a second attempt', () => failed() >= 2);
    await start();
    const ms = await live.flows(id, 1, { everyMs: 5 });
    await live.flows(id);
    return ms;
  }

  it.each([
    { name: 'MPEG-TS over HTTP', path: '/live.ts', realtime: true },
    { name: 'HLS', path: '/hls/short.m3u8', realtime: false },
  ])('$name: the stream resumes soon after its server returns', async ({ name, path, realtime }) => {
    await openWithSteady();
    await live.add({ id: 'cam', source: httpUrl(path), realtime, staleMs: 2000 });
    await live.flows('cam');
    const steadyIsWell = live.watch(['steady']);
    const ms = await recoveryMs(
      'cam',
      () => http.stop(),
      () => http.start(),
    );
    console.log(`${name}: next result ${Math.round(ms)} ms after the server's return`);
    expect(ms).toBeLessThan(BACK_WITHIN_MS);
    expect(live.codes('cam').length).toBeGreaterThanOrEqual(1);
    expect(ffmpegWith(`m=${steadySource.marker}`), 'one ffmpeg reads it').toHaveLength(1);
    expect(await steadyIsWell()).toEqual([]);
  });

  it('HLS with segments longer than staleMs flows evenly, and does not count as stalled', async () => {
    await openWithSteady();
    await live.add({ id: 'cam', source: httpUrl('/hls/long.m3u8'), staleMs: 1000 });
    await live.flows('cam', 1);
    live.published('cam').longestSilenceMs = 0;
    await live.flows('cam', 100);
    expect(live.report('cam').reconnects).toBe(0);
    expect(live.published('cam').longestSilenceMs).toBeLessThan(1000);
    expect(live.states('cam')).toEqual(['running']);
  });

  it.skipIf(rtspScript.path === null).each(['tcp', 'udp'])(
    'RTSP over %s: the stream resumes soon after its camera returns',
    async (transport) => {
      await openWithSteady();
      const camera = await RtspServer.open(`${served.path}/long.mp4`);
      rtspServers.push(camera);
      // ffmpeg gets the address of our relay, and in it the user.
      const user = `cam-${steadySource.marker}`;
      await live.add({ id: 'cam', source: camera.url.replace('//', `//${user}@`), transport, staleMs: 2000 });
      await live.flows('cam');
      const steadyIsWell = live.watch(['steady']);
      const ms = await recoveryMs(
        'cam',
        () => camera.stop(),
        () => camera.start(),
      );
      console.log(`RTSP over ${transport}: next result ${Math.round(ms)} ms after the camera's return`);
      expect(ms).toBeLessThan(BACK_WITHIN_MS);
      expect(ffmpegWith(user), 'one ffmpeg reads it').toHaveLength(1);
      expect(await steadyIsWell()).toEqual([]);
      await live.runtime.remove('cam');
      expect(ffmpegWith(user)).toEqual([]);
    },
  );

  it('a server that cuts every connection after a few frames is retried with a back-off', async () => {
    await openWithSteady();
    const steadyIsWell = live.watch(['steady']);
    const stream = await live.add({ id: 'cam', source: httpUrl('/clip.ts'), realtime: true });
    await live.reaches(stream, 'reconnecting');
    const before = http.requestCount('/clip.ts');
    const startedMs = performance.now();
    await waitFor('some more connections', () => http.requestCount('/clip.ts') >= before + 6);
    const perSecond = 6_000 / (performance.now() - startedMs);
    console.log(`a server that cuts connections: ${perSecond.toFixed(1)} ffmpeg starts a second`);
    expect(perSecond).toBeLessThan(2.5);
    expect(live.published('cam').frames.length, 'its frames are used').toBeGreaterThan(6);
    expect(await steadyIsWell()).toEqual([]);
  });
});

describe.skipIf(!hasProc)('a missing source (needs /proc)', () => {
  const steadySource = new VideoFolder();
  let live: LiveRuntime;
  let http: HttpVideoServer;

  beforeAll(async () => {
    const video = await steadySource.make('steady.mp4', { frames: 100 });
    http = new HttpVideoServer(video, video, steadySource.path);
    await http.start();
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(steadySource.marker)).toEqual([]);
  });

  afterAll(async () => {
    await http.close();
    steadySource.remove();
  });

  const secret = 'hunter2';
  const query = `m=${steadySource.marker}&token=${secret}`;

  let failed = (): number => 0;

  /** Waits for some attempts of a stream that fail. Returns how many ffmpegs were started, and the time. */
  async function tries(source: string, transport = 'tcp', count = 3): Promise<{ starts: number; seconds: number }> {
    live = await LiveRuntime.open({ lanes: 1, threads: 1 });
    await live.add({ id: 'steady', source: `${steadySource.path}/steady.mp4`, loop: true, realtime: true });
    await live.flows('steady');
    const steadyIsWell = live.watch(['steady']);
    const steadyPid = live.runtime.childPids[0];
    const seen = new Set<number>();
    const startedMs = performance.now();
    const cam = await live.add({ id: 'cam', source, realtime: true, transport });
    failed = failedAttempts(cam);
    await waitFor(
      'some attempts',
      () => {
        for (const pid of live.runtime.childPids) if (pid !== steadyPid) seen.add(pid);
        return cam.state === 'reconnecting' && failed() >= count;
      },
      { everyMs: 2 },
    );
    const seconds = (performance.now() - startedMs) / 1000;
    expect(cam.state).toBe('reconnecting');
    expect(live.report('cam').reconnects, 'no connection was made again').toBe(0);
    expect(live.states('cam')).toEqual(['reconnecting']);
    expect(await steadyIsWell()).toEqual([]);
    expect(JSON.stringify([live.events, live.report('cam')]), 'no secret is exposed').not.toContain(secret);
    return { starts: seen.size, seconds };
  }

  /** Most connections attempted so far: all that failed, and one that may be in progress. */
  const attempts = (): number => failed() + 1;

  it('refused: SOURCE_UNREACHABLE, without starting an ffmpeg at all', async () => {
    const port = await freePort();
    const { starts } = await tries(`http://user:${secret}@127.0.0.1:${port}/live.ts?${query}`);
    expect(live.codes('cam')).toEqual(['SOURCE_UNREACHABLE']);
    expect(live.report('cam').lastError).toBe(
      `http://***@127.0.0.1:${port}/live.ts?m=***&token=***: nothing answers at 127.0.0.1:${port}`,
    );
    expect(starts).toBe(0);
  });

  it('refused RTSP over UDP: SOURCE_UNREACHABLE', async () => {
    const port = await freePort();
    const { starts } = await tries(`rtsp://user:${secret}@127.0.0.1:${port}/cam`, 'udp');
    expect(live.codes('cam')).toEqual(['SOURCE_UNREACHABLE']);
    expect(live.report('cam').lastError).toContain(`rtsp://***@127.0.0.1:${port}/cam`);
    expect(starts, 'RTSP connects over TCP, whatever the transport of the pictures').toBe(0);
  });

  it('a host name that does not resolve: SOURCE_UNREACHABLE', async () => {
    const { starts } = await tries(`rtsp://user:${secret}@camera.invalid/cam`);
    expect(live.codes('cam')).toEqual(['SOURCE_UNREACHABLE']);
    expect(live.report('cam').lastError).toContain('camera.invalid');
    expect(starts).toBe(0);
  });

  it.each([
    { status: 404, code: 'SOURCE_UNREACHABLE' },
    { status: 503, code: 'SOURCE_UNREACHABLE' },
  ])('HTTP $status: $code, retried with a back-off', async ({ status, code }) => {
    const origin = http.origin.replace('//', `//user:${secret}@`);
    const before = http.requestCount(`/status/${status}`);
    const { seconds } = await tries(`${origin}/status/${status}?${query}`);
    const requests = http.requestCount(`/status/${status}`) - before;
    expect(live.codes('cam')).toEqual([code]);
    expect(live.report('cam').lastError).toContain(`/***/${status}?m=***&token=***`);
    // With credentials ffmpeg sends two requests: without them, then with them.
    expect(requests).toBeLessThanOrEqual(2 * attempts());
    expect(seconds, 'back-off: at least 0.1 s, then 0.2').toBeGreaterThan(0.3);
  });

  it.each([401, 403])('HTTP %i: SOURCE_UNAUTHORIZED, tried once and not again soon', async (status) => {
    const origin = http.origin.replace('//', `//user:${secret}@`);
    const before = http.requestCount(`/status/${status}`);
    await tries(`${origin}/status/${status}?${query}`, 'tcp', 1);
    // The steady stream shows that time goes on.
    await live.flows('steady', 40);
    expect(live.codes('cam')).toEqual(['SOURCE_UNAUTHORIZED']);
    expect(live.report('cam').lastError).toContain(`/***/${status}?m=***&token=***`);
    // With credentials ffmpeg sends two requests: without them, then with them.
    expect(http.requestCount(`/status/${status}`) - before).toBeLessThanOrEqual(2);
    expect(failed()).toBe(1);
  });

  it('RTSP 401: SOURCE_UNAUTHORIZED, tried once and not again soon', async () => {
    const camera = await RefusingCamera.open();
    await tries(`rtsp://user:${secret}@127.0.0.1:${camera.port}/cam`, 'tcp', 1);
    await live.flows('steady', 40);
    expect(live.codes('cam')).toEqual(['SOURCE_UNAUTHORIZED']);
    expect(live.report('cam')).toMatchObject({
      lastError: expect.stringContaining('the server refuses the credentials'),
      lastErrorAtMs: expect.any(Number),
    });
    expect(camera.requestCount).toBeLessThanOrEqual(2);
    expect(failed()).toBe(1);
    camera.close();
  });

  it('RTSP 404: the camera has no such path', async () => {
    const camera = await RefusingCamera.open('404 Not Found');
    await tries(`rtsp://127.0.0.1:${camera.port}/cam2`);
    expect(live.codes('cam')).toEqual(['SOURCE_UNREACHABLE']);
    expect(live.report('cam').lastError).toContain('the camera has no such path');
    camera.close();
  });
});
