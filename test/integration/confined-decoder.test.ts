import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ChildExit } from '../../src/base/process/child-group.ts';
import type { Ffmpeg } from '../../src/base/process/confinement.ts';
import type { Access } from '../../src/base/process/sandbox-view.ts';
import { findFfmpeg, openFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';
import { FfmpegProcess } from '../../src/frame/decode/ffmpeg-process.ts';
import { readEnvironment } from '../../src/settings/config/environment.ts';
import { startCli } from '../support/cli.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc, processesWith } from '../support/processes.ts';
import { SANDBOXES } from '../support/sandboxes.ts';
import { waitFor } from '../support/wait-for.ts';

const HOST = fileURLToPath(new URL('../support/killed-host.mjs', import.meta.url));
const DECODE = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', '2x2', 'pipe:1'];

interface Outcome {
  readonly bytes: number;
  readonly log: string;
}

interface Started {
  readonly child: FfmpegProcess;
  readonly outcome: Promise<Outcome>;
}

async function start(ffmpeg: Ffmpeg, args: readonly string[], access: Access): Promise<Started> {
  const memory = new Uint8Array(4096);
  let bytes = 0;
  const lines: string[] = [];
  let resolve: (exit: ChildExit) => void;
  const exited = new Promise<ChildExit>((done) => {
    resolve = done;
  });
  const child = await FfmpegProcess.start(ffmpeg, ['-hide_banner', '-nostdin', '-y', ...args], access, {
    nextBuffer: () => memory,
    onBytes: (count) => {
      bytes += count;
    },
    onLogLine: (line) => lines.push(line),
    onExit: (exit) => resolve(exit),
  });
  return { child, outcome: exited.then(() => ({ bytes, log: lines.join('\n') })) };
}

async function decode(ffmpeg: Ffmpeg, input: readonly string[], access: Access): Promise<Outcome> {
  return (await start(ffmpeg, [...input, ...DECODE], access)).outcome;
}

/** The variables of a process, as the kernel has them. */
function variablesOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function limitOf(pid: number, name: string): string {
  const line = readFileSync(`/proc/${pid}/limits`, 'utf8')
    .split('\n')
    .find((each) => each.startsWith(name))!;
  return line.slice(name.length).trim().split(/\s+/)[1]!;
}

describe.skipIf(!hasProc)('a child that reads media (needs /proc)', () => {
  const folder = new VideoFolder();
  const fifo = `${folder.path}/fifo.mp4`;
  const kinds = [{ name: 'no sandbox', ffmpeg: { ...testFfmpeg, confinement: noSandbox() } }, ...SANDBOXES];

  function noSandbox(): Ffmpeg['confinement'] {
    return { ...testFfmpeg.confinement, sandbox: null };
  }

  beforeAll(() => void execFileSync('mkfifo', [fifo]));
  afterAll(() => folder.remove());

  it('gets what ffmpeg needs of the environment, and no secret', async () => {
    const environment = readEnvironment({
      PATH: process.env.PATH,
      LANG: 'C.UTF-8',
      LC_TIME: 'C',
      LD_LIBRARY_PATH: '/usr/lib',
      TMPDIR: '/tmp',
      LIBVA_DRIVER_NAME: 'iHD',
      CUDA_VISIBLE_DEVICES: '0',
      HOME: '/root',
      FFREPORT: 'file=/tmp/log',
      SIGHTLINE_TOKEN: 'secret',
      REDIS_URL: 'redis://:secret@redis',
      AWS_SECRET_ACCESS_KEY: 'secret',
      NPM_TOKEN: 'secret',
      http_proxy: 'http://user:secret@proxy',
      LD_PRELOAD: '/tmp/evil.so',
    });
    const ffmpeg = await openFfmpeg({ ...environment, ffmpegPath: testFfmpeg.path }, () => undefined);
    const { child, outcome } = await start(ffmpeg, ['-i', `file:${fifo}`, ...DECODE], { reads: [fifo] });
    await waitFor('ffmpeg to open the pipe', () => ffmpegWith(fifo).some(({ pid }) => isFfmpeg(pid)));
    const { PWD: _, OLDPWD: __, SHLVL: ___, ...variables } = variablesOf(child.pid);
    expect(variables).toEqual({
      PATH: process.env.PATH,
      LANG: 'C.UTF-8',
      LC_TIME: 'C',
      LD_LIBRARY_PATH: '/usr/lib',
      TMPDIR: '/tmp',
      LIBVA_DRIVER_NAME: 'iHD',
      CUDA_VISIBLE_DEVICES: '0',
    });
    child.kill();
    await outcome;
  });

  it('of a network source also gets the certificates, and not the proxy of the user', async () => {
    const certificates = { SSL_CERT_FILE: '/etc/ssl/own.pem' };
    const proxies = { http_proxy: 'http://proxy:3128', no_proxy: 'local' };
    const environment = readEnvironment({ PATH: process.env.PATH, ...certificates, ...proxies });
    const ffmpeg = await openFfmpeg({ ...environment, ffmpegPath: testFfmpeg.path }, () => undefined);
    const { child, outcome } = await start(ffmpeg, ['-i', `file:${fifo}`, ...DECODE], { reads: [fifo], network: true });
    await waitFor('ffmpeg to open the pipe', () => ffmpegWith(fifo).some(({ pid }) => isFfmpeg(pid)));
    const variables = variablesOf(child.pid);
    expect(variables).toMatchObject(certificates);
    expect(Object.keys(variables).filter((name) => name.endsWith('_proxy'))).toEqual([]);
    child.kill();
    await outcome;
  });

  it.each(kinds)('has limits: $name', async ({ name, ffmpeg }) => {
    if (ffmpeg === null) return skipped(name);
    const access = { reads: [fifo], cpuSeconds: 77 };
    const { child, outcome } = await start(ffmpeg, ['-i', `file:${fifo}`, ...DECODE], access);
    await waitFor('ffmpeg to open the pipe', () => isFfmpeg(child.pid));
    expect(limitOf(child.pid, 'Max core file size')).toBe('0');
    expect(limitOf(child.pid, 'Max file size')).toBe('0');
    expect(Number(limitOf(child.pid, 'Max open files'))).toBeLessThanOrEqual(256);
    expect(limitOf(child.pid, 'Max data size')).toBe(String(4096 * 2 ** 20));
    expect(limitOf(child.pid, 'Max cpu time')).toBe('77');
    expect(/^NoNewPrivs:\s*(\d)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]).toBe('1');
    child.kill();
    await outcome;
    expect(ffmpegWith(fifo)).toEqual([]);
  });

  it.each(kinds)('reports the pid of ffmpeg itself: $name', async ({ name, ffmpeg }) => {
    if (ffmpeg === null) return skipped(name);
    const { child, outcome } = await start(ffmpeg, ['-i', `file:${fifo}`, ...DECODE], { reads: [fifo] });
    await waitFor('ffmpeg to run', () => isFfmpeg(child.pid));
    process.kill(child.pid, 'SIGKILL');
    await outcome;
    expect(ffmpegWith(fifo)).toEqual([]);
  });

  it('with a hardware decoder has no limit of memory, which such a decoder maps without using it', async () => {
    const access = { reads: [fifo], usesHardware: true };
    const { child, outcome } = await start(testFfmpeg, ['-i', `file:${fifo}`, ...DECODE], access);
    await waitFor('ffmpeg to open the pipe', () => isFfmpeg(child.pid));
    expect(limitOf(child.pid, 'Max data size')).toBe('unlimited');
    child.kill();
    await outcome;
  });

  function isFfmpeg(pid: number): boolean {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] === testFfmpeg.path;
  }
});

