import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VideoFolder } from '../support/made-videos.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-examples-'));
const videos = new VideoFolder();
let clip: string;
let picture: string;
beforeAll(async () => {
  clip = await videos.make('clip.mp4', { frames: 50 });
  picture = join(folder, 'grey.jpg');
  await sharp({ create: { width: 320, height: 240, channels: 3, background: '#808080' } }).toFile(picture);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  videos.remove();
});

async function run(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [`examples/${name}`, ...args], { timeout: 50_000 });
  return stdout;
}

describe('an example', () => {
  it.each(readdirSync('examples').filter((name) => /\.(?:mjs|html)$/.test(name)))(
    '%s has fewer than 60 lines',
    (name) => {
      expect(readFileSync(`examples/${name}`, 'utf8').split('\n').length).toBeLessThan(60);
    },
  );

  it('camera.mjs prints what it sees until it is interrupted, then ends in order', async () => {
    const child = spawn(process.execPath, ['examples/camera.mjs', 'demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const log: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => log.push(chunk.toString()));
    const lines: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      lines.push(...chunk.toString().trim().split('\n'));
      if (lines.length >= 10) child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code, log.join('')).toBe(0);
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /);
  });

  it('upload-server.mjs answers pictures, and says what is wrong with others', async () => {
    const child = spawn(process.execPath, ['examples/upload-server.mjs', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(`${chunk}`)));
    const url = `http://127.0.0.1:${/port: (\d+)/.exec(said)![1]}/`;
    const send = (body: Buffer): Promise<Response> => fetch(url, { method: 'POST', body: new Uint8Array(body) });
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(readFileSync(picture))));
    for (const answer of answers) expect(await answer.json()).toMatchObject({ width: 320, height: 240 });
    const refused = await send(Buffer.from('no picture'));
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'SOURCE_UNREADABLE' }]);
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
  });

  it('folder.mjs reads videos and pictures, and names what it skips', async () => {
    const mixed = join(folder, 'mixed');
    mkdirSync(mixed);
    writeFileSync(join(mixed, 'a.jpg'), readFileSync(picture));
    writeFileSync(join(mixed, 'b.mp4'), readFileSync(clip));
    writeFileSync(join(mixed, 'notes.txt'), 'no video');
    const results = (await run('folder.mjs', mixed))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(results).toHaveLength(51);
    expect(results[0]).toMatchObject({ source: 'a.jpg', width: 320 });
    expect(results.slice(1).map(({ frame }) => frame)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('custom-sink.mjs sums up each minute', async () => {
    expect(await run('custom-sink.mjs', clip)).toMatch(/^minute 0: /);
  });

  it('own-decoder.mjs gets a result for each frame of its decoder', async () => {
    // Two seconds at five frames a second.
    expect((await run('own-decoder.mjs', clip)).trim().split('\n')).toHaveLength(10);
  });
});
