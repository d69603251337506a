import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles, type SinkFiles } from '../../../../src/after/sinks/sink-files.ts';
import { SpoolPosition } from '../../../../src/after/sinks/spool-position.ts';
import { FaultyFiles } from '../../../support/faulty-files.ts';

describe('the position of a spool', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-position-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A process that opens the position, saves another one, and ends. @returns what it found. */
  async function save(seq: number, files: SinkFiles = diskFiles): Promise<number> {
    const position = await SpoolPosition.open(folder, files);
    const found = position.seq;
    position.advance(seq);
    await position.close();
    return found;
  }

  it('is found by the next process', async () => {
    expect(await save(7)).toBe(0);
    expect(await save(12)).toBe(7);
    expect(await save(13)).toBe(12);
  });

  it('keeps the one before if a write is cut short, however short each process lives', async () => {
    await save(1);
    await save(2);
    const disk = new FaultyFiles();
    disk.faults.set('write', { writtenBytes: 4, code: 'EIO' });
    await save(3, disk);
    expect(await save(4)).toBe(2);
  });
});
