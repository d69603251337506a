import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calibrationFrames } from '../../../src/cli/calibration-frames.ts';
import { tinyModel } from '../../conformance/engine-cases.ts';
import { makePipe } from '../../support/made-pipe.ts';

describe('--calibration', () => {
  const io = {
    stdout: process.stdout,
    stderr: process.stderr,
    environment: { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: '/nowhere', token: undefined },
    stop: new AbortController().signal,
  };

  it.each([
    ['a pipe', (folder: string) => makePipe(join(folder, 'pipe')), 'SOURCE_UNREADABLE'],
    ['a device', () => '/dev/zero', 'SOURCE_UNREADABLE'],
    ['nothing', () => '/nowhere/at/all', 'SOURCE_NOT_FOUND'],
    [
      'a folder whose picture is a pipe',
      (folder: string) => join(makePipe(join(folder, 'a.png')), '..'),
      'SOURCE_UNREADABLE',
    ],
  ])('that is %s is refused at once', async (_, make, code) => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-calibration-'));
    await expect(calibrationFrames(make(folder), tinyModel().spec, io)).rejects.toMatchObject({ code });
    rmSync(folder, { recursive: true });
  });
});
