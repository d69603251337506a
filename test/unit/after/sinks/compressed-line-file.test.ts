import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { JsonlSink } from '../../../../src/after/sinks/jsonl-sink.ts';
import { JSON_LINES, LineFile } from '../../../../src/after/sinks/line-file.ts';
import { openSinks } from '../../../../src/after/sinks/open-sinks.ts';
import {
  type Compression,
  compressionOf,
  compressionProblem,
  HAS_ZSTD,
} from '../../../../src/base/disk/compression.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { mountSmallDisk } from '../../../support/small-disk.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { frameOf, person } from './frames.ts';
import { TurnedClock } from './turned-clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-compressed-'));
const disk = mountSmallDisk(join(folder, 'disk'), 64);
beforeEach(() => {
  for (const name of readdirSync(folder)) if (name !== 'disk') rmSync(join(folder, name), { recursive: true });
});
afterAll(() => {
  disk?.remove();
  rmSync(folder, { recursive: true });
});

const unexpected = (error: SightlineError) => expect.unreachable(error.message);
const path = join(folder, 'lines');

function hasProgram(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Node.js decompresses the first frame of a zstd file only, so the program `zstd` reads it. */
const CAN_TEST_ZSTD = HAS_ZSTD && hasProgram('zstd');

/** Returns what a program makes of a file whose end is missing. */
function readable(program: string, bytes: Buffer): string {
  return spawnSync(program, ['-dc'], { input: bytes, maxBuffer: 64 * 1024 * 1024 }).stdout.toString();
}

/** Other implementations than the one under test. */
const READERS: Readonly<Record<Compression, (bytes: Buffer) => string>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes).toString(),
  zstd: (bytes) => execFileSync('zstd', ['-dc'], { input: bytes, maxBuffer: 64 * 1024 * 1024 }).toString(),
};
async function write(compression: Compression, chunks: readonly string[]): Promise<void> {
  const file = await LineFile.open(path, { ...JSON_LINES, compression });
  for (const chunk of chunks) {
    const { keptBytes, error } = await file.append(Buffer.from(chunk));
    expect({ keptBytes, error }).toEqual({ keptBytes: Buffer.byteLength(chunk), error: null });
  }
  await file.close();
}

describe.each<Compression>(['gzip', 'zstd'])('%s', (compression) => {
  const needsZstd = compression === 'zstd' && !CAN_TEST_ZSTD;
  const why = needsZstd ? ' (skipped: needs Node.js 22.15 and the program zstd)' : '';
  const read = (): string => READERS[compression](readFileSync(path));

  describe.skipIf(needsZstd)(`a compressed file of lines${why}`, () => {
    const program = compression === 'gzip' ? 'gzip' : 'zstd';

    it.skipIf(!hasProgram(program))(`can be read by the program ${program}, at any time`, async () => {
      const file = await LineFile.open(path, { ...JSON_LINES, compression });
      let text = '';
      for (const chunk of ['', '{"a":1}\n', `{"b":"${'x'.repeat(300_000)}"}\n`]) {
        if (chunk !== '') await file.append(Buffer.from(chunk));
        text += chunk;
        expect(execFileSync(program, ['-dc'], { input: readFileSync(path) }).toString()).toBe(text);
      }
      await file.close();
    });

    it('of an earlier run is kept as it is, under the next number', async () => {
      await write(compression, ['{"a":1}\n', '{"a":2}\n']);
      const first = readFileSync(path);
      await write(compression, ['{"a":3}\n']);
      await write(compression, ['{"a":4}\n']);
      expect(readFileSync(`${path}.1`).equals(first)).toBe(true);
      expect(READERS[compression](readFileSync(`${path}.2`))).toBe('{"a":3}\n');
      expect(read()).toBe('{"a":4}\n');
    });

    it('cut by a crash at any byte loses only its last member: the rest can be read, and the next run begins a new file', async () => {
      const line = fc.string({ unit: 'binary', maxLength: 300 }).map((note) => `${JSON.stringify({ note })}\n`);
      const chunk = fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => lines.join(''));
      await fc.assert(
        fc.asyncProperty(
          fc.array(chunk, { minLength: 1, maxLength: 5 }),
          fc.double({ min: 0, max: 1, noNaN: true }),
          async (chunks, at) => {
            for (const name of readdirSync(folder)) if (name.startsWith('lines')) rmSync(join(folder, name));
            const ends: number[] = [];
            const file = await LineFile.open(path, { ...JSON_LINES, compression });
            for (const each of chunks) {
              await file.append(Buffer.from(each));
              ends.push(await file.size());
            }
            await file.close();
            const bytes = readFileSync(path);
            const cut = Math.max(1, Math.floor(at * bytes.length));
            writeFileSync(path, bytes.subarray(0, cut));
            await write(compression, ['{"next":true}\n']);
            expect(read()).toBe('{"next":true}\n');
            const kept = readFileSync(`${path}.1`);
            expect(kept.equals(bytes.subarray(0, cut))).toBe(true);
            const whole = chunks.filter((_, index) => ends[index]! <= cut).join('');
            expect(readable(program, kept).startsWith(whole)).toBe(true);
          },
        ),
        { numRuns: 30 },
      );
    });

    it.each([
      ['plain lines', '{"a":1}\n'],
      ['a video', '\x1a\x45\xdf\xa3 matroska'],
    ])('is not confused with %s', async (_, content) => {
      writeFileSync(path, content, 'latin1');
      await expect(LineFile.open(path, { ...JSON_LINES, compression })).rejects.toThrow(
        new RegExp(`has another format: expected ${compression}; choose another path`),
      );
      expect(readFileSync(path, 'latin1')).toBe(content);
    });

    it.skipIf(disk === null)('on a full disk keeps whole members only, and goes on when there is space', async () => {
      const full = join(disk!.path, 'full');
      const file = await LineFile.open(full, { ...JSON_LINES, compression });
      const chunk = (): Buffer => Buffer.from(`${Array.from({ length: 2000 }, Math.random).join()}\n`);
      let kept = '';
      for (;;) {
        const lines = chunk();
        const { keptBytes, error } = await file.append(lines);
        if (error !== null) {
          expect([keptBytes, (error as NodeJS.ErrnoException).code]).toEqual([0, 'ENOSPC']);
          break;
        }
        kept += lines.toString();
      }
      expect(READERS[compression](readFileSync(full)) === kept).toBe(true);
      disk!.grow(1024);
      expect((await file.append(Buffer.from('{"later":1}\n'))).error).toBeNull();
      await file.close();
      expect(READERS[compression](readFileSync(full)) === `${kept}{"later":1}\n`).toBe(true);
      rmSync(full);
    });
  });
});

