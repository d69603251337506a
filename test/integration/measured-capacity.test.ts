import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { measureCapacity } from '../../src/serve/host/own-capacity.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { testFfmpeg } from '../support/made-videos.ts';

it('the measurement of the capacity, when a host joins a fleet, writes nothing into the sinks of the user', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-capacity-'));
  const path = join(folder, 'results.jsonl');
  const model = { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 4 } };
  const text = { name: 'host', description: 'Measures itself.', model, lanes: 1, sinks: [{ type: 'jsonl', path }] };
  const host = await PipelineHost.open(parsePipeline(JSON.stringify(text), 'test'), {
    environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
    stdout: process.stdout,
    onNotice: () => undefined,
    admit: async () => undefined,
  });
  expect(await measureCapacity(host.runtime, testFfmpeg, AbortSignal.timeout(60_000))).toBeGreaterThan(10);
  expect(await host.stop()).toEqual([]);
  expect(readFileSync(path, 'utf8')).toBe('');
  rmSync(folder, { recursive: true });
});
