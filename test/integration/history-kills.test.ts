import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import { seededRandom } from '../../src/base/core/seeded-random.ts';

const WRITER = fileURLToPath(new URL('../support/killed-history.mjs', import.meta.url));
const KILLS = 25;
const folder = mkdtempSync(join(tmpdir(), 'sightline-history-kills-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the writer until it has acknowledged some events and a random time more. @returns the numbers of those. */
async function killed(
  path: string,
  first: number,
  afterMs: number,
): Promise<{ acknowledged: number[]; notices: string[] }> {
  const child = spawn(process.execPath, [WRITER, path, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let isTimed = false;
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (isTimed || !/^\d+$/m.test(text)) return;
    isTimed = true;
    setTimeout(() => child.kill('SIGKILL'), afterMs);
  });
  await new Promise((resolve) => child.once('close', resolve));
  const lines = text.split('\n').slice(0, -1);
  return {
    acknowledged: lines.filter((line) => /^\d+$/.test(line)).map(Number),
    notices: lines.filter((line) => line.startsWith('notice')),
  };
}

describe('a history whose process is killed again and again', () => {
  it('has every record that was acknowledged, once, in order, in a file that is whole', async () => {
    const path = join(folder, 'gate.db');
    const random = seededRandom(11);
    const acknowledged: number[] = [];
    for (let round = 0; round < KILLS; round++) {
      const result = await killed(path, round * 1_000_000, random() * 120);
      expect(result.acknowledged.length).toBeGreaterThan(0);
      expect(result.notices).toEqual([]);
      acknowledged.push(...result.acknowledged);
      const database = new DatabaseSync(path);
      expect(Object.values(database.prepare('PRAGMA integrity_check').get()!)).toEqual(['ok']);
      database.close();
    }
    const notices: string[] = [];
    const history = await History.open({ path, maxBytes: 2 ** 24, days: 30, onNotice: (text) => notices.push(text) });
    const { undelivered, open } = await history.unfinished();
    await history.close();
    const found = undelivered.map(({ event: { id, seq } }) => `${id}.${seq}`);
    expect(new Set(found).size).toBe(found.length);
    const expected = acknowledged.flatMap((i) => [`e${i}.0`, `e${i}.1`]);
    const known = new Set(expected);
    expect(found.filter((each) => known.has(each))).toEqual(expected);
    // Those that were written and not acknowledged: at most the last event of each round.
    expect(found.length - expected.length).toBeLessThanOrEqual(2 * KILLS);
    expect(open.length).toBeLessThanOrEqual(KILLS);
    expect(notices).toEqual([]);
  });
});
