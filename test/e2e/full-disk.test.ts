import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ended, startCli } from '../support/cli.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { waitFor, within } from '../support/wait-for.ts';

const SIGHTLINE = 'dist/workers/sightline.process.js';
const folder = mkdtempSync(join(tmpdir(), 'sightline-full-'));
const disk = mountSmallDisk(join(folder, 'disk'), 128);
const stores = mountSmallDisk(join(folder, 'stores'), 1024);
afterAll(() => {
  disk?.remove();
  stores?.remove();
  rmSync(folder, { recursive: true });
});

describe.skipIf(disk === null)('sightline run on a disk that is full (needs to mount one)', () => {
  it('shows it in metrics, readiness, events and log, waits, and shows when it goes on', async () => {
    const path = join(disk!.path, 'a.jsonl');
    const pipeline = join(folder, 'pipeline.yaml');
    writeFileSync(
      pipeline,
      `name: full
description: Many results on a small disk.
model: { engine: fake, fake: { rows: [128, 128, 256, 256, 0.9, 0] } }
streams:
  - { id: door, source: "synthetic:testsrc2=size=64x64:rate=500", policy: file }
sinks:
  - { type: jsonl, path: "${path}" }
`,
    );
    const child = startCli(['run', pipeline, '--port', '0']);
    const result = ended(child);
    let log = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    try {
      const url = await new Promise<string>((resolve) => {
        child.stderr!.on('data', () => {
          const found = /live at (http:\S+)/.exec(log)?.[1];
          if (found !== undefined) resolve(found);
        });
      });
      const metric = async (name: string): Promise<number> => {
        const text = await (await fetch(`${url}/metrics`)).text();
        const line = text.split('\n').find((each) => each.startsWith(name)) ?? '';
        return Number(line.split(' ').at(-1));
      };
      const failing = 'sightline_sink_failing{sink="jsonl-1"}';
      const ready = async (): Promise<{ status: string; reason: string }> =>
        (await fetch(`${url}/readyz`)).json() as Promise<{ status: string; reason: string }>;
      await waitFor(
        'the disk to be full',
        async () => (await metric(failing)) === 1,
        { deadlineMs: 60_000 },
        () => log,
      );
      expect(await ready()).toEqual({ status: 'degraded', reason: expect.stringMatching(/no space is left.*ENOSPC/) });
      const { events } = (await (await fetch(`${url}/api/events`)).json()) as {
        events: { kind: string; details?: object }[];
      };
      const failed = events.find(({ kind }) => kind === 'sink-failed');
      expect(failed?.details).toMatchObject({ sink: 'jsonl-1', path, cause: 'ENOSPC', code: 'SINK_FAILED' });
      expect(log).toMatch(/warning: sink jsonl-1: cannot write .*ENOSPC/);
      await waitFor('retries', async () => (await metric('sightline_sink_retries_total{sink="jsonl-1"}')) > 0);
      expect(await metric('sightline_sink_results_waiting{sink="jsonl-1"}')).toBeGreaterThan(0);

      disk!.grow(256 * 1024);
      await waitFor(
        'the recovery',
        async () => (await metric(failing)) === 0,
        { deadlineMs: 60_000 },
        () => log,
      );
      await waitFor('the status', async () => (await ready()).status === 'ready');
      expect(log).toMatch(/sink jsonl-1 delivers again/);
      expect(await metric('sightline_sink_results_lost_total{sink="jsonl-1",reason="overflow"}')).toBe(0);
      child.kill('SIGTERM');
      expect((await within('the end', 60_000, result)).code).toBe(0);
      const frames = readFileSync(path, 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { frame: number }).frame);
      expect(frames).toEqual(frames.map((_, i) => i));
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('says in its readiness what the history and a spool cannot write and what waits, until there is room', async () => {
    const pipeline = join(folder, 'stores.yaml');
    writeFileSync(
      pipeline,
      `name: stores
description: A history and a spool on a small disk.
model: { engine: fake, fake: { rows: [128, 128, 256, 256, 0.9, 0] } }
history: { path: "${stores!.path}/gate.db" }
streams:
  - { id: door, source: "synthetic:testsrc2=size=64x64:rate=20" }
sinks:
  - { type: webhook, url: "http://127.0.0.1:9/", spoolFolder: "${stores!.path}/spool" }
`,
    );
    const host = new PipelineProcess(pipeline);
    try {
      const url = await host.started();
      const ready = async (): Promise<{ status: string; reason: string }> =>
        (await fetch(`${url}/readyz`)).json() as Promise<{ status: string; reason: string }>;
      // Refused connections are a problem of the sink in any case.
      await waitFor('a record in the spool', async () => /127\.0\.0\.1:9.*wait/.test((await ready()).reason));
      const filler = join(stores!.path, 'filler');
      try {
        for (let bytes = 1024; ; bytes += 1024) writeFileSync(filler, Buffer.alloc(bytes));
      } catch {
        // It is full now.
      }
      const events = async (): Promise<void> => {
        for (const change of ['pause', 'resume']) await fetch(`${url}/api/streams/door/${change}`, { method: 'POST' });
      };
      const shows = async (what: RegExp): Promise<boolean> => {
        const { status, reason } = await ready();
        return status === 'degraded' && what.test(reason);
      };
      const reason = async (): Promise<string> => (await ready()).reason;
      const patience = { deadlineMs: 60_000 };
      const spool = new RegExp(`cannot write ${stores!.path}/spool.*: no space is left .*ENOSPC.*; \\d+ results wait`);
      await waitFor('the spool', () => shows(spool), patience, reason);
      const refused = new RegExp(
        `the history ${stores!.path}/gate\\.db cannot be written: .*; \\d+ events? waits? in memory`,
      );
      await waitFor('the history', () => events().then(() => shows(refused)), patience, reason);
      expect(await ready()).toMatchObject({ reason: expect.stringMatching(spool) });
      rmSync(filler);
      await waitFor('the recovery', () => events().then(() => shows(/^(?!.*(gate\.db|ENOSPC))/)), patience, reason);
    } finally {
      await host.kill();
    }
  });
});

describe.skipIf(!existsSync('/dev/full'))('standard output on a full disk (needs /dev/full)', () => {
  it.each(['--help', 'models list --json', 'run --help', '--version'])(
    'is one sentence and exit code 1: %s',
    (line) => {
      const full = openSync('/dev/full', 'w');
      const { status, stderr } = spawnSync(process.execPath, [SIGHTLINE, ...line.split(' ')], {
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      });
      closeSync(full);
      const text = 'error: standard output cannot be written: no space is left on the disk (ENOSPC) [SINK_FAILED]\n';
      expect([status, stderr]).toEqual([1, text]);
    },
  );
});
