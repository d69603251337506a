import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findFfmpeg } from '../../../../src/frame/decode/ffmpeg-binary.ts';

/** The scripts need programs of the system. */
const environment = { general: { PATH: process.env.PATH ?? '' }, network: {} };

/** Creates a folder with an executable `ffmpeg` that prints this. */
function pretend(output: string, mode = 0o755): string {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-ffmpeg-'));
  const path = join(folder, 'ffmpeg');
  writeFileSync(path, `#!/bin/sh\ncat <<'END'\n${output}\nEND\n`);
  chmodSync(path, mode);
  return folder;
}

describe.skipIf(process.platform === 'win32')('findFfmpeg (uses shell scripts)', () => {
  it.each([
    ['5.1.9-0+deb12u1', '57. 28.100', 5],
    ['n7.1', '59. 39.100', 7],
    ['7.0.2-static', '59.  8.100', 7],
    ['N-47683-g0e8eb07980-static', '56. 24.101', 4],
    ['N-118193-g5f38c82536-20241231', '59. 53.100', 7],
    ['2025-01-02-git-0457aaf0d3-full_build', '59. 54.100', 7],
    ['n9.0.2-17-g2a571b6068-20260930', '61.  1.102', 9],
  ])('reads the major version of %s', async (version, avutil, major) => {
    const folder = pretend(
      `ffmpeg version ${version} Copyright (c) the FFmpeg developers\nlibavutil      ${avutil} / ${avutil}`,
    );
    expect(await findFfmpeg({ path: undefined, searchPath: folder, environment })).toMatchObject({
      path: join(folder, 'ffmpeg'),
      version,
      major,
      foundBy: 'PATH',
    });
  });

  it('tries only the path that the user set', async () => {
    const folder = pretend('ffmpeg version 5.1');
    await expect(findFfmpeg({ path: '/nowhere/ffmpeg', searchPath: folder })).rejects.toMatchObject({
      code: 'FFMPEG_MISSING',
      message: expect.stringContaining('ffmpeg at /nowhere/ffmpeg (found by setting) cannot be run: '),
    });
    expect((await findFfmpeg({ path: join(folder, 'ffmpeg'), searchPath: '' })).foundBy).toBe('setting');
  });

  it('ignores folders in the PATH without ffmpeg, and files that are not executable', async () => {
    const withFolder = mkdtempSync(join(tmpdir(), 'sightline-ffmpeg-'));
    mkdirSync(join(withFolder, 'ffmpeg'));
    const good = pretend('ffmpeg version 6.0');
    const searchPath = ['', '/nowhere', pretend('ffmpeg version 4.0', 0o644), withFolder, good].join(delimiter);
    expect((await findFfmpeg({ path: undefined, searchPath, environment })).path).toBe(join(good, 'ffmpeg'));
  });

  it('rejects a file that is not executable and a program that is not ffmpeg', async () => {
    const silent = join(pretend('ffmpeg version 4.0', 0o644), 'ffmpeg');
    await expect(findFfmpeg({ path: silent, searchPath: '' })).rejects.toMatchObject({ code: 'FFMPEG_MISSING' });
    const other = join(pretend('GNU cat 9.1'), 'ffmpeg');
    await expect(findFfmpeg({ path: other, searchPath: '' })).rejects.toMatchObject({
      code: 'FFMPEG_MISSING',
      message: expect.stringContaining('it does not answer -version like ffmpeg: GNU cat 9.1'),
    });
  });
});
