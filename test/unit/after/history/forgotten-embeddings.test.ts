import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HistoryDatabase } from '../../../../src/after/history/history-database.ts';

const NOW_MS = 1_700_006_400_000;
const HOUR_MS = 3_600_000;
const TRACKS = 120;

let folder: string;
let nowMs: number;
let database: HistoryDatabase;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-forgotten-'));
  nowMs = NOW_MS;
  open(24 * HOUR_MS);
});
afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(embeddingsMs: number): void {
  const given = { path: join(folder, 'gate.db'), maxBytes: 2 ** 24, days: 30, onNotice: () => {}, onRenewed: () => {} };
  database = new HistoryDatabase({ ...given, embeddingsMs, nowMs: () => nowMs });
}

/** Each number names its track. */
const vectorOf = (trackId: number, numbers: number): Float32Array => new Float32Array(numbers).fill(1 + trackId / 1000);

/** Tracks in a mixed order of two streams, one transaction each, so that pages are split and joined. */
function add(numbers: number, trackIds: readonly number[]): void {
  const none = { counts: [], occupancy: [], seen: [], seeing: [], heat: [], figures: [] };
  for (const trackId of trackIds) {
    const at = NOW_MS - HOUR_MS + trackId * 1000;
    const embedding = {
      stream: `cam-${trackId % 2}`,
      run: 'r',
      trackId,
      attribute: 'like',
      label: 'person',
      model: 'm@1',
      firstMs: at,
      lastMs: at,
      firstUs: 0,
      lastUs: 0,
      bestMs: at,
      bestUs: 0,
      width: 640,
      height: 480,
      box: [10, 20, 30, 60] as const,
      vector: vectorOf(trackId, numbers),
    };
    database.write([{ type: 'figures', batch: { ...none, embeddings: [embedding] } }]);
  }
}

/** Tracks of which eight numbers in a row are in any file of the folder. */
function traces(): number[] {
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  return all.filter((id) => files.some((bytes) => bytes.includes(Buffer.from(vectorOf(id, 8).buffer))));
}
const all = Array.from({ length: TRACKS }, (_, i) => i);
const mixed = all.map((i) => (i * 37) % TRACKS);

describe('deleted embeddings', () => {
  it.each([30, 512, 1000, 1020, 3000])('of %i numbers leave no bytes in the file and its log', (numbers) => {
    add(numbers, mixed);
    expect(traces()).toEqual(all);
    // All that were seen before the 60th, each third of it alone first.
    for (const until of [20, 40, 60]) {
      nowMs = NOW_MS + 23 * HOUR_MS + until * 1000;
      database.maintain();
      expect(traces()).toEqual(all.slice(until));
    }
    database.close();
    expect(traces()).toEqual(all.slice(60));
  });

  it('leave none at the start without the setting', () => {
    add(512, mixed);
    database.close();
    open(0);
    expect(traces()).toEqual([]);
    expect(readdirSync(folder).some((name) => name.endsWith('-embeddings'))).toBe(false);
  });

  it('leave none once a program that reads them has ended', () => {
    add(512, mixed);
    const reader = new DatabaseSync(join(folder, 'gate.db'), { readOnly: true });
    reader.exec('BEGIN; SELECT count(*) FROM embeddings');
    nowMs = NOW_MS + 48 * HOUR_MS;
    database.maintain();
    expect(traces()).not.toEqual([]);
    reader.close();
    database.maintain();
    expect(traces()).toEqual([]);
  });

  it.each([24 * HOUR_MS, 0])(
    'leave none with a damaged file, with the setting %i at the next start',
    (embeddingsMs) => {
      add(512, mixed);
      database.close();
      truncateSync(join(folder, 'gate.db'), 300_000);
      expect(traces()).not.toEqual([]);
      open(embeddingsMs);
      expect(traces()).toEqual([]);
      expect(database.isOnDisk).toBe(true);
    },
  );
});
