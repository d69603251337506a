import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import type { HostReport, SinkReport } from '../../src/wire/protocol/report.ts';
import { temporaryFolder } from '../support/cli.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { waitFor } from '../support/wait-for.ts';

const HOSTILE = fileURLToPath(new URL('../support/hostile-receivers.mjs', import.meta.url));
/** Kind and scheme of a sink, by the first word of its receiver. */
const KINDS: Readonly<Record<string, readonly [string, string]>> = {
  redis: ['redis-streams', 'redis'],
  mqtt: ['mqtt', 'mqtt'],
  nats: ['nats', 'nats'],
  mail: ['mail', 'smtp'],
  kafka: ['kafka', 'kafka'],
  web: ['webhook', 'http'],
};
/** An answer that takes longer is none: what asks for it, such as Kubernetes, restarts the host. */
const ANSWER_MS = 5000;

async function hostilePorts(): Promise<Readonly<Record<string, number>>> {
  const child: ChildProcess = spawn(process.execPath, [HOSTILE], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill());
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return JSON.parse(line.toString()) as Record<string, number>;
}

function sinkOf(name: string, port: number): object {
  const [type, scheme] = KINDS[name.split('-')[0]!]!;
  const more =
    type === 'mail' ? { from: 'host@example.org', to: ['guard@example.org'] } : { send: ['results', 'events'] };
  return { type, url: `${scheme}://127.0.0.1:${port}`, ...more };
}

it('receivers that answer without end, or with nonsense, keep neither the host nor a receiver that works from answering', async () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const received = new Set<number>();
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => {
      for (const { frame } of JSON.parse(text).results as { frame: number }[]) received.add(frame);
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const hostile = Object.entries(await hostilePorts()).map(([name, port]) => sinkOf(name, port));
  const works = { type: 'webhook', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  const file = join(folder.path, 'pipeline.yaml');
  writeFileSync(
    file,
    JSON.stringify({
      name: 'hostile',
      description: 'Receivers that answer without end.',
      model: { engine: 'fake', inputSize: '64x64', threads: 1, fake: { rows: [10, 10, 30, 30, 0.9, 0] } },
      streams: [
        {
          id: 'door',
          source: 'synthetic:testsrc2=size=160x90:rate=10',
          policy: 'live',
          track: {},
          events: [{ id: 'seen', kind: 'appears', labels: ['person'] }],
        },
      ],
      sinks: [...hostile, works],
    }),
  );
  const pipeline = new PipelineProcess(file, [], { SIGHTLINE_CACHE: join(folder.path, 'cache') });
  onTestFinished(async () => void (await pipeline.kill()));
  const url = await pipeline.started();
  const get = async (path: string): Promise<Response> =>
    fetch(new URL(path, url), { signal: AbortSignal.timeout(ANSWER_MS) });

  const sinksNow = async (): Promise<readonly SinkReport[]> =>
    ((await (await get('/api/streams')).json()) as { host: HostReport }).host.sinks ?? [];
  let alive = 0;
  await waitFor(
    'every hostile receiver to be reported',
    async () => {
      expect((await get('/healthz')).status).toBe(200);
      alive += 1;
      const sinks = (await sinksNow()).slice(0, -1);
      expect(sinks).toHaveLength(hostile.length);
      return sinks.every(({ problem }) => problem !== null);
    },
    { deadlineMs: 40_000 },
    async () => JSON.stringify(await sinksNow()),
  );
  expect(alive).toBeGreaterThan(0);
  const before = received.size;
  await waitFor('results at the receiver that works', () => received.size > before);

  const sinks = await sinksNow();
  for (const { id, problem, sent } of sinks.slice(0, -1)) {
    expect(problem).toMatch(new RegExp(`^sink ${id} \\(\\S+127\\.0\\.0\\.1:\\d+\\): `));
    expect(sent).toBe(0);
  }
  expect(sinks.at(-1)).toMatchObject({ problem: null });
  const { code, stderr } = await pipeline.stop();
  expect(stderr).not.toContain('check the disk');
  expect(stderr).toMatch(/redis-streams-1 .* kB that is no reply/);
  expect(code, stderr.slice(-2000)).toBe(0);
}, 240_000);