describe('a JSONL sink whose path ends in .gz', () => {
  const out = join(folder, 'out.jsonl.gz');
  const framesIn = (file: string): number[] =>
    READERS.gzip(readFileSync(file))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { frame: number }).frame);

  it('begins a new file at each start, and keeps the earlier one', async () => {
    for (const frame of [0, 1, 2]) {
      const sink = new JsonlSink({ id: 'out', path: out, append: true, onFailure: unexpected });
      sink.publish(frameOf(frame), 'a.mp4');
      await sink.close();
    }
    const names = ['out.1.jsonl.gz', 'out.2.jsonl.gz', 'out.jsonl.gz'];
    expect(names.map((name) => framesIn(join(folder, name)))).toEqual([[0], [1], [2]]);
  });

  it('is at least eight times smaller than plain lines', async () => {
    const frames = Array.from({ length: 3000 }, (_, frame) => frameOf(frame, [person, person, person]));
    const plain = join(folder, 'plain.jsonl');
    for (const file of [out, plain]) {
      const sink = new JsonlSink({ id: 'out', path: file, onFailure: unexpected });
      for (const frame of frames) sink.publish(frame, 'a.mp4');
      await sink.close();
    }
    const text = readFileSync(plain, 'utf8');
    expect(READERS.gzip(readFileSync(out))).toBe(text);
    expect(readFileSync(out).length).toBeLessThan(text.length / 8);
  });

  it('has what was published after one second at the latest', async () => {
    const clock = new TurnedClock();
    const sink = new JsonlSink({ id: 'out', path: out, append: true, onFailure: unexpected, clock });
    await waitFor('the file', () => existsSync(out) && readFileSync(out).length > 0);
    sink.publish(frameOf(0), 'a.mp4');
    clock.turn(999);
    expect(framesIn(out)).toEqual([]);
    clock.turn(1);
    await waitFor('the line', () => framesIn(out).length === 1);
    await sink.close();
  });

  it('is a valid file without results, too', async () => {
    await new JsonlSink({ id: 'out', path: out, onFailure: unexpected }).close();
    expect(READERS.gzip(readFileSync(out))).toBe('');
  });

  it('is NAME.partial.jsonl.gz until it is complete; one that a crash left is kept', async () => {
    const partial = join(folder, 'out.partial.jsonl.gz');
    const crashed = new JsonlSink({ id: 'out', path: out, append: true, onFailure: unexpected });
    crashed.publish(frameOf(7), 'a.mp4');
    await crashed.close();
    renameSync(out, partial);
    const sink = new JsonlSink({ id: 'out', path: out, onFailure: unexpected });
    sink.publish(frameOf(8), 'a.mp4');
    await waitFor('both files', () => existsSync(join(folder, 'out.recovered-1.jsonl.gz')) && existsSync(partial));
    expect(existsSync(out)).toBe(false);
    await sink.close();
    expect([framesIn(join(folder, 'out.recovered-1.jsonl.gz')), framesIn(out)]).toEqual([[7], [8]]);
    expect(existsSync(partial)).toBe(false);
  });
});

describe('the extension', () => {
  it.each([
    ['r.jsonl', null],
    ['r.jsonl.gz', 'gzip'],
    ['R.JSONL.GZ', 'gzip'],
    ['r.zst', 'zstd'],
    ['-', null],
    ['folder.gz/r.jsonl', null],
  ])('of %s says %s', (name, compression) => {
    expect(compressionOf(name)).toBe(compression);
  });

  it('.zst on a Node.js without zstd is an error that names gzip', () => {
    expect(compressionProblem('/out/r.jsonl.zst', false)).toBe(
      `expected a compression that this Node.js has, received "/out/r.jsonl.zst": zstd needs Node.js 22.15 or later ` +
        `(this is ${process.versions.node}); use /out/r.jsonl.gz for gzip.`,
    );
    expect(compressionProblem('/out/r.jsonl.zst', true)).toBeNull();
    expect(compressionProblem('/out/r.jsonl.gz', false)).toBeNull();
  });

  it.skipIf(HAS_ZSTD)('.zst stops a pipeline at its start there, before a file is made', async () => {
    const zst = join(folder, 'r.jsonl.zst');
    const context = { classes: [], stdout: process.stdout, onFailure: unexpected, onRecovery() {}, onNotice() {} };
    await expect(
      openSinks([{ type: 'jsonl', path: zst, send: ['results'], sync: 'interval' }], context),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/^sinks\.0\.path: .*r\.jsonl\.gz for gzip\.$/),
    });
    expect(readdirSync(folder).filter((name) => name !== 'disk')).toEqual([]);
  });
});
