import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Recorder } from '../../src/after/recording/recorder.ts';
import { redactSource } from '../../src/base/core/redact.ts';
import { FREE_ACCESS } from '../../src/base/core/source.ts';
import { Admission } from '../../src/fleet/control/orders/admission.ts';
import { passthrough } from '../../src/frame/decode/ffmpeg-arguments.ts';
import { openSource } from '../../src/frame/source/open/open-source.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { RestreamReport } from '../../src/wire/protocol/report.ts';
import type { EndlessPackets } from '../support/made-packets.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { MediaServer, StubbornServer } from '../support/media-server.ts';
import { play, recorderRig, T0_MS } from '../support/recorder-rig.ts';
import { freePort, rtspScript } from '../support/rtsp-server.ts';
import { waitFor } from '../support/wait-for.ts';

const rig = recorderRig();
const servers: { kill(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});

function keep<S extends MediaServer>(server: S): S {
  servers.push(server);
  return server;
}

const figuresOf = (recorder: Recorder): RestreamReport => recorder.figuresOf('cam').restream!;

/** Gives a recorder packets until something holds. @returns how many frames it got. */
async function playUntil(recorder: Recorder, camera: EndlessPackets, what: string, holds: () => boolean) {
  let frames = 0;
  await waitFor(
    what,
    () => {
      const next = camera.next(T0_MS);
      frames += next.frames;
      recorder.onPackets(next);
      return holds();
    },
    {},
    () => JSON.stringify(figuresOf(recorder)),
  );
  return frames;
}

/** Gives a camera's packets to a recorder whose stream is pushed to an address. */
function pushed(restream: string, more: Parameters<typeof rig.recorderOf>[1] = {}) {
  const camera = rig.camera();
  const opened = rig.recorderOf({ restream }, more);
  opened.recorder.onPackets(camera.open('start'));
  return { ...opened, camera };
}

const isWaiting = (recorder: Recorder): boolean =>
  figuresOf(recorder).state === 'waiting' && figuresOf(recorder).problem !== null;

/** A hash of each decoded picture: after another encoding all would differ. */
function picturesOf(path: string): string[] {
  const exact = passthrough(testFfmpeg.major).flatMap((each) => each.split(' '));
  const args = ['-hide_banner', '-loglevel', 'error', '-i', path, '-map', '0:v:0', ...exact, '-f', 'framemd5', '-'];
  const text = execFileSync(testFfmpeg.path, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    stdio: ['ignore', 'pipe', 'ignore'] as const,
  });
  return text.split('\n').flatMap((line) => (/^\d/.test(line) ? [line.split(',').at(-1)!.trim()] : []));
}

