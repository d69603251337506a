import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FREE_ACCESS } from '../../src/base/core/source.ts';
import { openSource } from '../../src/frame/source/open/open-source.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { hasOpenssl, TestAuthority } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cli.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const PASSPHRASE = 'open-sesame-please';
const KEY = 'hush-hush-key';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const senders = new Set<ChildProcess>();

/** An ffmpeg that waits for one reader and sends it a test picture, again and again until it is stopped. */
function sender(format: string, ...address: string[]): () => void {
  let isOver = false;
  const start = (): void => {
    if (isOver) return;
    const child = spawn(testFfmpeg.path, [
      ...[
        '-hide_banner',
        '-loglevel',
        'error',
        '-nostdin',
        '-re',
        '-f',
        'lavfi',
        '-i',
        'testsrc2=size=320x180:rate=25',
      ],
      ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '12', '-f', format, ...address],
    ]);
    senders.add(child);
    child.once('exit', () => {
      senders.delete(child);
      setTimeout(start, 100);
    });
  };
  start();
  return () => {
    isOver = true;
    for (const child of senders) child.kill('SIGKILL');
  };
}

let stop: () => void = () => undefined;
afterEach(() => stop());
let host: RuledHost;
beforeAll(async () => {
  const fleet = { networks: ['127.0.0.0/8'] };
  host = await RuledHost.open({ ffmpegPath: testFfmpeg.path, cacheDir: folder.path, fleet });
});
afterAll(() => host.close());

describe.each([
  ['rtmp', KEY, (port: number) => `rtmp://127.0.0.1:${port}/live/${KEY}`],
  ['srt', PASSPHRASE, (port: number) => `srt://127.0.0.1:${port}?passphrase=${PASSPHRASE}&streamid=${KEY}`],
])('a source by %s', (scheme, secret, urlOf) => {
  const serve = (port: number): (() => void) =>
    scheme === 'rtmp'
      ? sender('flv', '-listen', '1', urlOf(port))
      : sender('mpegts', `srt://127.0.0.1:${port}?mode=listener&passphrase=${PASSPHRASE}`);

  it('gives frames, is opened again when its sender goes away, and shows nothing that is secret', async () => {
    const port = await freePort();
    stop = serve(port);
    const id = `${scheme}-1`;
    await host.host.addStream({ id, source: urlOf(port), staleMs: 1500 });
    await waitFor('frames', () => host.framesOf(id) > 10, { deadlineMs: 30_000 });
    for (const child of senders) child.kill('SIGKILL');
    const stream = host.host.runtime.stream(id);
    await waitFor('the loss', () => stream.state === 'reconnecting', { deadlineMs: 30_000 });
    const before = host.framesOf(id);
    await waitFor('frames again', () => host.framesOf(id) > before + 10, { deadlineMs: 30_000 });
    const report = host.host.runtime.streamReport(stream);
    expect(report).toMatchObject({ state: 'running', policy: 'live', width: 320 });
    // On a busy machine a connection may go stale once more.
    expect(report.reconnects).toBeGreaterThanOrEqual(1);
    const shown = JSON.stringify([report, host.events]);
    expect(shown).toContain(`${scheme}://127.0.0.1:${port}`);
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(KEY);
    await host.host.removeStream(id);
  }, 120_000);

  it('is refused outside of the networks that are allowed, also by a name', async () => {
    const narrow = await RuledHost.open({
      ffmpegPath: testFfmpeg.path,
      cacheDir: folder.path,
      fleet: { networks: ['10.0.0.0/8'] },
    });
    try {
      for (const name of ['127.0.0.1', 'localhost']) {
        const { error } = await narrow.play(urlOf(1935).replace('127.0.0.1', name));
        expect(error).toMatch(/^SOURCE_FORBIDDEN .*allowed are the networks 10\.0\.0\.0\/8/);
      }
    } finally {
      await narrow.close();
    }
  });

  it('connects only where the name led when it was checked', async () => {
    const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;
    const access = { ...FREE_ACCESS, networks: ['127.0.0.0/8', '::1/128'] };
    const source = parseSource(urlOf(4321).replace('127.0.0.1', 'localhost'), { ...options, access });
    const opened = await openSource(source);
    try {
      expect(opened.source.url).toMatch(
        scheme === 'rtmp' ? /^rtmp:\/\/127\.0\.0\.1:\d+\/live\/hush/ : /^srt:\/\/(?:127\.0\.0\.1|\[::1\]):4321\?pass/,
      );
      if (scheme === 'rtmp') expect(opened.source.tcUrl).toBe('rtmp://localhost:4321/live');
    } finally {
      opened.close();
    }
    const elsewhere = parseSource(urlOf(4321), { ...options, access: { ...access, networks: ['10.0.0.0/8'] } });
    const failed = openSource(elsewhere).then(async ({ source: { url }, close, ...relay }) => {
      // A relay connects when ffmpeg does.
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      await once(socket, 'close');
      close();
      throw relay.failure ?? new Error('no failure');
    });
    if (scheme === 'srt') await expect(failed).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    else await failed.catch(() => undefined);
  });
});

it('a wrong passphrase is said to be one, and is not shown', async () => {
  const port = await freePort();
  stop = sender('mpegts', `srt://127.0.0.1:${port}?mode=listener&passphrase=${PASSPHRASE}`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { error } = await host.watch(`srt://127.0.0.1:${port}?passphrase=wrong-wrong-wrong`, 1);
  expect(error).not.toContain('wrong-wrong');
  expect(error).toContain('the server refuses the credentials');
}, 60_000);

it.skipIf(!hasOpenssl)(
  'a certificate of rtmps is verified, unless the stream accepts any',
  async () => {
    const authority = new TestAuthority();
    const port = await freePort();
    stop = sender('flv', '-listen', '1', `rtmp://127.0.0.1:${port}/live/${KEY}`);
    const server = createTlsServer(authority.make(), (socket) => {
      const plain = connect(port, '127.0.0.1');
      for (const each of [socket, plain]) each.on('error', () => each.destroy());
      socket.pipe(plain).pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const url = `rtmps://127.0.0.1:${(server.address() as AddressInfo).port}/live/${KEY}`;
      const refused = await host.watch(url, 1);
      expect(refused.error).toMatch(/its certificate comes from an authority that is not known here/);
      expect(await host.watch(url, 5, { insecureTls: true })).toMatchObject({ error: '', state: 'running' });
    } finally {
      server.close();
      authority.remove();
    }
  },
  60_000,
);