function skipped(name: string): void {
  console.log(`skipped: ${name} does not work here`);
}

describe.each(SANDBOXES)('in the sandbox $name', ({ name, ffmpeg, whyNot }) => {
  const folder = new VideoFolder();
  const free = { ...testFfmpeg, confinement: { ...testFfmpeg.confinement, sandbox: null } };
  let clip: string;
  let server: Server;
  let connections = 0;

  beforeAll(async () => {
    clip = await folder.make('clip.mp4', { frames: 3 });
    server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterAll(() => {
    server.close();
    folder.remove();
  });

  it.skipIf(ffmpeg === null)(
    `decodes what it was given${whyNot === '' ? '' : ' (skipped: not on this machine)'}`,
    async () => {
      mkdirSync(`${folder.path}/a: b'c`);
      const link = `${folder.path}/a: b'c/link.mp4`;
      symlinkSync('../clip.mp4', link);
      for (const path of [clip, relative(process.cwd(), clip), link])
        expect(await decode(ffmpeg!, ['-i', `file:${path}`], { reads: [path] }), path).toMatchObject({ bytes: 3 * 12 });
    },
  );

  it.skipIf(ffmpeg === null)('a list that names another file reads nothing of it', async () => {
    const list = `${folder.path}/list.txt`;
    writeFileSync(list, `ffconcat version 1.0\nfile '${clip}'\n`);
    const input = ['-f', 'concat', '-safe', '0', '-i', `file:${list}`];
    expect((await decode(free, input, { reads: [list] })).bytes, 'without a sandbox').toBe(3 * 12);
    const { bytes, log } = await decode(ffmpeg!, input, { reads: [list] });
    expect(bytes).toBe(0);
    expect(log).toMatch(/No such file|Permission denied/);
  });

  it.skipIf(ffmpeg === null)('no file of the system can be read, nor the memory of another process', async () => {
    for (const path of ['/etc/hostname', '/etc/passwd', `/proc/${process.pid}/environ`]) {
      const copy = (from: Ffmpeg) =>
        start(from, ['-f', 'data', '-i', `file:${path}`, '-map', '0', '-c', 'copy', '-f', 'data', 'pipe:1'], {});
      expect((await (await copy(free)).outcome).bytes, `${path} without a sandbox`).toBeGreaterThan(0);
      expect((await (await copy(ffmpeg!)).outcome).bytes, path).toBe(0);
    }
  });

  it.skipIf(ffmpeg === null)('no file can be written, unless into the folder that was given', async () => {
    const path = `${folder.path}/written.mkv`;
    const args = ['-i', `file:${clip}`, '-c', 'copy', `file:${path}`];
    await (await start(ffmpeg!, args, { reads: [clip] })).outcome;
    expect(existsSync(path)).toBe(false);
    await (await start(ffmpeg!, args, { reads: [clip], writes: folder.path })).outcome;
    expect(readFileSync(path).length).toBeGreaterThan(1000);
  });

  it.skipIf(ffmpeg === null)('a file opens no connection, a network source does', async () => {
    const input = ['-i', `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.mp4`];
    await decode(ffmpeg!, input, { reads: [clip] });
    expect(connections).toBe(0);
    await decode(ffmpeg!, input, { network: true });
    expect(connections).toBeGreaterThan(0);
  });

  it.skipIf(ffmpeg === null)('a file that is gone is reported as such', async () => {
    const path = `${folder.path}/gone.mp4`;
    expect((await decode(ffmpeg!, ['-i', `file:${path}`], { reads: [path] })).log).toMatch(/No such file or directory/);
  });

  it.skipIf(ffmpeg === null)(`is what a configuration that names it gets (${name})`, () => {
    expect(ffmpeg!.confinement.sandbox).toMatchObject({ kind: name });
  });
});

describe('the choice of a sandbox', () => {
  const decoder = { maxPixels: 67_108_864, memoryMib: 4096, packaged: true } as const;

  it('one that is named and does not work is an error', async () => {
    const search = { path: testFfmpeg.path, searchPath: '/nowhere' };
    await expect(findFfmpeg({ ...search, decoder: { ...decoder, sandbox: 'bwrap' } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('decoder.sandbox: bwrap: '),
    });
  });

  it('auto goes without one where none works, and says so', async () => {
    const notices: string[] = [];
    const search = { path: testFfmpeg.path, searchPath: '/nowhere', onNotice: (text: string) => notices.push(text) };
    const { confinement } = await findFfmpeg({ ...search, decoder: { ...decoder, sandbox: 'auto' } });
    expect(confinement.sandbox).toBeNull();
    expect(notices).toEqual([expect.stringMatching(/^ffmpeg runs without a sandbox \(bwrap: .+; landlock: .+\)$/)]);
  });

  it('a program that only looks like a sandbox is not taken for one', async () => {
    const folder = new VideoFolder();
    writeFileSync(`${folder.path}/bwrap`, '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n', {
      mode: 0o755,
    });
    const search = { path: testFfmpeg.path, searchPath: `${folder.path}:${process.env.PATH}` };
    await expect(findFfmpeg({ ...search, decoder: { ...decoder, sandbox: 'bwrap' } })).rejects.toMatchObject({
      message: expect.stringContaining('ffmpeg can read other files in it'),
    });
    folder.remove();
  });
});

describe.skipIf(!hasProc)('a host that is killed with SIGKILL (needs /proc)', () => {
  const folder = new VideoFolder();
  let silent: Server;
  let host: ChildProcess | null = null;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100 });
    execFileSync('mkfifo', [`${folder.path}/fifo.mp4`]);
    silent = createServer((socket) => socket.on('error', () => socket.destroy()));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
  });

  afterEach(() => void host?.kill('SIGKILL'));

  afterAll(() => {
    silent.close();
    folder.remove();
  });

  it.each([
    ['the kernel ends them', '0'],
    ['a pipe ends them, where the kernel cannot', '1'],
  ])('leaves no ffmpeg, whatever it waits for: %s', async (_, without) => {
    const camera = `/camera-of-${folder.marker}`;
    const url = `rtsp://127.0.0.1:${(silent.address() as AddressInfo).port}${camera}`;
    const sources = [`live:${folder.path}/loop.mp4`, `silent:${folder.path}/fifo.mp4`, url];
    const env = { ...process.env, FFMPEG_PATH: testFfmpeg.path, WITHOUT_SETPRIV: without };
    host = spawn(process.execPath, [HOST, ...sources], { stdio: ['ignore', 'pipe', 'inherit'], env });
    await once(createInterface({ input: host.stdout! }), 'line');
    const all = ['loop.mp4', 'fifo.mp4', camera];
    await waitFor('an ffmpeg for each', () => all.every((text) => ffmpegWith(text).length > 0));
    const gone = once(host, 'exit');
    host.kill('SIGKILL');
    await gone;
    await waitFor('all to be gone', () => processesWith(folder.marker).length === 0);
  });

  it('the processes of sightline have no secret in the environment of their ffmpeg', async () => {
    const pipeline = `${folder.path}/pipeline.yaml`;
    const streams = [{ id: 'silent', source: `${folder.path}/fifo.mp4` }];
    const model = { engine: 'fake', inputSize: '160x96' };
    writeFileSync(pipeline, JSON.stringify({ name: 'p', description: 'One silent stream.', model, streams }));
    const secrets = { SIGHTLINE_TOKEN: 'very-secret-token', REDIS_URL: 'redis://:very-secret-word@127.0.0.1' };
    host = startCli(['run', pipeline, '--port', '0'], { ...secrets, AWS_SECRET_ACCESS_KEY: 'very-secret-key' });
    await waitFor('its ffmpeg', () => ffmpegWith(`${folder.marker}/fifo.mp4`).length > 0);
    for (const { pid } of ffmpegWith(`${folder.marker}/fifo.mp4`))
      expect(JSON.stringify(variablesOf(pid))).not.toContain('very-secret');
  });
});
