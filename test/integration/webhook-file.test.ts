import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { waitFor, within } from '../support/wait-for.ts';

const folder = new VideoFolder();
afterAll(() => folder.remove());

it('a file is held back by a webhook that is slow, and every result arrives in order', async () => {
  const frames = 2600;
  const source = await folder.make('long.mp4', { frames, width: 64, height: 64 });
  const received: number[] = [];
  let isOpen = false;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', async () => {
      while (!isOpen) await new Promise((resolve) => setTimeout(resolve, 20));
      const { results } = JSON.parse(text) as { results: { frame: number }[] };
      received.push(...results.map(({ frame }) => frame));
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  // Room for about 2,000 results.
  const sink = { type: 'webhook', url, spoolFolder: join(folder.path, 'spool'), spoolMaxMb: 0.25 };
  const model = { engine: 'fake', inputSize: '32x32', threads: 1, fake: { callMs: 0 } };
  const fleet = { roots: [dirname(source)] };
  const text = { name: 'hook', description: 'A slow receiver.', model, lanes: 1, sinks: [sink], fleet };
  const host = await PipelineHost.open(parsePipeline(JSON.stringify(text), 'test'), {
    environment: {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      modelPath: [],
      token: undefined,
      cacheDir: join(tmpdir(), 'sightline-no-cache'),
    },
    stdout: process.stdout,
    onNotice: () => undefined,
    admit: async () => undefined,
  });
  await host.addStream({ id: 'file', source });
  const { runtime } = host;
  const stream = runtime.stream('file');
  await waitFor('ffmpeg to be held back', () => stream.isHeldBack && stream.telemetry.frames(0).published >= 500, {
    deadlineMs: 40_000,
  });
  expect(stream.telemetry.frames(0).published).toBeLessThan(frames);
  isOpen = true;
  await within('the file', 40_000, stream.settled());
  expect(await runtime.stop()).toEqual([]);
  expect(received).toEqual(Array.from({ length: frames }, (_, frame) => frame));
  server.close();
}, 120_000);
