import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSinks } from '../../src/after/sinks/open-sinks.ts';
import type { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import { type SinkConfig, sinkConfig } from '../../src/after/sinks/sink-kinds.ts';
import type { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { parquetRows } from '../support/parquet-rows.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { TextSink } from '../support/text-sink.ts';
import { frameOf, person } from '../unit/after/sinks/frames.ts';

const SECRET = 'hush-hush-hush-4711';
const folder = mkdtempSync(join(tmpdir(), 'sightline-sinks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Frames that a receiver has got, and whether it answers. */
class Receiver {
  readonly frames: number[] = [];
  isDown = false;
  readonly #server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => {
      if (this.isDown) return void response.writeHead(503).end();
      for (const { frame } of JSON.parse(text).results as { frame: number }[]) this.frames.push(frame);
      response.writeHead(204).end();
    });
  });

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${SECRET}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

let receiver: Receiver;
let url: string;
beforeEach(async () => {
  receiver = new Receiver();
  url = await receiver.open();
});
afterEach(() => receiver.close());

interface SinkCase {
  /** Settings of a sink that keeps what it has on a disk. */
  readonly settings: (disk: string) => object;
  /** Settings of a sink whose receiver cannot be reached, with a secret where the kind has one. */
  readonly broken: (disk: string) => object;
  /** Settings of a sink whose receiver takes nothing; null if that cannot be made. */
  readonly hung: ((disk: string) => object) | null;
  /** Frames that arrived, of all runs, in order. */
  readonly arrived: (disk: string) => number[] | Promise<number[]>;
  /** It gathers results for minutes before it writes them. */
  readonly isLate?: boolean;
}

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);

/** They send events, see event-sinks.test.ts. */
type Messages = 'mqtt' | 'redis-streams' | 'nats' | 'kafka' | 'mail';

/** Every kind of sink without pictures: the type demands a new one. The video has tests of its own. */
const CASES: Readonly<Record<Exclude<SinkConfig['type'], 'video' | Messages>, SinkCase>> = {
  jsonl: {
    settings: (disk) => ({ path: join(disk, 'r.jsonl') }),
    broken: (disk) => ({ path: join(disk, 'missing/r.jsonl') }),
    hung: (disk) => {
      const path = join(disk, 'fifo');
      execFileSync('mkfifo', [path]);
      return { path };
    },
    arrived: (disk) => linesOf(join(disk, 'r.jsonl')).map((line) => JSON.parse(line).frame as number),
  },
  coco: {
    settings: (disk) => ({ path: join(disk, 'r.json') }),
    broken: (disk) => ({ path: join(disk, 'missing/r.json') }),
    hung: null,
    arrived: (disk) =>
      readdirSync(disk)
        .filter((name) => name.endsWith('.json') && !name.includes('partial'))
        .sort((a, b) => b.length - a.length)
        .flatMap((name) => JSON.parse(readFileSync(join(disk, name), 'utf8')) as { image_id: number }[])
        .map((entry) => entry.image_id - 1),
  },
  parquet: {
    settings: (disk) => ({ path: join(disk, 'rows') }),
    broken: (disk) => {
      writeFileSync(join(disk, 'file'), '');
      return { path: join(disk, 'file/rows') };
    },
    hung: null,
    // It writes nothing before its time; test/unit/after/sinks/parquet-sink.test.ts has its full disk.
    isLate: true,
    arrived: async (disk) => {
      const names = readdirSync(join(disk, 'rows'), { recursive: true, encoding: 'utf8' });
      const files = names.filter((name) => name.endsWith('.parquet')).sort();
      const rows = await Promise.all(files.map((name) => parquetRows(join(disk, 'rows', name))));
      return rows.flat().map(({ frame }) => Number(frame));
    },
  },
  webhook: {
    settings: (disk) => ({ url, spoolFolder: join(disk, 'spool') }),
    broken: () => ({ url: `http://user:${SECRET}@127.0.0.1:9/${SECRET}`, secret: SECRET, headers: { Key: SECRET } }),
    hung: () => ({ url, spoolMaxMb: 0 }),
    arrived: () => receiver.frames,
  },
};

interface Opened {
  readonly sinks: ResultSinks;
  /** All that the sink says to people. */
  readonly texts: string[];
  readonly failures: SightlineError[];
}

async function open(type: string, settings: object): Promise<Opened> {
  const texts: string[] = [];
  const failures: SightlineError[] = [];
  const sinks = await openSinks([sinkConfig.parse({ type, ...settings })], {
    classes: ['person'],
    stdout: new TextSink(),
    onFailure: (error) => {
      failures.push(error);
      texts.push(JSON.stringify([error.message, error.details]));
    },
    onRecovery: () => undefined,
    onNotice: (text) => texts.push(text),
  });
  return { sinks, texts, failures };
}