describe.skipIf(rtspScript.path === null)(`GStreamer's RTSP server ${rtspScript.reason}`, () => {
  it('gets each packet as the camera sent it, from a key frame on', async () => {
    const path = join(rig.root, 'all.h264');
    const server = keep(await MediaServer.rtsp(path));
    await server.start();
    const { recorder, camera, said } = pushed(`rtsp://127.0.0.1:${server.port}/door`);
    let frames = await playUntil(recorder, camera, 'frames sent', () => figuresOf(recorder).sentFrames > 250);
    const sent = picturesOf(join(rig.videos.path, 'v.mp4'));
    expect(sent).toHaveLength(250);
    let got: string[] = [];
    await waitFor('the server to write them', () => {
      got = existsSync(path) ? picturesOf(path) : [];
      if (got.length > 250) return true;
      frames += play(recorder, camera, 0.1).frames;
      return false;
    });
    expect(got.slice(0, 250)).toEqual(sent);
    await recorder.onStopped('cam', false);
    expect(figuresOf(recorder)).toEqual({
      to: `rtsp://127.0.0.1:${server.port}/door`,
      state: 'waiting',
      connections: 1,
      sentFrames: frames,
      skippedFrames: 0,
      problem: null,
    });
    expect(said).toEqual([]);
  });

  it('that is killed is tried again until it is back, and each packet is counted', async () => {
    const server = keep(await MediaServer.rtsp(join(rig.root, 'killed.h264')));
    await server.start();
    const { recorder, camera, clock, said } = pushed(`rtsp://127.0.0.1:${server.port}/door`);
    let frames = await playUntil(recorder, camera, 'frames sent', () => figuresOf(recorder).sentFrames > 50);
    await server.kill();
    frames += await playUntil(recorder, camera, 'its end', () => figuresOf(recorder).problem !== null);
    expect(figuresOf(recorder)).toMatchObject({ state: 'waiting', connections: 1 });
    expect(said).toEqual([expect.stringMatching(/^its video is not pushed on: rtsp:\/\/127\.0\.0\.1:\d+\/door: /)]);
    const { skippedFrames } = figuresOf(recorder);
    frames += await playUntil(recorder, camera, 'refusals', () => {
      if (isWaiting(recorder)) clock.advance(1000);
      return figuresOf(recorder).problem!.includes('connection refused');
    });
    expect(figuresOf(recorder).skippedFrames, 'while it is away').toBeGreaterThan(skippedFrames);
    await server.start();
    frames += await playUntil(recorder, camera, 'the server again', () => {
      if (isWaiting(recorder)) clock.advance(1000);
      return figuresOf(recorder).connections === 2;
    });
    expect(said, 'attempts in between are not told').toEqual([
      said[0],
      `rtsp://127.0.0.1:${server.port}/door takes its video again`,
    ]);
    expect(figuresOf(recorder)).toMatchObject({ state: 'sending', problem: null });
    await recorder.onStopped('cam', false);
    expect(figuresOf(recorder).sentFrames + figuresOf(recorder).skippedFrames).toBe(frames);
  });

  it('that hangs is given up, and what it did not take is counted', async () => {
    const server = keep(await MediaServer.rtsp(join(rig.root, 'hung.h264')));
    await server.start();
    const { recorder, camera, clock } = pushed(`rtsp://127.0.0.1:${server.port}/door`);
    await playUntil(recorder, camera, 'frames sent', () => figuresOf(recorder).sentFrames > 50);
    server.hang();
    const { sentFrames } = figuresOf(recorder);
    await playUntil(recorder, camera, 'its end', () => {
      clock.advance(1000);
      play(recorder, camera, 10);
      return figuresOf(recorder).problem !== null;
    });
    expect(figuresOf(recorder).problem).toMatch(/\/door: it took nothing for \d+ s$/);
    expect(figuresOf(recorder).sentFrames).toBeGreaterThanOrEqual(sentFrames);
  });
});

describe('a server that speaks', () => {
  it.each([
    ['RTMP', 'rtmp://127.0.0.1:PORT/live/door', 'rtmp.flv', ''],
    ['SRT', 'srt://127.0.0.1:PORT', 'srt.ts', '?mode=listener'],
  ])('%s gets each packet as the camera sent it', async (_, url, name, listening) => {
    const path = join(rig.root, name);
    const server = keep(await MediaServer.ffmpeg(path, `${url}${listening}`));
    await server.start();
    const { recorder, camera, clock } = pushed(url.replace('PORT', String(server.port)));
    await playUntil(recorder, camera, 'frames sent', () => {
      if (isWaiting(recorder)) clock.advance(1000);
      return figuresOf(recorder).sentFrames > 500;
    });
    await recorder.onStopped('cam', false);
    await server.ended();
    const [got, sent] = [picturesOf(path), picturesOf(join(rig.videos.path, 'v.mp4'))];
    // An attempt before the server listened took the first key frames.
    const at = got.indexOf(sent[0]!);
    expect(got.slice(at, at + 250)).toEqual(sent);
  });
});

