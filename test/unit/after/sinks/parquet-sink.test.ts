import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ParquetFileSink } from '../../../../src/after/sinks/parquet-file-sink.ts';
import { ParquetSink } from '../../../../src/after/sinks/parquet-sink.ts';
import type { Detection } from '../../../../src/base/core/detection.ts';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { parquetColumn, parquetRows } from '../../../support/parquet-rows.ts';
import { mountSmallDisk } from '../../../support/small-disk.ts';
import { frameOf, person } from './frames.ts';
import { describeSink } from './sink-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-parquet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DAY = Date.parse('2026-03-01T12:00:00.000Z');
const DAY_MS = 86_400_000;

function frame(streamId: string, number: number, capturedAtMs: number, more: Partial<Detection> = {}): PublishedFrame {
  return { ...frameOf(number, [{ ...person, ...more }, person]), streamId, run: 'r', capturedAtMs };
}

function openSink(path: string): { sink: ParquetSink; failures: SightlineError[] } {
  const failures: SightlineError[] = [];
  const onFailure = (error: SightlineError): void => void failures.push(error);
  return { sink: new ParquetSink({ id: 'rows', folder: path, everyMs: 600_000, onFailure }), failures };
}

const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('.parquet'))
    .sort();

const fileUnder = (name: string): string => {
  const path = join(folder, name);
  writeFileSync(path, '');
  return join(path, 'rows.parquet');
};
describeSink(
  'ParquetSink',
  (onFailure) => new ParquetSink({ id: 'under-test', folder: join(folder, 'contract'), everyMs: 60_000, onFailure }),
  (onFailure) => new ParquetSink({ id: 'under-test', folder: fileUnder('a'), everyMs: 60_000, onFailure }),
);
describeSink(
  'ParquetFileSink',
  (onFailure) => new ParquetFileSink({ id: 'under-test', path: join(folder, 'contract.parquet'), onFailure }),
  (onFailure) => new ParquetFileSink({ id: 'under-test', path: fileUnder('b'), onFailure }),
);

describe('a Parquet sink', () => {
  it('writes a file by stream and day, with a row for each detection and the columns of its frame', async () => {
    const path = join(folder, 'days');
    const { sink } = openSink(path);
    sink.publish(frame('door', 1, DAY, { trackId: 7, label: 'dog "Rex"' }), 'rtsp://cam');
    sink.publish(frame('../yard', 1, DAY), 'rtsp://cam');
    sink.publish(frame('door', 2, DAY + DAY_MS), 'rtsp://cam');
    sink.publish({ ...frameOf(3), streamId: 'door', capturedAtMs: DAY }, 'rtsp://cam');
    await sink.close();
    const files = filesIn(path);
    expect(files.map((name) => name.replace(/\/[^/]+$/, ''))).toEqual([
      ...['%2E%2E%2Fyard/2026-03-01', 'door/2026-03-01', 'door/2026-03-02'],
    ]);
    expect(parquetColumn(join(path, files[1]!), 'capturedAt')).toMatchObject({
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
    });
    const rows = await parquetRows(join(path, files[1]!));
    expect(rows).toHaveLength(2);
    expect(rows[0]).toEqual({
      stream: 'door',
      run: 'r',
      source: 'rtsp://cam',
      frame: 1n,
      ptsUs: 40_000n,
      capturedAt: new Date(DAY),
      width: 1280,
      height: 720,
      by: 'inferred',
      classId: 0,
      label: 'dog "Rex"',
      score: 0.91,
      x: 10,
      y: 20,
      boxWidth: 30,
      boxHeight: 40,
      trackId: 7,
      mask: null,
      keypoints: null,
      angle: null,
      attributes: null,
    });
    expect(rows[1]!.trackId ?? null).toBeNull();
    expect(sink.figures).toMatchObject({ sent: 4, waiting: 0 });
  });

  it('has the masks, key points and angles of models that find them', async () => {
    const path = join(folder, 'tasks');
    const { sink } = openSink(path);
    const mask = { size: [720, 1280], counts: 'abc' } as const;
    sink.publish(frame('door', 1, DAY, { mask, keypoints: [1.234, 5, 0.5], angle: -30 }), 'rtsp://cam');
    await sink.close();
    const [row] = await parquetRows(join(path, filesIn(path)[0]!));
    expect(row).toMatchObject({ mask: 'abc', keypoints: [1.23, 5, 0.5], angle: -30 });
  });

  it('holds a live stream up for nothing: it drops and counts what is too much, and makes files wait', async () => {
    const path = fileUnder('c');
    const { sink, failures } = openSink(path);
    const many = Array.from({ length: 1000 }, () => person);
    const results = Array.from({ length: 310 }, (_, number) => sink.publish(frameOf(number, many), 'a.cam', false));
    expect(results).not.toContain(false);
    expect(sink.figures.lost.overflow).toBe(10);
    expect(sink.publish(frameOf(310, many), 'a.mp4', true)).toBe(false);
    await expect.poll(() => failures.length).toBe(1);
    const closing = sink.close();
    await sink.drained();
    await expect(closing).rejects.toMatchObject({ code: 'SINK_FAILED', details: { lostResults: 311 } });
    expect(sink.figures).toMatchObject({ sent: 0, waiting: 0, lost: { overflow: 10, failed: 301 } });
  });

  const small = mountSmallDisk(join(folder, 'small'), 64);
  it.skipIf(small === null)('on a full disk keeps what it has, and leaves no file that cannot be read', async () => {
    try {
      const { sink, failures } = openSink(join(small!.path, 'rows'));
      // Random scores do not compress.
      const random = (): Detection => ({ ...person, score: Math.random(), box: [Math.random() * 1e3, 1, 2, 3] });
      const many = (): Detection[] => Array.from({ length: 1000 }, random);
      for (let number = 0; number < 100; number += 1) sink.publish(frameOf(number, many()), 'a.cam', false);
      await expect.poll(() => failures.length).toBe(1);
      expect(sink.figures).toMatchObject({ sent: 0, waiting: 100 });
      expect(filesIn(small!.path)).toEqual([]);
      small!.grow(16 * 1024);
      await expect.poll(() => sink.figures).toMatchObject({ problem: null, sent: 100, waiting: 0 });
      await sink.close();
      const [name] = filesIn(small!.path);
      expect(await parquetRows(join(small!.path, name!))).toHaveLength(100_000);
    } finally {
      small!.remove();
    }
  });
});

