import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, it } from 'vitest';
import { Sightline } from '../../src/index.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-library-history-'));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, 'history.db');
const WHOLE = { id: 'all', polygon: [[0, 0], [1, 0], [1, 1], [0, 1]] } as const; // biome-ignore format: one line reads best
const scene = { isThere: true };

/** An engine whose rule holds from its first frames on. */
function open(): Promise<Sightline> {
  return Sightline.open({
    model: { engine: 'fake', inputSize: '64x64', threads: 1 },
    cacheDir: folder,
    history: { path },
    lanes: 1,
    detect: () => (scene.isThere ? [{ classId: 0, label: 'person', score: 0.9, box: [20, 20, 20, 30] }] : []),
    streams: [
      {
        id: 'cam',
        source: 'synthetic:testsrc2=size=64x64:rate=20',
        policy: 'live',
        // Frames that come late on a busy machine end no track.
        track: { minHits: 1, lostMs: 5000 },
        zones: [WHOLE],
        events: [{ id: 'stays', kind: 'dwells', zone: 'all', for: '200ms' }],
      },
    ],
  });
}

function rows(sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

const LIVES =
  "SELECT event, phase, json_extract(json, '$.rule.endReason') AS ended, delivered FROM events WHERE event IS NOT NULL ORDER BY id";

it('what rules raise before a program serves is in the history, and so are the ends when it closes', async () => {
  const engine = await open();
  const raised: unknown[] = [];
  engine.on('event', ({ kind, rule }) => void (kind === 'rule' && raised.push(rule?.id)));
  await waitFor('an event before there is a gateway', () => raised.length > 0);
  const seen = engine.stats().streams[0]!.frames.published;
  expect(seen).toBeGreaterThan(0);
  const gateway = await engine.serve({ port: 0 });
  await waitFor('the record', () => rows(LIVES).length > 0);
  const counts = (await (await fetch(`${gateway.url}/api/counts?stream=cam`)).json()) as {
    counts: { count: number }[];
  };
  expect(
    counts.counts.reduce((sum, { count }) => sum + count, 0),
    'the object that came before',
  ).toBe(1);
  await engine.close();
  expect(rows(LIVES)).toEqual([
    { event: raised[0], phase: 'new', ended: null, delivered: 1 },
    { event: raised[0], phase: 'end', ended: 'stopped', delivered: 1 },
  ]);
  expect(rows('SELECT sum(frames) AS frames FROM seen')[0]!.frames).toBeGreaterThanOrEqual(seen);
});

it('goes on when a gateway is closed and another one is opened, and when a port is taken', async () => {
  scene.isThere = true;
  const before = rows(LIVES).length;
  const engine = await open();
  const first = await engine.serve({ port: 0 });
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  await expect(engine.serve({ port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  await waitFor('the first event', () => rows(LIVES).length === before + 1);
  await first.close();
  scene.isThere = false;
  await waitFor('its end without a gateway', () => rows(LIVES).at(-1)?.ended === 'over');
  scene.isThere = true;
  await waitFor('an event without a gateway', () => rows(LIVES).at(-1)?.phase === 'new');
  const second = await engine.serve({ port: 0 });
  const { events } = (await (await fetch(`${second.url}/api/events?type=rule`)).json()) as { events: unknown[] };
  expect(events.length).toBeGreaterThanOrEqual(3);
  await engine.close();
  taken.close();
  expect(
    rows(LIVES)
      .slice(before)
      .map(({ phase, ended }) => ended ?? phase),
  ).toEqual(['new', 'over', 'new', 'stopped']);
});

it('is opened by the next attempt if the first port is taken', async () => {
  scene.isThere = true;
  const before = rows(LIVES).length;
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const engine = await open();
  await expect(engine.serve({ port: (taken.address() as AddressInfo).port })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
  });
  const framesBefore = Number(rows('SELECT sum(frames) AS frames FROM seen')[0]!.frames);
  const seen = engine.stats().streams[0]!.frames.published;
  await engine.serve({ port: 0 });
  await waitFor('the event', () => rows(LIVES).length > before);
  await engine.close();
  expect(Number(rows('SELECT sum(frames) AS frames FROM seen')[0]!.frames) - framesBefore).toBeGreaterThanOrEqual(seen);
  taken.close();
  expect(
    rows(LIVES)
      .slice(before)
      .map(({ phase, ended }) => ended ?? phase),
  ).toEqual(['new', 'stopped']);
});

it('the next start ends what an earlier one left open', async () => {
  // A kill leaves the record of the beginning without one of the end.
  const database = new DatabaseSync(path);
  database.prepare("DELETE FROM events WHERE id = (SELECT max(id) FROM events WHERE phase = 'end')").run();
  database.close();
  scene.isThere = false;
  const engine = await open();
  await engine.serve({ port: 0 });
  await waitFor('the end', () => rows(LIVES).some(({ ended }) => ended === 'restart'));
  await engine.close();
  expect(
    rows(LIVES)
      .slice(-2)
      .map(({ phase, ended }) => ended ?? phase),
  ).toEqual(['new', 'restart']);
});
