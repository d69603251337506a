import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  moveFile,
  replaceFile,
  syncFolder,
  temporaryPathOf,
  writeWholeFile,
} from '../../../../src/base/disk/replace-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-disk-'));
  path = join(folder, 'record.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('replaceFile', () => {
  it('shows the old content until the new one is complete', async () => {
    writeFileSync(path, 'old');
    await replaceFile(path, async (temporaryPath) => {
      writeFileSync(temporaryPath, 'new');
      expect(readFileSync(path, 'utf8')).toBe('old');
    });
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(folder)).toEqual(['record.json']);
  });

  it('keeps the old content and leaves nothing else if writing fails half-way', async () => {
    writeFileSync(path, 'old');
    const failing = replaceFile(path, async (temporaryPath) => {
      writeFileSync(temporaryPath, 'ne');
      throw new Error('disk full');
    });
    await expect(failing).rejects.toThrow('disk full');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['record.json']);
  });

  it('leaves nothing if the name belongs to a folder', async () => {
    await expect(writeWholeFile(folder, 'text')).rejects.toThrow();
    expect(readdirSync(dirname(folder)).filter((name) => name.endsWith('.tmp') && name.includes('disk-'))).toEqual([]);
  });

  it('accepts a copy of a read-only file', async () => {
    const source = join(folder, 'source');
    writeFileSync(source, 'weights');
    chmodSync(source, 0o444);
    await replaceFile(path, async (temporaryPath) => copyFileSync(source, temporaryPath));
    expect(readFileSync(path, 'utf8')).toBe('weights');
  });
});

describe('writeWholeFile', () => {
  it('called at once by many writers, leaves the whole content of one', async () => {
    const contents = Array.from({ length: 20 }, (_, i) => String(i % 10).repeat(200_000));
    await Promise.all(contents.map((content) => writeWholeFile(path, content)));
    expect(contents).toContain(readFileSync(path, 'utf8'));
    expect(readdirSync(folder)).toEqual(['record.json']);
  });

  it('rejects with the error of the system if the folder is missing', async () => {
    await expect(writeWholeFile(join(folder, 'missing', 'file'), 'x')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the other steps', () => {
  it('a temporary path is new each time, in the same folder', () => {
    const [first, second] = [temporaryPathOf(path), temporaryPathOf(path)];
    expect(first).not.toBe(second);
    expect(dirname(first)).toBe(folder);
  });

  it('a file is moved over another one', async () => {
    writeFileSync(path, 'old');
    writeFileSync(join(folder, 'fresh'), 'new');
    await moveFile(join(folder, 'fresh'), path);
    expect(readFileSync(path, 'utf8')).toBe('new');
  });

  it('a folder that cannot be synchronised is ignored', async () => {
    await syncFolder(join(folder, 'missing'));
  });
});