describe('the Parquet file of a command', () => {
  it('has all rows in the order of the inputs, and gets its name when it is complete', async () => {
    const path = join(folder, 'all.parquet');
    const open = () =>
      new ParquetFileSink({ id: '--parquet', path, onFailure: (error) => expect.unreachable(error.message) });
    const cut = open();
    cut.publish(frameOf(0, [person]), 'a.mp4');
    await cut.close(false);
    expect(filesIn(folder)).toContain('all.partial.parquet');
    expect(await parquetRows(join(folder, 'all.partial.parquet'))).toHaveLength(1);
    const whole = open();
    const many = Array.from({ length: 300 }, () => person);
    for (const source of ['b.mp4', 'a.mp4'])
      for (let number = 0; number < 40; number += 1) {
        whole.publish({ ...frameOf(number, many), run: 'r' }, source);
        await whole.drained();
      }
    await whole.close();
    const rows = await parquetRows(path);
    expect(rows).toHaveLength(24_000);
    expect([...new Set(rows.map(({ stream, frame }) => `${stream} ${frame}`))].slice(38, 42)).toEqual([
      ...['b.mp4 38', 'b.mp4 39', 'a.mp4 0', 'a.mp4 1'],
    ]);
    expect(rows[0]!.run ?? null).toBeNull();
    expect(whole.figures).toMatchObject({ sent: 80, waiting: 0 });
  });

  const READERS = {
    duckdb: `import duckdb, sys
print(duckdb.connect().execute(f"select count(*), sum(classId), max(capturedAt)::varchar, count(trackId) from '{sys.argv[1]}/**/*.parquet' where label = 'person'").fetchall()[0])`,
    pandas: `import pandas, sys, glob
d = pandas.concat(pandas.read_parquet(f) for f in glob.glob(sys.argv[1] + '/**/*.parquet', recursive=True))
d = d[d.label == 'person']
print((len(d), int(d.classId.sum()), str(d.capturedAt.max()), int(d.trackId.count())))`,
  };
  it.for(Object.entries(READERS))('is read by %s, if Python has it', async ([name, script], { skip }) => {
    const modules = name === 'pandas' ? 'pandas, pyarrow' : name;
    if (spawnSync('python3', ['-c', `import ${modules}`]).status !== 0) skip(`Python has no ${modules}`);
    const path = join(folder, name);
    mkdirSync(path);
    const { sink } = openSink(path);
    for (let number = 0; number < 50; number += 1)
      sink.publish(frame('door', number, DAY + number * 1000, { trackId: 1 }), 'a');
    await sink.close();
    const { stdout, stderr } = spawnSync('python3', ['-c', script, path], { encoding: 'utf8' });
    expect(stdout, stderr).toMatch(/^\(100, 0, '2026-03-01 12:00:49[^']*', 50\)\n$/);
  });
});
