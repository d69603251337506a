import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../../../src/after/sinks/sink-files.ts';
import { Spool, type SpoolOptions } from '../../../../src/after/sinks/spool.ts';
import { checksum, crc32, formatLine, parseLine } from '../../../../src/after/sinks/spool-line.ts';
import { FaultyFiles } from '../../../support/faulty-files.ts';
import { waitFor } from '../../../support/wait-for.ts';

const root = mkdtempSync(join(tmpdir(), 'sightline-spool-'));
const folder = join(root, 'spool');
beforeEach(() => rmSync(folder, { recursive: true, force: true }));
afterAll(() => rmSync(root, { recursive: true }));

function open(more: Partial<SpoolOptions> = {}) {
  const failures: (string | undefined)[] = [];
  const found: number[] = [];
  let recoveries = 0;
  const spool = new Spool({
    folder,
    maxBytes: 100_000_000,
    whenFull: 'drop-oldest',
    sync: 'interval',
    onFailure: ({ error }) => failures.push((error as NodeJS.ErrnoException).code),
    onRecovery: () => {
      recoveries += 1;
    },
    onFound: (records) => found.push(records),
    onDropped: () => undefined,
    ...more,
  });
  return { spool, failures, found, recoveries: () => recoveries };
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const append = (spool: Spool, from: number, to: number, padding = ''): void => {
  for (const n of numbers(from, to)) spool.append(JSON.stringify({ n, padding }));
};

/** Takes and acknowledges everything, as a receiver that works. */
async function drain(spool: Spool, most = 7): Promise<number[]> {
  const seen: number[] = [];
  for (;;) {
    const records = await spool.take(most);
    if (records.length === 0) return seen;
    seen.push(...records.map(({ text }) => (JSON.parse(text) as { n: number }).n));
    spool.acknowledge();
  }
}
const files = (): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
const sizeOf = (name: string): number => (existsSync(join(folder, name)) ? statSync(join(folder, name)).size : 0);
const bytesOnDisk = (): number => files().reduce((sum, name) => sum + sizeOf(name), 0);

describe('a spool', () => {
  it('returns records in order, and leaves no file when all were acknowledged', async () => {
    const { spool } = open();
    append(spool, 0, 1000);
    expect(spool.waiting).toBe(1000);
    expect(await drain(spool)).toEqual(numbers(0, 1000));
    expect(await spool.close()).toBe(0);
    expect(files()).toEqual([]);
  });

  it('returns what was not acknowledged again after a restart, before anything newer', async () => {
    const first = open();
    append(first.spool, 0, 100);
    await first.spool.take(10);
    first.spool.acknowledge();
    await first.spool.take(10);
    expect(await first.spool.close()).toBe(0);
    const second = open();
    append(second.spool, 100, 120);
    expect(await drain(second.spool)).toEqual(numbers(10, 120));
    expect(second.found).toEqual([90]);
    await second.spool.close();
    const third = open();
    expect(await drain(third.spool)).toEqual([]);
    await third.spool.close();
  });

  it('larger than its memory keeps the order over spool files, restarts and acknowledgements in between', async () => {
    let next = 0;
    const seen: number[] = [];
    for (let run = 0; run < 5; run++) {
      const { spool } = open({ maxBytes: 4_000_000 });
      append(spool, next, next + 1200, 'x'.repeat(400));
      next += 1200;
      await waitFor('records on the disk', () => files().length > 1);
      for (let batch = 0; batch < 4; batch++) {
        const records = await spool.take(50);
        seen.push(...records.map(({ text }) => (JSON.parse(text) as { n: number }).n));
        spool.acknowledge();
        append(spool, next, next + 10);
        next += 10;
      }
      expect(await spool.close()).toBe(0);
    }
    const { spool } = open({ maxBytes: 4_000_000 });
    seen.push(...(await drain(spool)));
    await spool.close();
    expect(seen).toEqual(numbers(0, next));
    expect(files()).toEqual([]);
  });

  it.each(['before', 'after'] as const)(
    'is read while its oldest file is dropped, just %s its removal',
    async (when) => {
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      let isDropping = false;
      let isHolding = false;
      const remove = async (path: string): Promise<void> => {
        if (!isDropping) return diskFiles.remove(path);
        if (when === 'after') await diskFiles.remove(path);
        isHolding = true;
        await held;
        await diskFiles.remove(path);
      };
      const { spool } = open({ maxBytes: 40_000, files: { ...diskFiles, remove } });
      // No two files have the same number of records.
      for (const n of numbers(0, 100)) append(spool, n, n + 1, 'x'.repeat(50 + 4 * n));
      await waitFor('spool files', () => files().length > 3);
      // The oldest file was sent, and the next one is not read yet.
      const sent = (await spool.take(100)).length;
      spool.acknowledge();
      isDropping = true;
      append(spool, 100, 400, 'x'.repeat(450));
      await waitFor('a removal', () => isHolding);
      const taken = (await spool.take(7)).map(({ text }) => (JSON.parse(text) as { n: number }).n);
      release();
      await waitFor('the removal', () => bytesOnDisk() <= 40_000);
      spool.acknowledge();
      const seen = [...taken, ...(await drain(spool))];
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
      expect(spool.figures).toMatchObject({ damaged: 0, overflow: 400 - sent - seen.length });
      expect(spool.waiting).toBe(0);
      expect(await spool.close()).toBe(0);
      expect(files()).toEqual([]);
    },
  );

  it('that is full drops the oldest records, counts exactly those, and stays below its limit', async () => {
    const maxBytes = 80_000;
    const { spool } = open({ maxBytes });
    for (let n = 0; n < 2000; n += 20) {
      append(spool, n, n + 20, 'x'.repeat(200));
      await new Promise(setImmediate);
    }
    await waitFor('old records to be dropped', () => bytesOnDisk() <= maxBytes && spool.waiting < 500);
    const rest = await drain(spool);
    // Read last: the disk may still be catching up while the records are taken.
    const { overflow } = spool.figures;
    expect(overflow).toBe(2000 - rest.length);
    // The spool file that is being sent stays.
    const newest = rest.filter((n) => n > 100);
    expect(newest).toEqual(numbers(2000 - newest.length, 2000));
    expect(rest).toEqual([...numbers(0, rest.length - newest.length), ...newest]);
    expect(newest.length).toBeGreaterThan(100);
    await spool.close();
  });

  it('that is full of results of a file makes it wait, and loses nothing', async () => {
    const { spool } = open({ maxBytes: 20_000, whenFull: 'wait' });
    const seen: number[] = [];
    let waits = 0;
    for (let n = 0; n < 500; n++) {
      if (spool.append(JSON.stringify({ n, padding: 'x'.repeat(200) }))) continue;
      waits += 1;
      const drained = spool.drained();
      const records = await spool.take(20);
      seen.push(...records.map(({ text }) => (JSON.parse(text) as { n: number }).n));
      spool.acknowledge();
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 5))]);
    }
    expect(waits).toBeGreaterThan(0);
    seen.push(...(await drain(spool)));
    expect(seen).toEqual(numbers(0, 500));
    expect(spool.figures.overflow).toBe(0);
    await spool.close();
  });

  it('cut at any byte by a crash keeps every whole record, in order', async () => {
    const { spool } = open();
    append(spool, 0, 60);
    await spool.close();
    const path = join(folder, 'current.spool');
    const content = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length), async (cut) => {
        rmSync(folder, { recursive: true });
        const fresh = open();
        await fresh.spool.close();
        writeFileSync(path, content.subarray(0, cut));
        const whole = content.subarray(0, cut).toString().split('\n').length - 1;
        const next = open();
        append(next.spool, 60, 61);
        expect(await drain(next.spool)).toEqual([...numbers(0, whole), 60]);
        expect(next.spool.figures.damaged).toBe(0);
        await next.spool.close();
      }),
      { numRuns: 40 },
    );
  });

  it('whose disk has changed bytes of a record counts that one as damaged and returns the others', async () => {
    const { spool } = open();
    append(spool, 0, 10);
    await spool.close();
    const path = join(folder, 'current.spool');
    const lines = readFileSync(path, 'utf8').split('\n');
    lines[4] = lines[4]!.replace('"n":4', '"n":5');
    writeFileSync(path, lines.join('\n'));
    const next = open();
    expect(await drain(next.spool)).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9]);
    expect(next.spool.figures.damaged).toBe(1);
    await next.spool.close();
  });

  it.each([
    ['is missing', () => rmSync(join(folder, 'position'))],
    ['is cut', () => truncateSync(join(folder, 'position'), 40)],
    ['is zeros', () => writeFileSync(join(folder, 'position'), Buffer.alloc(128))],
  ])('whose position %s repeats records rather than losing one', async (_, spoil) => {
    const { spool } = open();
    append(spool, 0, 20);
    await waitFor('the records on the disk', () => sizeOf('current.spool') > 400);
    await spool.take(5);
    spool.acknowledge();
    await spool.close();
    spoil();
    const next = open();
    const seen = await drain(next.spool);
    expect(seen.slice(-15)).toEqual(numbers(5, 20));
    expect(seen).toEqual(numbers(20 - seen.length, 20));
    await next.spool.close();
  });

  it.each(['ENOSPC', 'EIO'])(
    'on a disk that fails with %s keeps records in memory, reports it once, and writes them later',
    async (code) => {
      const disk = new FaultyFiles();
      const { spool, failures, recoveries } = open({ files: disk });
      append(spool, 0, 10);
      await waitFor('the first records', () => sizeOf('current.spool') > 200);
      disk.faults.set('write', { writtenBytes: 30, code });
      append(spool, 10, 30);
      await waitFor('the failure', () => failures.length > 0);
      expect(failures).toEqual([code]);
      expect(spool.failure).not.toBeNull();
      const records = await spool.take(20);
      expect(records).toHaveLength(20);
      spool.acknowledge();
      disk.faults.clear();
      await waitFor('the recovery', () => recoveries() === 1);
      expect(await spool.close()).toBe(0);
      const next = open();
      expect(await drain(next.spool)).toEqual(numbers(20, 30));
      await next.spool.close();
    },
  );

  it('that cannot read its oldest file now keeps it, reports it once, and returns its records later', async () => {
    const before = open();
    append(before.spool, 0, 5);
    await before.spool.close();
    const disk = new FaultyFiles();
    const { spool, failures, recoveries } = open({ files: disk });
    await waitFor('its own files', () => disk.openFiles === 2);
    disk.faults.set('open', { code: 'EMFILE' });
    for (let attempt = 0; attempt < 3; attempt++) expect(await spool.take(7)).toEqual([]);
    expect(failures).toEqual(['EMFILE']);
    expect(spool.failure).toMatchObject({ action: 'read', error: { code: 'EMFILE' } });
    expect(spool.waiting).toBe(5);
    disk.faults.clear();
    expect(await drain(spool)).toEqual(numbers(0, 5));
    expect(recoveries()).toBe(1);
    expect(spool.figures).toMatchObject({ damaged: 0, overflow: 0 });
    await spool.close();
  });

  it('whose oldest file was removed counts its records as damaged and returns the next ones', async () => {
    const before = open();
    append(before.spool, 0, 5);
    await before.spool.close();
    const { spool } = open();
    await waitFor('the records of the run before', () => spool.waiting === 5);
    append(spool, 5, 8);
    rmSync(join(folder, 'current.1.spool'));
    expect(await drain(spool)).toEqual(numbers(5, 8));
    expect(spool.figures.damaged).toBe(5);
    await spool.close();
  });

  it('on a disk that hangs closes within its limit, and says how many records are not on it', async () => {
    const disk = new FaultyFiles();
    const { spool } = open({ files: disk });
    append(spool, 0, 10);
    await waitFor('the first records', () => sizeOf('current.spool') > 200);
    disk.faults.set('write', 'hangs');
    append(spool, 10, 15);
    expect(await spool.close()).toBe(5);
    disk.respond();
    await waitFor('the late end of its files', () => disk.openFiles === 0);
  });

  it.each(['read', 'stat', 'rename', 'datasync'] as const)(
    'on a disk that fails at %s closes every file that it opened, and keeps the records of the run before',
    async (call) => {
      const before = open();
      append(before.spool, 0, 5);
      await before.spool.close();
      const disk = new FaultyFiles();
      disk.faults.set(call, { code: 'EIO' });
      const { spool, failures, recoveries } = open({ files: disk, sync: 'batch' });
      append(spool, 5, 8);
      await waitFor('the failure', () => failures.length > 0);
      await waitFor('a pause', () => disk.openFiles <= 1);
      disk.faults.clear();
      await waitFor('the recovery', () => recoveries() === 1);
      expect(disk.openFiles).toBe(2);
      disk.faults.set('datasync', { code: 'EIO' });
      await spool.close();
      expect(disk.openFiles).toBe(0);
      const next = open();
      expect(await drain(next.spool)).toEqual(numbers(0, 8));
      await next.spool.close();
    },
  );

  it('with policy batch has everything on the disk that it has written, whenever the power fails', async () => {
    const disk = new FaultyFiles();
    const { spool } = open({ files: disk, sync: 'batch' });
    append(spool, 0, 30);
    await waitFor('the write', () => disk.syncs > 0);
    await disk.cutPower();
    const next = open();
    expect(await drain(next.spool)).toEqual(numbers(0, 30));
    await next.spool.close();
  });
});

describe('a line of a spool', () => {
  it('has the CRC-32 of zlib and gzip', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
    expect(checksum('123456789')).toBe('cbf43926');
    expect(crc32(new Uint8Array(0))).toBe(0);
  });

  it('is read as it was written, and refused after any change of one character', () => {
    const text = fc.string({ unit: 'grapheme' }).map((note) => JSON.stringify({ note }));
    fc.assert(
      fc.property(fc.nat(2 ** 40), text, fc.nat(), (seq, json, at) => {
        const line = formatLine({ seq, text: json }).slice(0, -1);
        expect(parseLine(line)).toEqual({ seq, text: json });
        const index = at % line.length;
        const other = line[index] === '1' ? '2' : '1';
        expect(parseLine(line.slice(0, index) + other + line.slice(index + 1))).toBeNull();
      }),
    );
  });

  it('that is empty, zeros or JSON alone is refused', () => {
    for (const line of ['', '\0'.repeat(50), '{"n":1}', '00000000 ']) expect(parseLine(line)).toBeNull();
  });
});