/** Publishes frames of a live stream, which never waits. */
function publish({ sinks }: Opened, from: number, to: number): void {
  for (let frame = from; frame < to; frame += 1)
    sinks.publish(frameOf(frame, [person]), 'door', undefined as never, false);
}

function accounted({ sinks }: Opened): number {
  const { sent, waiting, lost } = sinks.reports[0]!;
  return sent + waiting + Object.values(lost).reduce((sum, each) => sum + each, 0);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe.each(Object.entries(CASES))(
  'a sink of the kind %s',
  (type, { settings, broken, hung, arrived, isLate = false }) => {
    let disk: string;
    beforeEach(() => {
      disk = mkdtempSync(join(folder, `${type}-`));
    });

    it('delivers each result once and in order, also over a restart with the same settings', async () => {
      const first = await open(type, settings(disk));
      publish(first, 0, 70);
      expect(await first.sinks.close()).toEqual([]);
      const second = await open(type, settings(disk));
      publish(second, 70, 100);
      expect(await second.sinks.close()).toEqual([]);
      await expect.poll(() => arrived(disk)).toEqual(range(0, 100));
    });

    it('that cannot reach its receiver reports it, accounts for every result, closes, and shows no secret', async () => {
      const opened = await open(type, broken(disk));
      publish(opened, 0, 50);
      await expect.poll(() => opened.failures.map(({ code }) => code)).toContain('SINK_FAILED');
      expect(opened.sinks.reports[0]!.problem).not.toBeNull();
      expect(accounted(opened)).toBe(50);
      const atClose = await opened.sinks.close();
      expect(atClose.every(({ code }) => code === 'SINK_FAILED')).toBe(true);
      const said = [...opened.texts, ...atClose.map(({ message }) => message), JSON.stringify(opened.sinks.reports)];
      expect(said.filter((text) => text.includes(SECRET))).toEqual([]);
    });

    it.skipIf(hung === null)('whose receiver takes nothing holds no live stream up, and closes', async () => {
      receiver.isDown = true;
      const opened = await open(type, hung!(disk));
      publish(opened, 0, 200);
      expect(accounted(opened)).toBe(200);
      await opened.sinks.close();
      expect(accounted(opened)).toBe(200);
    });

    const small = mountSmallDisk(join(folder, `small-${type}`), 64);
    it.skipIf(small === null || isLate)(
      'on a full disk accounts for every result, and goes on when there is space',
      async () => {
        const full = small!.path;
        try {
          receiver.isDown = true;
          const opened = await open(type, settings(full));
          publish(opened, 0, 2000);
          await expect.poll(() => opened.failures.length).toBeGreaterThan(0);
          expect(accounted(opened)).toBe(2000);
          small!.grow(16 * 1024);
          receiver.isDown = false;
          await expect.poll(() => opened.sinks.problem, { timeout: 60_000 }).toBeNull();
          publish(opened, 2000, 2010);
          expect(accounted(opened)).toBe(2010);
          await opened.sinks.close();
          const frames = await arrived(full);
          expect(frames.slice(-10)).toEqual(range(2000, 2010));
          expect(frames).toEqual(frames.toSorted((a, b) => a - b));
        } finally {
          small!.remove();
        }
      },
    );
  },
);

describe('the spool of a webhook', () => {
  async function openAll(parent: string, paths: readonly string[]): Promise<Opened> {
    const texts: string[] = [];
    const base = url.replace(`/${SECRET}`, '');
    const sinks = await openSinks(
      paths.map((path) => sinkConfig.parse({ type: 'webhook', url: `${base}/${path}` })),
      {
        classes: ['person'],
        stdout: new TextSink(),
        spoolFolder: parent,
        onFailure: () => undefined,
        onRecovery: () => undefined,
        onNotice: (text) => texts.push(text),
      },
    );
    return { sinks, texts, failures: [] };
  }

  it('is found again when a sink was inserted above it, and when version 0.2 left it', async () => {
    const parent = join(folder, 'parent');
    receiver.isDown = true;
    const first = await openAll(parent, ['one']);
    publish(first, 0, 20);
    await first.sinks.close();
    const [name] = readdirSync(parent).filter((each) => !each.endsWith('.lock'));
    // As version 0.2 named it.
    renameSync(join(parent, name!), join(parent, `webhook-1-${name}`));
    receiver.isDown = false;
    const second = await openAll(parent, ['other', 'one']);
    await expect.poll(() => receiver.frames).toEqual(range(0, 20));
    await second.sinks.close();
    expect(second.texts.join()).toContain('sink webhook-2: 20 results were left by an earlier run');
  });

  it('is one for each sink of a pipeline with the same receiver', async () => {
    const parent = join(folder, 'twice');
    mkdirSync(parent);
    const opened = await openAll(parent, ['one', 'one']);
    publish(opened, 0, 5);
    await opened.sinks.close();
    await expect.poll(() => receiver.frames.toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
  });
});