describe('a server that does not take the video', () => {
  const stubborn: StubbornServer[] = [];
  afterEach(() => {
    for (const server of stubborn.splice(0)) server.close();
  });
  const refusing = async (status: string | null): Promise<StubbornServer> => {
    const server = await StubbornServer.open(status);
    stubborn.push(server);
    return server;
  };
  /** An address with three secrets. */
  const secretAt = (port: number): string =>
    `rtsp://bob:hunter2@127.0.0.1:${port}/live/aQ3xT9zLk2Pw7R?token=opensesame`;

  it.each([
    ['401 Unauthorized', /the server refuses the credentials/],
    ['404 Not Found', /: the media server has no such path/],
    ['403 Forbidden', /the server refuses the credentials .*failed: 403 Forbidden\)$/],
    ['302 Found', /: the server takes no video: .* redirects, .* RTSP [^()]*$/],
    ['500 Internal Server Error', /the server answers with an error/],
    [null, /it took nothing for \d+ s/],
  ])('because it answers %s is named without secrets', async (status, reason) => {
    const server = await refusing(status);
    const { recorder, camera, clock, said } = pushed(secretAt(server.port));
    const frames = await playUntil(recorder, camera, 'its refusal', () => {
      if (status === null && server.connections > 0) clock.advance(1000);
      return figuresOf(recorder).problem !== null;
    });
    const figures = figuresOf(recorder);
    expect(figures.problem).toMatch(reason);
    expect(figures).toMatchObject({ state: 'waiting', connections: 0, sentFrames: 0, skippedFrames: frames });
    expect(said).toEqual([`its video is not pushed on: ${figures.problem}`]);
    expect(JSON.stringify([figures, said])).not.toMatch(/bob|hunter2|aQ3xT9zLk2Pw7R|opensesame/);
    expect(figures.to).toBe(`rtsp://***@127.0.0.1:${server.port}/live/***?token=***`);
  });

  it('is not asked again and again with a wrong password', async () => {
    const server = await refusing('401 Unauthorized');
    const { recorder, camera, clock } = pushed(secretAt(server.port));
    await playUntil(recorder, camera, 'its refusal', () => figuresOf(recorder).problem !== null);
    const { connections } = server;
    clock.advance(9000);
    play(recorder, camera, 20);
    await recorder.onStopped('cam', false);
    expect(server.connections).toBe(connections);
    clock.advance(11_000);
    await playUntil(recorder, camera, 'another attempt', () => server.connections > connections);
  });

  it('misses what is more than memory is kept for, and is asked no sooner', async () => {
    const server = await refusing(null);
    const { recorder, camera } = pushed(`rtsp://127.0.0.1:${server.port}/door`);
    let [bytes, frames] = [0, 0];
    await waitFor('packets to be skipped', () => {
      for (let i = 0; i < 100; i++) {
        const next = camera.next(T0_MS);
        bytes += next.bytes.length;
        frames += next.frames;
        recorder.onPackets(next);
      }
      return figuresOf(recorder).skippedFrames > 0;
    });
    // Twice 4 MiB, what is in the pipe, and 100 fragments.
    expect(bytes).toBeLessThan(2 ** 23 + 2 ** 22);
    expect(figuresOf(recorder)).toMatchObject({ problem: null, sentFrames: 0 });
    await recorder.onStopped('cam', false);
    expect(figuresOf(recorder)).toMatchObject({ problem: null, skippedFrames: frames });
  });

  it('because its address is outside of the networks is never connected to', async () => {
    const server = await refusing('200 OK');
    const access = { ...FREE_ACCESS, networks: ['10.0.0.0/8'] };
    const openTarget = (address: string) =>
      openSource(
        parseSource(address, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 1000, access }),
      );
    const { recorder, camera } = pushed(secretAt(server.port), { openTarget });
    await playUntil(recorder, camera, 'its refusal', () => figuresOf(recorder).problem !== null);
    expect(figuresOf(recorder).problem).toMatch(/it leads to 127\.0\.0\.1; allowed are the networks 10\.0\.0\.0\/8/);
    expect(server.connections).toBe(0);
  });
});

