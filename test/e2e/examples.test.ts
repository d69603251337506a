import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';

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
  const { stdout } = await promisify(execFile)(process.execPath, [`examples/${name}`, ...args], { timeout: 150_000 });
  return stdout;
}

interface Served {
  readonly url: string;
  readonly port: string;
  /** Interrupts it as Ctrl-C does; its exit code. */
  end(): Promise<unknown>;
}

/** Starts an example that says at which port it listens. */
async function serve(name: string, ...args: string[]): Promise<Served> {
  const child = spawn(process.execPath, [`examples/${name}`, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const code = new Promise((resolve) => child.once('close', resolve));
  const said = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(`${chunk}`)));
  const port = /port: (\d+)/.exec(said)![1]!;
  const end = (): Promise<unknown> => {
    child.kill('SIGINT');
    return code;
  };
  return { url: `http://127.0.0.1:${port}/`, port, end };
}

/** Sends these bytes and cuts the connection. */
async function leave(port: string, parts: readonly (string | Uint8Array)[]): Promise<void> {
  const socket = connect(Number(port), '127.0.0.1');
  for (const part of parts) await new Promise((resolve) => socket.write(part, resolve));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.destroy();
  await closed;
}

const curlMissing = spawnSync('curl', ['--version']).status !== 0;

/** Each starts a detector; the first one may have to make the demonstration clip. */
const TIMEOUT = { timeout: 180_000 };

describe('an example', TIMEOUT, () => {
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

  it('upload-server.mjs answers pictures, says what is wrong with others, and outlives clients that leave', async () => {
    const { url, port, end } = await serve('upload-server.mjs', '0');
    const send = (body: Uint8Array<ArrayBuffer>): Promise<Response> => fetch(url, { method: 'POST', body });
    const bytes = new Uint8Array(readFileSync(picture));
    // One leaves in the middle of its upload, one before its answer.
    const head = `POST / HTTP/1.1\r\nHost: example\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    await leave(port, [head, bytes.subarray(0, 100)]);
    await leave(port, [head, bytes]);
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(bytes)));
    for (const answer of answers) expect(await answer.json()).toMatchObject({ width: 320, height: 240 });
    const refused = await send(new TextEncoder().encode('no picture'));
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'SOURCE_UNREADABLE' }]);
    const large = await send(new Uint8Array(21_000_000));
    expect([large.status, await large.json()]).toMatchObject([400, { code: 'LIMIT_REACHED' }]);
    expect(await end()).toBe(0);
  });

  it.skipIf(redisMissing !== null)(
    'redis-consumer.mjs handles each event once, and confirms what it has handled',
    async () => {
      const redis = await RedisServer.open();
      const add = (id: string): Promise<unknown> => {
        const json = JSON.stringify({ id, type: 'io.sightline.event.new', data: { reason: `${id} was seen` } });
        return redis.admin.xadd('sightline', '*', 'id', id, 'json', json);
      };
      for (const id of ['a.0', 'b.0', 'a.0']) await add(id);
      const args = ['examples/redis-consumer.mjs', redis.url, 'one'];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      await until(() => text.includes('b.0'));
      await add('c.0');
      await until(() => text.includes('c.0'));
      child.kill('SIGTERM');
      expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
      expect(text.trim().split('\n')).toEqual(
        ['a.0', 'b.0', 'c.0'].map((id) => `io.sightline.event.new ${id}: ${id} was seen`),
      );
      expect((await redis.admin.xpending('sightline', 'alarm'))[0]).toBe(0);
      await redis.close();
    },
  );

  it.skipIf(curlMissing)('upload-server.mjs answers the curl of its first lines', async () => {
    const { port, end } = await serve('upload-server.mjs', '0');
    const [, command] = /^\/\/ +(curl .*)$/m.exec(readFileSync('examples/upload-server.mjs', 'utf8'))!;
    const own = command!.replace('8090', port).replace('photo.jpg', picture);
    const { stdout } = await promisify(execFile)('sh', ['-c', own]);
    expect(JSON.parse(stdout)).toMatchObject({ width: 320, height: 240 });
    expect(await end()).toBe(0);
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

describe.skipIf(browserPath === undefined)(browserTitle('the example page.html'), TIMEOUT, () => {
  it('shows the pictures of the demonstration clip with what is in them, and ends in order', async () => {
    const { url, end } = await serve('page.mjs', 'demo', '0');
    const browser = await openBrowser();
    try {
      const { page, complaints } = await visit(browser, url);
      await until(async () => /^camera: .*car/.test((await page.textContent('main p').catch(() => '')) ?? ''));
      const size = ['width', 'height'].map((side) => page.locator('canvas').getAttribute(side));
      expect(await Promise.all(size)).toEqual(['1280', '720']);
      expect(await page.textContent('[role=alert]')).toBe('');
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
    expect(await end()).toBe(0);
  });
});
