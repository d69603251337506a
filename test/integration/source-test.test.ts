import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli/program.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import type { SourceTest } from '../../src/wire/protocol/source-test.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { TextSink } from '../support/text-sink.ts';

const folder = new VideoFolder();
afterAll(() => folder.remove());

/** With sound, 30000/1001 frames per second, and pixels that are wider than high: 160x120 are shown as 213x120. */
const withSound = join(folder.path, 'sound.mkv');
await promisify(execFile)(testFfmpeg.path, [
  ...['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=30000/1001'],
  ...['-f', 'lavfi', '-i', 'sine', '-t', '2', '-vf', 'setsar=4/3', '-c:v', 'libx264', '-c:a', 'aac', withSound],
]);
const plain = await folder.make('plain.mp4', { frames: 50, fps: 25, width: 320, height: 180 });
const noVideo = join(folder.path, 'no-video.mp4');
writeFileSync(noVideo, 'not a video');

const root = { roots: [folder.path], schemes: ['file', 'rtsp', 'http'], networks: ['127.0.0.0/8'] };
const host = await RuledHost.open({ ffmpegPath: testFfmpeg.path, cacheDir: folder.path, fleet: root });
/** Accepts connections and says nothing. */
const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
await once(silent, 'listening');
const silentUrl = `rtsp://127.0.0.1:${(silent.address() as AddressInfo).port}/1`;
const gateway = await startGateway(host.host, { port: 0 });
afterAll(async () => {
  await gateway.close();
  await host.close();
  silent.close();
});

const test = (source: string, settings: object = {}): Promise<SourceTest> =>
  host.host.testSource({ source, ...settings });
const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no failure',
    ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
  );
const post = async (body: unknown): Promise<{ status: number; body: Record<string, unknown> }> => {
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(`${gateway.url}/api/sources/test`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> };
};

describe('the test of a source', () => {
  it('reports codec, display size, frame rates, length and what is ignored', async () => {
    const report = await test(withSound);
    expect(report).toMatchObject({
      source: withSound,
      codec: 'h264',
      width: 213,
      height: 120,
      statedFps: 29.97,
      ignoredAudio: ['aac'],
      timeProblems: [],
      frames: 60,
    });
    expect(report.measuredFps).toBeCloseTo(29.97, 1);
    expect(report.durationMs).toBeGreaterThan(1990);
    expect(report.firstFrameMs).toBeGreaterThan(0);
  });

  it('adds no stream', async () => {
    await test(plain);
    expect(host.host.report().streams).toEqual([]);
    expect(host.events.filter(({ kind }) => kind === 'stream-added')).toEqual([]);
  });

  it.each([
    ['a missing file', join(folder.path, 'gone.mp4')],
    ['a file that is no video', noVideo],
    ['a file outside the roots', '/etc/passwd'],
    ['an address outside the networks', 'rtsp://192.0.2.1/1'],
    ['a refused connection', 'http://127.0.0.1:9/a.mp4'],
    ['a mistyped scheme', 'rstp://127.0.0.1/1'],
    ['a placeholder', '$'.concat('{env:PATH}')],
  ])('of %s fails as the stream does', async (_, source) => {
    const { error } = await host.play(source);
    expect(error).toMatch(/^(SOURCE_\w+|CONFIG_INVALID) /);
    // A stream also says how its ffmpeg ended.
    expect(await failure(test(source))).toBe(error.replace('; exit code 1)', ')'));
  });

  it('ends when nothing comes, and only one runs at a time', async () => {
    const first = failure(test(silentUrl, { openTimeoutMs: 700 }));
    expect(await failure(test(plain))).toMatch(/^LIMIT_REACHED another source is being tested/);
    expect(await first).toBe(`SOURCE_UNREACHABLE ${silentUrl}: no frame within 700 ms`);
    expect((await test(plain)).frames).toBe(50);
  });

  it('answers over REST, with the status of its error, and counts what it refuses', async () => {
    expect(await post({ source: plain })).toMatchObject({ status: 200, body: { codec: 'h264', width: 320 } });
    expect(await post({ source: '/etc/passwd' })).toMatchObject({
      status: 422,
      body: { error: { code: 'SOURCE_FORBIDDEN' } },
    });
    expect(await post({ source: plain, transport: 'smoke' })).toMatchObject({ status: 400 });
    expect(await post([])).toMatchObject({ status: 400 });
    const waiting = post({ source: silentUrl, openTimeoutMs: 700 });
    await expect.poll(async () => (await post({ source: plain })).status).toBe(429);
    expect(await waiting).toMatchObject({ status: 502 });
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(metrics).toMatch(/refused\w*\{[^}]*rest[^}]*limit[^}]*\} [1-9]/);
  });
});

describe('sightline source test', () => {
  const run = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const [stdout, stderr] = [new TextSink(), new TextSink()];
    const environment = {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      modelPath: [],
      cacheDir: folder.path,
      token: undefined,
    };
    const io = { stdout, stderr, environment, stop: new AbortController().signal };
    const code = await runCli(['source', 'test', ...args], io as never, '0');
    return { code, out: stdout.text, err: stderr.text };
  };

  it('prints the same here as a host does over REST', async () => {
    const here = await run(plain, '--json');
    const there = await run(plain, '--json', '--url', gateway.url);
    const facts = ({ out }: { out: string }) => {
      const { firstFrameMs, readMs, ...rest } = JSON.parse(out) as SourceTest;
      return rest;
    };
    expect([here.code, there.code]).toEqual([0, 0]);
    expect(facts(there)).toEqual(facts(here));
    expect((await run(plain)).out).toContain('25 measured, 25 stated');
  });

  it('fails with the code of the error', async () => {
    const { code, out, err } = await run(noVideo, '--json');
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('[SOURCE_UNREADABLE]');
    expect(await run('/etc/passwd', '--url', gateway.url)).toMatchObject({
      code: 2,
      err: expect.stringContaining('(fleet.roots)'),
    });
  });
});