it('a stream that is given another address, masks or none is followed', async () => {
  const settings = { id: 'cam', source: 'a.mp4', track: true };
  let config = parseStream({ ...settings, restream: `rtsp://127.0.0.1:${await freePort()}/a` }, {});
  const { recorder } = rig.recorderOf({}, { configOf: () => config });
  const camera = rig.camera();
  recorder.onPackets(camera.open('start'));
  recorder.follow('cam');
  expect(figuresOf(recorder).to).toMatch(/\/a$/);
  await playUntil(recorder, camera, 'frames', () => figuresOf(recorder).skippedFrames > 0);
  const { skippedFrames } = figuresOf(recorder);
  config = { ...config, restream: config.restream!.replace('/a', '/b') };
  recorder.follow('cam');
  expect(figuresOf(recorder).to).toMatch(/\/b$/);
  expect(figuresOf(recorder).skippedFrames, 'counters go on').toBeGreaterThanOrEqual(skippedFrames);
  const masked = { ...config, masks: [{ id: 'desk', polygon: [], fill: 'black' as const }] };
  config = masked as never;
  recorder.follow('cam');
  expect(recorder.figuresOf('cam'), 'masks hide nothing in packets').toEqual({});
  config = { ...masked, recordMasked: 'allowed' } as never;
  recorder.follow('cam');
  expect(figuresOf(recorder).to).toMatch(/\/b$/);
  config = parseStream({ ...settings, live: true }, {});
  recorder.follow('cam');
  expect(recorder.figuresOf('cam')).toEqual({});
});

describe.skipIf(rtspScript.path === null)(`a host ${rtspScript.reason}`, () => {
  it('pushes a stream, shows it without secrets, and loses no frame to a server that hangs', async () => {
    const file = await rig.videos.make('host.mp4', { frames: 100 });
    const server = keep(await MediaServer.rtsp(join(rig.root, 'host.h264')));
    await server.start();
    const restream = `rtsp://bob:hunter2@127.0.0.1:${server.port}/door`;
    const settings = { id: 'cam', source: file, loop: true, maxAgeMs: 60_000, queueSize: 64 };
    const config = parsePipeline(
      JSON.stringify({
        name: 'pushed',
        description: 'Pushed.',
        lanes: 1,
        fleet: { networks: ['10.0.0.0/8'] },
        model: { engine: 'fake', inputSize: '64x64', threads: 1 },
        streams: [{ ...settings, restream }],
      }),
      'test',
    );
    const admission = new Admission(config.fleet);
    const host = await PipelineHost.open(config, {
      environment: {
        ffmpegPath: testFfmpeg.path,
        searchPath: '',
        modelPath: [],
        cacheDir: rig.root,
        token: undefined,
      },
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: (address) => admission.source(address),
    });
    try {
      await host.start();
      const of = () => host.report().streams[0]!;
      await waitFor('the stream to be pushed', () => (of().restream?.sentFrames ?? 0) > 25);
      expect(of().restream).toMatchObject({ to: `rtsp://***@127.0.0.1:${server.port}/door`, problem: null });
      server.hang();
      const { published } = of().frames;
      await waitFor('four seconds of results', () => of().frames.published > published + 100);
      const dropped = Object.values(of().frames.dropped).reduce((sum, count) => sum + count, 0);
      expect([dropped, of().decodeErrors, of().reconnects]).toEqual([0, 0, 0]);

      const shown = redactSource(restream);
      await host.changeStream('cam', { restream: shown });
      expect(host.streamSettings('cam').settings.restream, 'written back as it was read').toBe(restream);
      await expect(host.changeStream('cam', { restream: 'rtsp://127.0.0.1/other' })).rejects.toThrow(
        /it leads to 127\.0\.0\.1; allowed are the networks 10\.0\.0\.0\/8 \(fleet\.networks\)/,
      );
      await host.changeStream('cam', { restream: null });
      await waitFor('its end', () => of().restream === undefined);
    } finally {
      await host.stop();
    }
  });
});
