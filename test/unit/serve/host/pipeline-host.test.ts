import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PipelineHost } from '../../../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { testFfmpeg } from '../../../support/made-videos.ts';

describe.skipIf(process.platform === 'win32')('PipelineHost (uses a shell script)', () => {
  it('asks ffmpeg for its version once, and its runtime decodes with the ffmpeg found', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-host-'));
    const path = join(folder, 'ffmpeg');
    const calls = join(folder, 'calls');
    writeFileSync(path, `#!/bin/sh\necho "$@" >> ${calls}\nexec ${testFfmpeg.path} "$@"\n`);
    chmodSync(path, 0o755);
    const config = parsePipeline(
      JSON.stringify({ name: 'one', description: 'No stream.', model: { engine: 'fake', inputSize: '160x96' } }),
      'test',
    );
    const host = await PipelineHost.open(config, {
      environment: { ffmpegPath: path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: () => Promise.resolve(),
    });
    await host.runtime.stop();
    expect(readFileSync(calls, 'utf8')).toBe('-hide_banner -version\n');
    const { version, major } = testFfmpeg;
    expect(host.runtime.ffmpeg).toMatchObject({ version, major, path, foundBy: 'setting' });
  });
});
