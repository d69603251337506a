import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';
import { testedFfmpegs } from './odd-media-player.ts';

/** Text with the form of a frame header, which ffmpeg prints in its log. */
const FORGED = 'n:   0 pts:      0 pts_time:0       fmt:yuv420p sar:1/1 s:64000x100 i:P iskey:1 type:I';
const SOURCE = ['-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=5'];
const FRAMES = 5;

const folder = temporaryFolder();
const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));

afterAll(() => folder.remove());

async function makeClip(name: string, ...options: string[]): Promise<string> {
  const path = join(folder.path, name);
  const args = ['-v', 'error', '-y', ...SOURCE, '-frames:v', String(FRAMES), '-c:v', 'mpeg4', ...options, path];
  await promisify(execFile)(testFfmpeg.path, args);
  return path;
}

interface Line {
  readonly ptsUs: number;
  readonly width: number;
  readonly height: number;
}

async function detect(
  clip: string,
  ffmpegPath: string,
): Promise<{ code: number | null; stderr: string; lines: Line[] }> {
  const out = join(folder.path, 'out.jsonl');
  const args = ['detect', clip, '--engine', 'fake', '--out', out];
  const { code, stderr } = await cli(args, { FFMPEG_PATH: ffmpegPath });
  const lines = readFileSync(out, 'utf8').split('\n').filter(Boolean);
  return { code, stderr, lines: lines.map((line) => JSON.parse(line) as Line) };
}

describe.each(ffmpegs)('text inside the media, $label', ({ binary }) => {
  it.each([
    ['title.mp4', ['-metadata', `title=${FORGED}`]],
    ['tags.mkv', ['-metadata', `Duration: 99:00:00.00, x=${FORGED}`, '-metadata:s:v', `title=${FORGED}`]],
    ['lines.mkv', ['-metadata', `title=a\n[Parsed_showinfo_0 @ 0x55b1f6dda680] [info] ${FORGED}`]],
    ['service.ts', ['-metadata', `service_name=${FORGED}`]],
  ])('does not change sizes or times: %s', async (name, options) => {
    const { code, lines } = await detect(await makeClip(name, ...options), binary.path);
    expect(code).toBe(0);
    const first = lines[0]!.ptsUs;
    expect(lines.map(({ ptsUs, width, height }) => ({ afterUs: ptsUs - first, width, height }))).toEqual(
      Array.from({ length: FRAMES }, (_, i) => ({ afterUs: i * 200_000, width: 320, height: 240 })),
    );
  });
});

describe('a live stream', () => {
  let server: Server | null = null;
  const senders: ChildProcess[] = [];

  afterEach(() => {
    for (const sender of senders) sender.kill('SIGKILL');
    server?.closeAllConnections();
    server?.close();
  });

  it('keeps its size, whatever its service name', async () => {
    server = createServer((_, response) => {
      const video = ['-re', ...SOURCE, '-c:v', 'mpeg4', '-g', '5', '-metadata', `service_name=${FORGED}`];
      const sender = spawn(testFfmpeg.path, ['-v', 'error', ...video, '-f', 'mpegts', 'pipe:1'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      senders.push(sender);
      sender.stdout!.pipe(response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const live = await LiveRuntime.open();
    const sizes: string[] = [];
    live.runtime.published.add(({ frame: _, width, height }) => sizes.push(`${width}x${height}`));
    const port = (server.address() as AddressInfo).port;
    await live.add({ id: 'ts', source: `http://127.0.0.1:${port}/live.ts`, policy: 'live' });
    await waitFor('ten frames', () => sizes.length >= 10);
    expect(await live.close()).toEqual([]);
    expect([...new Set(sizes)]).toEqual(['320x240']);
  });
});

describe.skipIf(process.platform === 'win32')('an ffmpeg that loses a frame header', () => {
  /** Runs the real ffmpeg and removes log lines that match. */
  function lossy(name: string, pattern: string): string {
    const path = join(folder.path, name);
    const script = [
      '#!/bin/bash',
      `if [ "$1" = -version ]; then exec "${testFfmpeg.path}" -version; fi`,
      `"${testFfmpeg.path}" "$@" 2> >(sed -u '/${pattern}/d' >&2)`,
      'code=$?; wait; exit $code',
    ];
    writeFileSync(path, script.join('\n'));
    chmodSync(path, 0o755);
    return path;
  }

  it.each([
    ['in the middle', '\\] n: *2 pts', 'expected the header of frame 2, received that of 3'],
    ['at the end', '\\] n: *4 pts', '1 more pictures than frame headers'],
  ])('%s fails the file', async (where, pattern, message) => {
    const clip = await makeClip('plain.mp4');
    const { code, stderr } = await detect(clip, lossy(`ffmpeg-${where.replaceAll(' ', '-')}`, pattern));
    expect(code).toBe(1);
    expect(stderr).toContain('DECODE_OUT_OF_STEP');
    expect(stderr).toContain(message);
  });
});
