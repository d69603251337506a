import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor, within } from '../support/wait-for.ts';

const WRITER = fileURLToPath(new URL('../support/killed-writer.mjs', import.meta.url));
/** Each kill is at another moment: while a file is opened, written, rotated, or between. */
const KILLS = 12;
const MAX_DELAY_MS = 400;

describe('SIGKILL at random moments', () => {
  let folder: string;
  let child: ChildProcess | null = null;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-kills-'));
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const at = (name: string): string => join(folder, name);

  function start(options: object) {
    const writer = spawn(process.execPath, [WRITER, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
    child = writer;
    let output = '';
    writer.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const closed = new Promise<void>((resolve) => writer.once('close', () => resolve()));
    /** What it printed last: results sent, and those that wait. */
    const last = (): number[] => (output.trimEnd().split('\n').at(-1) ?? '').split(' ').map(Number);
    return {
      last,
      running: () => waitFor('the writer', () => output !== '', { deadlineMs: 30_000 }),
      async kill(): Promise<void> {
        writer.kill('SIGKILL');
        await within('the end of the writer', 30_000, closed);
      },
    };
  }

  /** Kills one writer after another. @returns how many results each had sent when it was killed. */
  async function killMany(options: (run: string) => object): Promise<Map<string, number>> {
    const sent = new Map<string, number>();
    for (let i = 0; i < KILLS; i++) {
      const run = `run-${String(i).padStart(2, '0')}`;
      const writer = start(options(run));
      await writer.running();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_DELAY_MS));
      await writer.kill();
      sent.set(run, writer.last()[0]!);
    }
    return sent;
  }

  /** Checks that each run has its first frames without a gap, and all that it had sent. */
  function expectWhole(lines: readonly string[], sent: ReadonlyMap<string, number>): void {
    const frames = new Map<string, number[]>();
    for (const line of lines) {
      const { run, frame } = JSON.parse(line) as { run: string; frame: number };
      frames.set(run, [...(frames.get(run) ?? []), frame]);
    }
    for (const [run, count] of sent) {
      const own = frames.get(run) ?? [];
      expect(own, run).toEqual(Array.from({ length: own.length }, (_, i) => i));
      expect(own.length, `${run} had sent ${count}`).toBeGreaterThanOrEqual(count);
    }
    expect(lines.length).toBeGreaterThan(0);
  }

  const linesOf = (text: string): string[] => text.split('\n').slice(0, -1);
  /** Names of the rotated files, oldest first, then the current one. */
  function inOrder(stem: string, extension: string): string[] {
    const numbered = readdirSync(folder)
      .map((name) => ({ name, n: Number(name.slice(stem.length + 1, -extension.length)) }))
      .filter(({ name, n }) => name.endsWith(extension) && n > 0);
    // A run that is killed between two files leaves no newest one.
    const newest = `${stem}${extension}`;
    const ordered = numbered.sort((a, b) => a.n - b.n).map(({ name }) => name);
    return existsSync(at(newest)) ? [...ordered, newest] : ordered;
  }

  it('JSONL: keeps every result that was sent, and no line is broken after the next start', async () => {
    const sent = await killMany((run) => ({ kind: 'jsonl', path: at('a.jsonl'), append: true, run }));
    // An incomplete last line is removed by the next start.
    await start({ kind: 'jsonl', path: at('a.jsonl'), append: true, run: 'last' }).running();
    child!.kill('SIGKILL');
    expectWhole(linesOf(readFileSync(at('a.jsonl'), 'utf8')), sent);
  });

  it('JSONL with rotation: each result is in exactly one file, in order over the files', async () => {
    // Each run writes 20 lines of about 200 bytes at least.
    const rotation = { maxBytes: 8_000 };
    const sent = await killMany((run) => ({ kind: 'jsonl', path: at('a.jsonl'), append: true, rotation, run }));
    const names = inOrder('a', '.jsonl');
    expect(names.length).toBeGreaterThan(3);
    const lines = names.flatMap((name) => {
      const text = readFileSync(at(name), 'utf8');
      expect(text.length, name).toBeLessThanOrEqual(8_000);
      return linesOf(text);
    });
    expectWhole(lines, sent);
  });

  it('compressed JSONL: a new file for each run, which can be read up to its last member', async () => {
    const sent = await killMany((run) => ({ kind: 'jsonl', path: at('a.jsonl.gz'), append: true, run }));
    const names = inOrder('a', '.jsonl.gz');
    // A run that was killed before it had written anything leaves none.
    expect(names.length).toBeGreaterThan(KILLS / 2);
    const lines = names.flatMap((name) =>
      linesOf(spawnSync('gzip', ['-dc', at(name)], { maxBuffer: 64 * 1024 * 1024 }).stdout.toString()),
    );
    expectWhole(lines, sent);
  });

  it('COCO: the next start completes the list of the killed run', async () => {
    const sent = [...(await killMany(() => ({ kind: 'coco', path: at('a.json'), keepsEarlier: true }))).values()];
    const last = start({ kind: 'coco', path: at('a.json'), keepsEarlier: true });
    await last.running();
    await waitFor('the last run', () => last.last()[0]! > 0);
    await last.kill();
    const recovered = readdirSync(folder).filter((name) => name.startsWith('a.recovered-'));
    const lists = recovered.map((name) => JSON.parse(readFileSync(at(name), 'utf8')) as { image_id: number }[]);
    for (const list of lists) expect(list.map((entry) => entry.image_id)).toEqual(list.map((_, i) => i + 1));
    // Runs without results leave no file; the others are in the order of their numbers.
    const most = Math.max(...sent);
    expect(Math.max(...lists.map((list) => list.length))).toBeGreaterThanOrEqual(most);
    expect(lists.length).toBeGreaterThanOrEqual(sent.filter((count) => count > 0).length);
  });

  describe('webhook', () => {
    interface Received {
      readonly run: string;
      readonly frame: number;
    }
    const received: Received[] = [];
    let isUp = true;
    let server: Server;
    let url: string;
    beforeEach(async () => {
      received.length = 0;
      isUp = true;
      server = createServer((request, response) => {
        let text = '';
        request.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        request.on('end', () => {
          if (!isUp) return response.writeHead(503).end();
          received.push(...(JSON.parse(text) as { results: Received[] }).results);
          return response.writeHead(204).end();
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    });
    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });
    const options = (run: string, more: object = {}) => ({
      kind: 'webhook',
      url,
      spoolFolder: at('spool'),
      batchMs: 50,
      firstRetryMs: 20,
      maxRetryMs: 50,
      run,
      ...more,
    });

    /** Starts a writer with one result, which is sent behind those that were left, until everything was delivered. */
    async function deliverRest(canWait: boolean): Promise<void> {
      isUp = true;
      const last = start(options('last', { frames: 1, canWait }));
      await waitFor('the rest', () => received.at(-1)?.run === 'last' && last.last()[1] === 0, { deadlineMs: 30_000 });
      await last.kill();
      received.splice(received.findIndex(({ run }) => run === 'last'));
    }

    it('delivers in order what was sent, repeats at most, and goes on where it was', async () => {
      const sent = await killMany((run) => options(run));
      await deliverRest(true);
      const seen = new Set<string>();
      const once = received.filter(({ run, frame }) => {
        const isNew = !seen.has(`${run} ${frame}`);
        seen.add(`${run} ${frame}`);
        return isNew;
      });
      // A run sends results of the runs before it as well.
      const total = [...sent.values()].reduce((sum, count) => sum + count, 0);
      expect(received.length).toBeGreaterThanOrEqual(total);
      expect(received.length - once.length, 'repeats: at most one batch for each kill').toBeLessThanOrEqual(KILLS * 50);
      expectWhole(
        once.map((result) => JSON.stringify(result)),
        new Map([...sent.keys()].map((run) => [run, 0])),
      );
    });

    it.each([true, false])('that is down: every result arrives after a restart (of a file: %s)', async (canWait) => {
      isUp = false;
      for (const run of ['a', 'b', 'c']) {
        const writer = start(options(run, { frames: 402, canWait }));
        await waitFor('the results', () => (writer.last()[1] ?? 0) >= 402, { deadlineMs: 30_000 });
        const onDisk = (): number =>
          (readFileSync(at(`spool/${canWait ? 'files' : 'live'}/current.spool`), 'utf8').match(/\n/g) ?? []).length;
        await waitFor('all on the disk', () => onDisk() === 402);
        await writer.kill();
      }
      await deliverRest(canWait);
      const frames = Array.from({ length: 402 }, (_, frame) => frame);
      expect(received.map(({ run, frame }) => `${run} ${frame}`)).toEqual(
        ['a', 'b', 'c'].flatMap((run) => frames.map((frame) => `${run} ${frame}`)),
      );
    });
  });
});
