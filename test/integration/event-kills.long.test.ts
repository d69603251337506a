import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/seeded-random.ts';
import type { RuleEvent } from '../../src/protocol/rule-event.ts';
import { testFfmpeg } from '../support/made-videos.ts';

const HOST = fileURLToPath(new URL('../support/killed-rules.mjs', import.meta.url));
const KILLS = 50;
const folder = mkdtempSync(join(tmpdir(), 'sightline-event-kills-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the host until it has sent an event, and a random time more. */
async function run(afterMs: number | null): Promise<void> {
  const files = [join(folder, 'history.db'), join(folder, 'sink.jsonl')];
  const how = afterMs === null ? ['stop'] : [];
  const child = spawn(process.execPath, [HOST, ...files, testFfmpeg.path, folder, ...how], {
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
