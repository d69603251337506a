import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

describe('the dashboard and the protocol', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-web-types-'));
    for (const path of ['src', 'web', 'tsconfig.json', 'tsconfig.web.json'])
      cpSync(path, join(folder, path), { recursive: true });
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function check(): string {
    try {
      return execFileSync(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', 'tsconfig.web.json'], {
        cwd: folder,
        encoding: 'utf8',
      });
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  }

  function rename(path: string, field: string): void {
    const file = join(folder, path);
    const text = readFileSync(file, 'utf8');
    const declaration = new RegExp(`\\b${field}: `);
    expect(text).toMatch(declaration);
    writeFileSync(file, text.replace(declaration, 'renamed: '));
  }

  it('the page passes the check', () => {
    expect(check()).toBe('');
  });

  it.each([
    ['queueDepth', 'src/wire/protocol/keys/reports.ts', 'web/camera-figures.js'],
    ['jpeg', 'src/wire/protocol/feed.ts', 'web/overlay.js'],
    ['recommendedHosts', 'src/wire/protocol/fleet-report.ts', 'web/fleet-panel.js'],
    ['waitsFor', 'src/wire/protocol/rollout-records.ts', 'web/rollout-panel.js'],
  ])('a renamed field, %s of %s, breaks the build at %s', (field, path, user) => {
    rename(path, field);
    expect(check()).toContain(user);
  });
});
