import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clockTicks } from '../../src/frame/infer/clock-code.ts';
import type { CameraSpec } from '../../src/lab/loadtest/cameras/camera-plan.ts';
import { CameraProcess } from '../../src/lab/loadtest/cameras/camera-process.ts';
import { systemTicks } from '../../src/lab/loadtest/cameras/clock-encoder.ts';
import type { LoadResult } from '../../src/lab/loadtest/load-result.ts';
import { type LoadPlan, runLoadTest } from '../../src/lab/loadtest/run-load-test.ts';
import { RuntimeSubject } from '../../src/lab/loadtest/runtime-subject.ts';
import { RunRecorder } from '../../src/lab/measure/run-recorder.ts';
import { parseTargets } from '../../src/lab/measure/targets.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { childrenWith, isAlive } from '../support/processes.ts';
import { waitFor } from '../support/wait-for.ts';

const CAMERA: CameraSpec = {
  id: 'cam',
  width: 320,
  height: 180,
  fps: 20,
  jitterMs: 0,
  burst: null,
  events: [],
  seed: 1,
  pictures: { kind: 'test' },
};

describe('virtual cameras with real processes', () => {
  let cameras: CameraProcess;

  beforeAll(async () => {
    cameras = await CameraProcess.open(testFfmpeg);
    const wide = { ...CAMERA, id: 'wide', width: 1280, height: 720, fps: 50 };
    await cameras.add([CAMERA, wide, { ...CAMERA, id: 'clock', pictures: { kind: 'clock' } }]);
  });

  afterAll(() => cameras.close());

  it.each([
    ['http', 'tcp'],
    ['rtsp', 'tcp'],
    ['rtsp', 'udp'],
  ] as const)(
    'over %s (%s): every picture shows a time that has just passed, in order',
    async (protocol, transport) => {
      const model = { engine: 'fake', inputSize: '320x180', threads: 1, fake: { barcode: true } };
      const live = await LiveRuntime.open({ model });
      const read: { ticks: number; now: number }[] = [];
      let unread = 0;
      live.runtime.published.add(({ detections }) => {
        if (detections[0] === undefined) unread += 1;
        else read.push({ ticks: clockTicks(detections[0].score), now: systemTicks() });
      });
      await live.add({ id: 'a', source: cameras.url('clock', protocol), transport, policy: 'live' });
      await live.flows('a', 30);
      expect(await live.close()).toEqual([]);
      // Over UDP a packet may be lost on a busy machine.
      expect(unread).toBeLessThanOrEqual(transport === 'udp' ? 10 : 0);
      expect(read.length).toBeGreaterThanOrEqual(20);
      for (const [i, { ticks, now }] of read.entries()) {
        const age = (((now - ticks) % 2 ** 23) + 2 ** 23) % 2 ** 23;
        expect(age).toBeLessThan(10_000 * 10);
        if (i > 0) expect(ticks).toBeGreaterThan(read[i - 1]!.ticks);
      }
    },
  );

  it('a reader that stops reading loses frames, and the camera makes them on time all the same', async () => {
    const { port, pathname } = new URL(cameras.url('wide', 'http'));
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: camera\r\n\r\n`);
    await once(socket, 'data');
    socket.pause();
    const find = async () => (await cameras.stats()).cameras.find(({ id }) => id === 'wide')!;
    const total = ({ offered, unread }: { offered: number; unread: number }): number => offered + unread;
    await waitFor('lost frames', async () => (await find()).lost > 0, { deadlineMs: 40_000, everyMs: 200 });
    const from = await find();
    const fromMs = performance.now();
    await waitFor('100 more', async () => total(await find()) >= total(from) + 100);
    const to = await find();
    const elapsedS = (performance.now() - fromMs) / 1000;
    // Its clock goes on: as many frames as the time allows, and those that the reader did not take are lost.
    expect(total(to) - total(from)).toBeLessThanOrEqual(elapsedS * 50 + 5);
    expect(to.sent).toBe(from.sent);
    expect(to.lost - from.lost).toBe(to.offered - from.offered);
    socket.destroy();
  });

  it('time away is no latency: the clock of a camera is found anew when it returns', async () => {
    const events = [{ atS: 6, kind: 'leave' } as const, { atS: 12, kind: 'return' } as const];
    const live = await LiveRuntime.open();
    await cameras.add([{ ...CAMERA, id: 'shy', events }]);
    const stream = await live.add({ id: 'shy', source: cameras.url('shy', 'http'), policy: 'live' });
    const recorder = new RunRecorder(live.runtime, [stream]);
    await live.flows('shy', 5);
    await waitFor('it to leave', () => stream.state === 'reconnecting', { deadlineMs: 30_000 });
    const before = recorder.closeWindow();
    await live.flows('shy', 20, { deadlineMs: 30_000 });
    const after = recorder.closeWindow();
    recorder.close();
    expect(before.frames.length).toBeGreaterThan(5);
    expect(after.frames.length).toBeGreaterThanOrEqual(20);
    // It was away for 6 s.
    for (const frame of [...before.frames, ...after.frames])
      expect(frame.times.published - recorder.dueMs(frame)).toBeLessThan(4_000);
    expect(await live.close()).toEqual([]);
  });

  it('report what they cost', async () => {
    const { cpuMs, rssBytes } = await cameras.stats();
    expect(cpuMs).toBeGreaterThan(0);
    expect(rssBytes).toBeGreaterThan(10e6);
  });

  it('a camera of no such name is not found, and pictures that cannot be read are refused', async () => {
    expect((await fetch(cameras.url('nobody', 'http'))).status).toBe(404);
    const missing: CameraSpec = { ...CAMERA, id: 'bad', pictures: { kind: 'file', path: '/no/such/clip.mp4' } };
    await expect(cameras.add([missing])).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
  });

  it('an ffmpeg that is missing is an error with its code', async () => {
    const other = await CameraProcess.open({ ...testFfmpeg, path: '/no/such/ffmpeg' });
    await expect(other.add([CAMERA])).rejects.toMatchObject({ code: 'FFMPEG_MISSING' });
    await other.close();
    expect(isAlive(other.pid)).toBe(false);
  });
});

describe('a load test on a pipeline with a fake engine', () => {
  const notes: string[] = [];

  afterEach(() => {
    expect(childrenWith('virtual-cameras.process')).toEqual([]);
    notes.length = 0;
  });

  async function run(callMs: number, changes: Partial<LoadPlan>): Promise<LoadResult> {
    const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake: { callMs } };
    const streams = [{ id: 'a', source: 'synthetic:testsrc2' }];
    const text = { name: 'load', description: 'A load test.', model, lanes: 1, batch: { maxBatch: 1 }, streams };
    const environment = {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      modelPath: [],
      token: undefined,
      cacheDir: join(tmpdir(), 'sightline-no-cache'),
    };
    const note = (line: string): void => void notes.push(line);
    const pipeline = parsePipeline(JSON.stringify(text), 'test');
    const subject = await RuntimeSubject.open('load.yaml', pipeline, { ffmpeg: testFfmpeg, environment, note });
    return runLoadTest(
      subject,
      {
        profile: 'stress',
        cameras: 6,
        mostCameras: 24,
        seconds: 30,
        fps: 2,
        size: { width: 160, height: 96 },
        targets: parseTargets('drops<=2%'),
        protocol: 'http',
        seed: 1,
        pictures: { kind: 'test' },
        cameraHost: '127.0.0.1',
        ffmpeg: testFfmpeg,
        streamId: (n: number) => `camera-${n}`,
        ...changes,
      },
      { signal: new AbortController().signal, note },
    );
  }

  it('stress: finds the capacity, says what gave way, and that it recovered', async () => {
    // One thread, one frame at a time, 50 ms each: 20 a second, ten cameras of 2; fewer if others take the processor.
    const { breakPoint, degradation, recoverySeconds, verdict, steps } = await run(50, {});
    const said = notes.join('\n');
    const isQuiet = steps.every(({ machine }) => (machine?.otherRatio ?? 1) < 0.1);
    const served = Math.min(...steps.filter(({ verdict }) => verdict === 'missed').map(({ fps }) => fps / 2));
    expect(breakPoint!.cameras, said).toBeGreaterThanOrEqual(isQuiet ? 9 : Math.floor(0.9 * served));
    expect(breakPoint!.cameras, said).toBeLessThanOrEqual(11);
    expect(breakPoint!.target, said).toBe('drops<=2%');
    const broken = steps.filter(({ cameras, verdict }) => cameras === breakPoint!.brokenAt && verdict === 'missed');
    expect(broken, said).not.toEqual([]);
    if (isQuiet)
      expect({ firstToGive: breakPoint!.firstToGive, verdict }, said).toEqual({ firstToGive: 'infer', verdict: 'met' });
    expect(degradation).toMatchObject({ areDropsNamed: true });
    expect(Object.keys(degradation!.dropped).length).toBeGreaterThan(0);
    expect(recoverySeconds, said).not.toBeNull();
    for (const step of steps) expect(step.conservationGap).toBe(0);
  }, 240_000);

  it('baseline: cameras that are too much for the pipeline miss the targets', async () => {
    const result = await run(200, { profile: 'baseline', cameras: 4, seconds: 4, fps: 10 });
    expect(result).toMatchObject({ verdict: 'missed', breakPoint: null, slopes: [] });
    expect(result.cameras).toMatchObject({ count: 4, protocol: 'http' });
    expect(result.cameras.framesOffered).toBeGreaterThan(50);
    expect(result.steps[0]!.dropRatio).toBeGreaterThan(0.5);
  });

  it('protocol file: no cameras run, and streams read at their own rate', async () => {
    const result = await run(5, { profile: 'baseline', cameras: 2, seconds: 3, fps: 10, protocol: 'file' });
    expect(result.cameras).toMatchObject({ protocol: 'file', cpuCores: null });
    expect(result.steps[0]!.fps).toBeLessThan(30);
    expect(result.steps[0]!.fps).toBeGreaterThan(5);
  });

  it('is aborted by its signal, and leaves no process', async () => {
    const stop = new AbortController();
    const pipeline = parsePipeline(
      JSON.stringify({
        name: 'load',
        description: 'A load test.',
        lanes: 1,
        streams: [{ id: 'a', source: 'synthetic:testsrc2' }],
        model: { engine: 'fake', inputSize: '160x96', threads: 1 },
      }),
      'test',
    );
    const environment = {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      modelPath: [],
      token: undefined,
      cacheDir: tmpdir(),
    };
    const note = (): void => undefined;
    const subject = await RuntimeSubject.open('load.yaml', pipeline, { ffmpeg: testFfmpeg, environment, note });
    const running = runLoadTest(
      subject,
      {
        profile: 'baseline',
        cameras: 2,
        mostCameras: 2,
        seconds: 600,
        fps: 5,
        size: null,
        targets: [],
        protocol: 'rtsp',
        seed: 1,
        pictures: { kind: 'test' },
        cameraHost: '127.0.0.1',
        ffmpeg: testFfmpeg,
        streamId: (n: number) => `camera-${n}`,
      },
      { signal: stop.signal, note: (text) => text.startsWith('starting') && stop.abort() },
    );
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  });
});
