import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { KeptLines } from '../../../../src/after/sinks/kept-lines.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-kept-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const MB = 1024 * 1024;

/** Adds numbered lines of 1 MB while the file cannot be made, then lets it be made. @returns their numbers in it, and the notices. */
async function keptOf(rounds: readonly number[]): Promise<{ readonly kept: number[]; readonly notices: string[] }> {
  const notices: string[] = [];
  const path = join(folder, 'audit', 'a.jsonl');
  writeFileSync(join(folder, 'audit'), 'a file where a folder should be');
  const lines = new KeptLines({ name: 'the log', path, maxBytes: 100 * MB, onNotice: (text) => notices.push(text) });
  let number = 0;
  for (const count of rounds) {
    for (let i = 0; i < count; i++) lines.add({ number: number++, text: 'x'.repeat(MB - 100) });
    await lines.flush();
  }
  rmSync(join(folder, 'audit'));
  await lines.flush();
  await lines.close();
  const written = readFileSync(path, 'utf8').trimEnd().split('\n');
  return { kept: written.map((line) => (JSON.parse(line) as { number: number }).number), notices };
}

it('keeps all lines over a failure of the disk', async () => {
  const { kept, notices } = await keptOf([1, 2]);
  expect(kept).toEqual([0, 1, 2]);
  expect(notices).toEqual([expect.stringMatching(/^the log \S+a\.jsonl cannot be written: /)]);
});

it.each([[[20]], [[3, 17]], [[1, 1, 18]]])(
  'keeps the newest lines over a long failure of the disk, and counts the others: %j',
  async (rounds) => {
    const { kept, notices } = await keptOf(rounds);
    const first = kept[0]!;
    expect(kept, 'without a gap, up to the newest').toEqual(Array.from({ length: 20 - first }, (_, i) => first + i));
    expect(first, 'about 8 MB').toBeGreaterThanOrEqual(11);
    expect(first).toBeLessThanOrEqual(13);
    expect(notices.at(-1)).toMatch(new RegExp(`is written again; ${first} lines from before are lost$`));
  },
);
