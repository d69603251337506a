import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SightlineClient } from '../../src/wire/client/index.ts';
import { temporaryFolder } from '../support/cli.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { waitFor } from '../support/wait-for.ts';

/** One box in the middle of the left half, as tracks, in a zone and on a heat map. */
const PIPELINE = (folder: string): string => `
name: kept
description: A camera whose history is kept.
model: { engine: fake, fake: { rows: [64, 128, 128, 128, 0.9, 0] } }
history: { path: "${folder}/kept.db" }
streams:
  - id: door
    source: "synthetic:testsrc2=size=512x512:rate=25"
    realtime: true
    track: true
    zones: [{ id: left, polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }]
`;

describe('sightline run with a history', () => {
  let temporary: ReturnType<typeof temporaryFolder>;
  const started: PipelineProcess[] = [];
  beforeEach(() => {
    temporary = temporaryFolder();
    writeFileSync(join(temporary.path, 'pipeline.yaml'), PIPELINE(temporary.path));
  });
  afterEach(async () => {
    for (const process of started.splice(0)) await process.kill();
    temporary.remove();
  });

  async function start(): Promise<{ process: PipelineProcess; client: SightlineClient }> {
    const process = new PipelineProcess(join(temporary.path, 'pipeline.yaml'));
    started.push(process);
    return { process, client: new SightlineClient({ url: await process.started() }) };
  }

  /** Rows that another program finds in the file. */
  function rowsOf(sql: string): unknown {
    const code = `const { DatabaseSync } = require('node:sqlite');
      const database = new DatabaseSync(${JSON.stringify(join(temporary.path, 'kept.db'))}, { readOnly: true });
      console.log(JSON.stringify(database.prepare(${JSON.stringify(sql)}).all()));`;
    return JSON.parse(
      execFileSync(process.execPath, ['-e', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  }

  it('shows after a kill what was before, and counts on', async () => {
    const first = await start();
    const seenS = async ({ client }: typeof first): Promise<number> =>
      (await client.seen({ by: 'day' })).seen.reduce((sum, row) => sum + row.seenS, 0);
    await waitFor('three seconds', async () => (await seenS(first)) > 3);
    const { occupancy } = await first.client.occupancy({ by: 'day' });
    expect(occupancy[0]).toMatchObject({ stream: 'door', zone: 'left', max: 1, arrivals: 1 });
    expect(occupancy[0]!.mean).toBeGreaterThan(0.5);
    const heat = await first.client.heat('door', { fromMs: Date.now() - 7_200_000 });
    // The box ends at 128 / 512 across and 256 / 512 down.
    expect([...heat.cells.entries()].filter(([, s]) => s > 0).map(([cell]) => cell)).toEqual([9 * 32 + 8]);
    expect((await first.client.counts({ by: 'day' })).counts).toMatchObject([
      { line: null, label: 'person', count: 1 },
    ]);
    const before = await seenS(first);
    expect(rowsOf('SELECT count(*) AS rows FROM seen')).toEqual([{ rows: expect.any(Number) }]);
    await first.process.kill();

    const second = await start();
    await waitFor('more', async () => (await seenS(second)) > before + 1);
    const added = await second.client.eventPage({ kinds: ['stream-added'] });
    expect(added.events.map(({ message }) => message)).toHaveLength(2);
    expect(second.process.log).not.toMatch(/history|SQLite/i);
    expect((await second.process.stop()).code).toBe(0);
    expect(rowsOf('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });

  it('goes on without a stop of the stream while its file is removed and damaged', async () => {
    const { process, client } = await start();
    const frames = async (): Promise<number> => (await client.streams.get('door')).frames.published;
    for (const damage of [
      () => rmSync(join(temporary.path, 'kept.db')),
      () => writeFileSync(join(temporary.path, 'kept.db'), 'x'.repeat(100_000)),
    ]) {
      const before = await frames();
      damage();
      await waitFor('more frames', async () => (await frames()) > before + 10);
      // It is found with the next write.
      await waitFor(
        'figures',
        async () => (await client.seen({ by: 'day' }).catch(() => ({ seen: [] }))).seen.length > 0,
      );
    }
    expect(process.log).toMatch(/was removed while it was open; a new one begins/);
    await waitFor('the damage to be found', () => /is damaged .* and a new one begins/.test(process.log), {
      deadlineMs: 70_000,
    });
    const { events } = await client.eventPage({ kinds: ['history-renewed'] });
    expect(events.map(({ message }) => message)).toContainEqual(expect.stringMatching(/is damaged/));
    expect((await client.streams.get('door')).reconnects).toBe(0);
    expect((await process.stop()).code).toBe(0);
  });
});
