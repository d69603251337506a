import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WatchedFiles } from '../../../../../src/serve/gateway/access/watched-files.ts';

describe('watched files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-watched-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => join(folder, name);

  /** Looks until a change is reported, at most three times. */
  async function looks(files: WatchedFiles): Promise<boolean[]> {
    return [await files.look(), await files.look(), await files.look()];
  }

  it('report a change once, when the files have been still between two looks', async () => {
    writeFileSync(file('a'), '1');
    const files = await WatchedFiles.open([file('a')]);
    expect(await looks(files)).toEqual([false, false, false]);
    writeFileSync(file('a'), '22');
    expect(await looks(files)).toEqual([false, true, false]);
  });

  it('notice a file that appears, is replaced by another of the same size, and disappears', async () => {
    const files = await WatchedFiles.open([file('a')]);
    writeFileSync(file('a'), '1');
    expect(await looks(files)).toEqual([false, true, false]);
    writeFileSync(file('b'), '2');
    renameSync(file('b'), file('a'));
    expect(await looks(files)).toEqual([false, true, false]);
    rmSync(file('a'));
    expect(await looks(files)).toEqual([false, true, false]);
  });

  it('wait for the second file of a pair', async () => {
    writeFileSync(file('a'), '1');
    writeFileSync(file('b'), '1');
    const files = await WatchedFiles.open([file('a'), file('b')]);
    writeFileSync(file('a'), '22');
    expect(await files.look()).toBe(false);
    writeFileSync(file('b'), '22');
    expect(await looks(files)).toEqual([false, true, false]);
  });
});
