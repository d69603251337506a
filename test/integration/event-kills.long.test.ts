import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import type { CloudEvent, RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { testFfmpeg } from '../support/made-videos.ts';

const HOST = fileURLToPath(new URL('../support/killed-rules.mjs', import.meta.url));
const KILLS = Number(process.env.KILLS ?? 50);
const folder = mkdtempSync(join(tmpdir(), 'sightline-event-kills-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the host until it has sent an event, and a random time more. */
async function run(afterMs: number | null, place = folder, pipeline = {}): Promise<void> {
  const files = [join(place, 'history.db'), join(place, 'sink.jsonl')];
  const how = [afterMs === null ? 'stop' : '', JSON.stringify(pipeline)];
  const child = spawn(process.execPath, [HOST, ...files, testFfmpeg.path, place, ...how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let isTimed = afterMs === null;
  child.stdout.on('data', () => {
    if (isTimed) return;
    isTimed = true;
    setTimeout(() => child.kill('SIGKILL'), afterMs!);
  });
  await new Promise((resolve) => child.once('close', resolve));
}

it(`each event has one new and one end, over ${KILLS} kills at random moments`, async () => {
  const random = seededRandom(7);
  for (let kill = 0; kill < KILLS; kill++) await run(random() * 1200);
  await run(null);
  const records = readFileSync(join(folder, 'sink.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RuleEvent);
  const lives = new Map<string, Map<number, RuleEvent>>();
  for (const record of records) {
    const life = lives.get(record.id) ?? new Map<number, RuleEvent>();
    lives.set(record.id, life);
    // At least once: what comes twice is the same.
    if (life.has(record.seq)) expect(record).toEqual(life.get(record.seq));
    else life.set(record.seq, record);
  }
  expect(lives.size).toBeGreaterThan(KILLS / 2);
  const broken = [...lives.values()].filter((life) => {
    const phases = [...life].toSorted(([a], [b]) => a - b).map(([, { phase }]) => phase);
    const isWhole =
      phases[0] === 'new' && phases.at(-1) === 'end' && phases.filter((phase) => phase !== 'update').length === 2;
    return !isWhole || [...life.keys()].toSorted((a, b) => a - b).some((seq, i) => seq !== i);
  });
  expect(broken.map((life) => [...life.values()])).toEqual([]);
  const reasons = new Set(records.flatMap(({ endReason = [] }) => endReason));
  expect(reasons).toContain('restart');
}, 600_000);

it(`each sink has each record that was kept, over ${KILLS} kills while their receivers are away`, async () => {
  const place = mkdtempSync(join(folder, 'away-'));
  // Two that are away, one of which accepts connections and says nothing; a file; one that is slow.
  const silent = createNetServer(() => undefined).listen(0, '127.0.0.1');
  const got: Record<string, CloudEvent[]> = { away: [], silent: [], slow: [] };
  const serve = (name: string, delayMs: number, port = 0): Server =>
    createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      request.on('end', () =>
        setTimeout(() => {
          got[name]!.push(...(JSON.parse(text) as CloudEvent[]));
          response.writeHead(204).end();
        }, delayMs),
      );
    }).listen(port, '127.0.0.1');
  const slow = serve('slow', 300);
  const reserved = createNetServer().listen(0, '127.0.0.1');
  await Promise.all([silent, slow, reserved].map((server) => once(server, 'listening')));
  const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  const ports = { away: portOf(reserved), silent: portOf(silent), slow: portOf(slow) };
  reserved.close();
  const file = join(place, 'events.jsonl');
  const pipeline = {
    sinks: [
      { type: 'jsonl', path: file, send: ['events'] },
      ...Object.values(ports).map((port) => ({ type: 'webhook', url: `http://127.0.0.1:${port}`, send: ['events'] })),
    ],
  };
  const random = seededRandom(9);
  for (let kill = 0; kill < KILLS; kill++) await run(random() * 700, place, pipeline);
  // Their receivers are back.
  silent.close();
  const back = [serve('away', 0, ports.away), serve('silent', 0, ports.silent)];
  await Promise.all(back.map((server) => once(server, 'listening')));
  for (let i = 0; i < 3; i++) await run(null, place, pipeline);
  for (const server of [slow, ...back]) server.close();

  const database = new DatabaseSync(join(place, 'history.db'), { readOnly: true });
  const rows = database.prepare('SELECT event, seq, delivered FROM events WHERE event IS NOT NULL').all();
  database.close();
  const kept = rows.map(({ event, seq }) => `${event}.${seq}`);
  expect(kept.length).toBeGreaterThan(KILLS / 2);
  expect(rows.filter(({ delivered }) => delivered !== 1)).toEqual([]);
  const written = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CloudEvent);
  for (const [sink, events] of Object.entries({ ...got, file: written })) {
    const texts = new Map<string, string>();
    for (const { data } of events) {
      const key = `${data.id}.${data.seq}`;
      const text = JSON.stringify(data);
      expect(texts.get(key) ?? text, `${sink}: what comes twice is the same`).toBe(text);
      texts.set(key, text);
    }
    expect(
      kept.filter((key) => !texts.has(key)),
      `${sink} lacks`,
    ).toEqual([]);
  }
}, 900_000);
