import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { compilerVersion, hashOfSources } from '../../../../src/network/compile/compiler-version.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-compiler-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  mkdirSync(join(folder, 'passes'), { recursive: true });
  writeFileSync(join(folder, 'emit.js'), 'one');
  writeFileSync(join(folder, 'passes/fold.js'), 'two');
});

it('is another one after any change of a script, and the same after a change of anything else', () => {
  const before = hashOfSources(folder);
  writeFileSync(join(folder, 'emit.d.ts'), 'types');
  writeFileSync(join(folder, 'notes.txt'), 'words');
  expect(hashOfSources(folder)).toBe(before);
  writeFileSync(join(folder, 'passes/fold.js'), 'tw0');
  expect(hashOfSources(folder)).not.toBe(before);
});

it('counts names, so that text that moves to another file is a change', () => {
  const before = hashOfSources(folder);
  rmSync(join(folder, 'emit.js'));
  writeFileSync(join(folder, 'emit2.js'), 'one');
  expect(hashOfSources(folder)).not.toBe(before);
});

it('of this package is one for the whole process', () => {
  expect(compilerVersion()).toMatch(/^[0-9a-f]{64}$/);
  expect(compilerVersion()).toBe(compilerVersion());
});
