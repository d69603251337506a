import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { AtomicFile } from '../../../../../src/fleet/control/jobs/atomic-file.ts';
import { SegmentFolder } from '../../../../../src/fleet/control/jobs/segment-folder.ts';
import { mountSmallDisk } from '../../../../support/small-disk.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-atomic-')));
const segmentFolderIn = (outDir: string): SegmentFolder => new SegmentFolder(outDir, 'parts', async () => outDir);
const smallDisk = mountSmallDisk(join(folder, 'disk'), 16);
afterEach(() => {
  for (const name of readdirSync(folder)) if (name !== 'disk') rmSync(join(folder, name), { recursive: true });
});
afterAll(() => {
  smallDisk?.remove();
  rmSync(folder, { recursive: true });
});

describe('AtomicFile', () => {
  const path = join(folder, 'result.jsonl');
  const results = segmentFolderIn(folder);
  const stem = join(results.path, 'result');

  it('appears complete, replacing the previous file', async () => {
    writeFileSync(path, 'old');
    const file = await AtomicFile.create('job', path, stem, results);
    file.write('new\n');
    expect(readFileSync(path, 'utf8')).toBe('old');
    await file.commit();
    expect(readFileSync(path, 'utf8')).toBe('new\n');
    expect(readdirSync(results.path)).toEqual([]);
  });

  it('can be written by two writers at once', async () => {
    const files = await Promise.all([1, 2].map(() => AtomicFile.create('job', path, stem, results)));
    for (const file of files) for (let i = 0; i < 5000; i++) await file.write(`line ${i}\n`);
    await Promise.all(files.map((file) => file.commit()));
    expect(readFileSync(path, 'utf8')).toBe(Array.from({ length: 5000 }, (_, i) => `line ${i}\n`).join(''));
  });

  it('can be discarded at any time, and repeatedly', async () => {
    const file = await AtomicFile.create('job', path, stem, results);
    for (let i = 0; i < 100; i++) file.write('x'.repeat(10_000));
    await file.discard();
    await file.discard();
    expect(readdirSync(results.path)).toEqual([]);
  });

  it('is created while others keep removing its empty folder', async () => {
    for (let i = 0; i < 100; i++) {
      const made = AtomicFile.create('job', path, stem, results);
      const removal = setInterval(() => {
        try {
          rmdirSync(results.path);
        } catch {
          // Not empty, or missing.
        }
      }, 0);
      const file = await made.finally(() => clearInterval(removal));
      await file.discard();
    }
  });

  it('below a file fails with advice', async () => {
    writeFileSync(join(folder, 'plain'), '');
    await expect(
      AtomicFile.create(
        'job',
        path,
        join(segmentFolderIn(join(folder, 'plain')).path, 'result'),
        segmentFolderIn(join(folder, 'plain')),
      ),
    ).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: /is a file and not a folder|exists/,
    });
  });

  it('whose path is a folder fails and leaves nothing', async () => {
    mkdirSync(path);
    const file = await AtomicFile.create('job', path, stem, results);
    file.write('new\n');
    await expect(file.commit()).rejects.toMatchObject({ code: 'SINK_FAILED', message: /is a folder/ });
    expect(readdirSync(results.path)).toEqual([]);
  });

  it.skipIf(smallDisk === null)('fails on a full disk and leaves nothing (needs to mount a small disk)', async () => {
    const full = join(smallDisk!.path, 'result.jsonl');
    const small = segmentFolderIn(smallDisk!.path);
    const file = await AtomicFile.create('job', full, join(small.path, 'result'), small);
    for (let i = 0; i < 300; i++) await file.write(`${'x'.repeat(500)}\n`);
    await expect(file.commit()).rejects.toMatchObject({ code: 'SINK_FAILED', details: { cause: 'ENOSPC' } });
    expect(readdirSync(smallDisk!.path, { recursive: true })).toEqual(['.parts', '.parts/parts']);
  });
});
