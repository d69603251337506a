import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HistoryDatabase } from '../../../../src/after/history/history-database.ts';
import { HistoryQueries } from '../../../../src/after/history/history-queries.ts';
import type { EmbeddingRow, SimilarQuery } from '../../../../src/after/history/history-records.ts';
import { ruleEvent } from '../../../support/rule-events.ts';

const NOW_MS = 1_700_006_400_000;
const MIB = 2 ** 20;
const HOUR_MS = 3_600_000;

let folder: string;
let path: string;
let nowMs: number;
let notices: string[];
let database: HistoryDatabase;
let queries: HistoryQueries;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-similar-'));
  path = join(folder, 'gate.db');
  nowMs = NOW_MS;
  notices = [];
  open();
});
afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

function open({ maxBytes = 16 * MIB, embeddingsMs = 24 * HOUR_MS } = {}): void {
  const onNotice = (text: string): number => notices.push(text);
  database = new HistoryDatabase({
    path,
    maxBytes,
    days: 30,
    embeddingsMs,
    onNotice,
    onRenewed: onNotice,
    nowMs: () => nowMs,
  });
  queries = new HistoryQueries(database);
}

/** Seen for ten seconds, an hour ago, unless it is said otherwise. */
function row(stream: string, trackId: number, vector: readonly number[], more: Partial<EmbeddingRow> = {}) {
  const at = NOW_MS - HOUR_MS;
  return {
    stream,
    run: 'r',
    trackId,
    attribute: 'like',
    label: 'person',
    model: 'm@1',
    width: 640,
    height: 480,
    firstMs: at,
    lastMs: at + 10_000,
    firstUs: 0,
    lastUs: 10_000_000,
    bestMs: at + 4000,
    bestUs: 4_000_000,
    box: [10, 20, 30, 60] as const,
    vector: Float32Array.from(vector),
    ...more,
  };
}

function add(...embeddings: EmbeddingRow[]): boolean {
  const none = { counts: [], occupancy: [], seen: [], seeing: [], heat: [], figures: [] };
  return database.write([{ type: 'figures', batch: { ...none, embeddings } }]);
}

const ask = (query: Partial<SimilarQuery>) => queries.similar({ limit: 20, min: -1, ...query });
/** Streams, tracks and similarities of what is found. */
async function found(query: Partial<SimilarQuery>): Promise<unknown[]> {
  return (await ask(query)).objects.map(({ stream, trackId, similarity }) => [stream, trackId, similarity]);
}
const rows = (): number => database.all<{ n: number }>('SELECT count(*) AS n FROM embeddings')[0]!.n;

describe('objects that look like another one', () => {
  it('are ranked by the cosine of their vectors, and never with those of another model', async () => {
    // Cosines with (0.6, 0.8) by hand: 0.6, 0.8, 0.36 + 0.64 = 1, 0.48 + 0.48 = 0.96, -0.6.
    add(
      row('gate', 1, [0.6, 0.8]),
      row('yard', 2, [1, 0]),
      row('yard', 3, [0, 1]),
      row('hall', 4, [0.6, 0.8]),
      row('hall', 5, [0.8, 0.6]),
      row('hall', 6, [-1, 0]),
      row('hall', 7, [0.6, 0.8], { model: 'm@2' }),
      // As many bytes as the first, and longer.
      row('hall', 8, [0.6, 0.8, 0]),
    );
    const of = { stream: 'gate', trackId: 1 };
    const all = [
      ['hall', 4, 1],
      ['hall', 5, 0.96],
      ['yard', 3, 0.8],
      ['yard', 2, 0.6],
      ['hall', 6, -0.6],
    ];
    expect(await found(of)).toEqual(all);
    expect(await found({ ...of, limit: 2 })).toEqual(all.slice(0, 2));
    expect(await found({ ...of, min: 0.8 })).toEqual(all.slice(0, 3));
    expect(await found({ ...of, streams: ['yard'] })).toEqual(all.slice(2, 4));
    expect(await found({ stream: 'hall', trackId: 7 })).toEqual([]);
  });

  it('are found beyond the first block, of some thousands', async () => {
    const many = Array.from({ length: 2500 }, (_, i) => {
      const angle = (i * Math.PI) / 5000;
      return row('yard', i, [Math.cos(angle), Math.sin(angle)]);
    });
    add(row('gate', 1, [0, 1]), ...many);
    expect((await found({ stream: 'gate', trackId: 1, limit: 3 })).map((each) => (each as unknown[])[1])).toEqual([
      2499, 2498, 2497,
    ]);
  });

  it('are those of a time, a label, and not in the same picture', async () => {
    const at = NOW_MS - HOUR_MS;
    add(
      row('gate', 1, [1, 0]),
      row('gate', 2, [1, 0], { firstMs: at + 9000, lastMs: at + 12_000 }),
      row('gate', 3, [1, 0], { firstMs: at + 10_001, lastMs: at + 20_000 }),
      row('gate', 1, [1, 0], { run: 'q' }),
      row('yard', 4, [1, 0], { label: 'car' }),
      row('yard', 5, [1, 0], { firstMs: at - 20_000, lastMs: at - 10_000 }),
    );
    const of = { stream: 'gate', trackId: 1 };
    const tracks = async (query: object): Promise<unknown[]> =>
      (await ask({ ...of, ...query })).objects.map(({ run, trackId }) => `${run}${trackId}`).sort();
    expect(await tracks({})).toEqual(['q1', 'r3', 'r4', 'r5']);
    expect(await tracks({ run: 'q' })).toEqual(['r1', 'r2', 'r3', 'r4', 'r5']);
    expect(await tracks({ label: 'person' })).toEqual(['q1', 'r3', 'r5']);
    expect(await tracks({ fromMs: at - 10_000, toMs: at + 1 })).toEqual(['q1', 'r4', 'r5']);
    expect(await tracks({ fromMs: at - 9999 })).toEqual(['q1', 'r3', 'r4']);
    expect(await tracks({ toMs: at })).toEqual(['r5']);
  });

  it('are said with when and where they were seen, and the first event about them', async () => {
    const at = NOW_MS - HOUR_MS;
    add(
      row('gate', 1, [1, 0]),
      row('yard', 2, [1, 0]),
      row('yard', 3, [0, 1]),
      row('gate', 1, [0, 1], { attribute: 'z' }),
    );
    const about = { stream: 'yard', run: 'r', trackId: 2 };
    const told = (id: string, seq: number, phase: 'new' | 'end', timeMs: number, more: object) =>
      database.write([{ type: 'records', events: [ruleEvent(id, seq, phase, { ...about, ...more })], timeMs }]);
    told('other run', 0, 'new', at, { run: 'q' });
    told('first', 0, 'new', at + 12_000, {});
    told('first', 1, 'end', at + 13_000, {});
    told('second', 0, 'new', at + 14_000, {});
    told('late', 0, 'new', at + 10 * 60_000, { trackId: 3 });
    const { of, objects } = await ask({ event: 'first' });
    const common = { run: 'r', label: 'person', attribute: 'like', model: 'm@1', box: [10, 20, 30, 60] };
    const times = { firstMs: at, lastMs: at + 10_000, firstUs: 0, lastUs: 10_000_000 };
    const best = { bestMs: at + 4000, bestUs: 4_000_000, width: 640, height: 480 };
    expect(of).toEqual({ stream: 'yard', trackId: 2, ...common, ...times, ...best });
    expect(objects).toEqual([
      { stream: 'gate', trackId: 1, ...common, ...times, ...best, similarity: 1, event: null },
      expect.objectContaining({ stream: 'gate', trackId: 1, attribute: 'z', similarity: 0 }),
    ]);
    const { objects: others } = await ask({ stream: 'gate', trackId: 1 });
    expect(others.map(({ trackId, event }) => [trackId, event])).toEqual([
      [2, 'first'],
      [3, null],
    ]);
    expect((await ask({ stream: 'gate', trackId: 1, attribute: 'z' })).of).toMatchObject({ attribute: 'z' });
    for (const unknown of [{ event: 'none' }, { stream: 'gate', trackId: 9 }, { stream: 'gate', trackId: 1, run: 'x' }])
      expect(await ask(unknown)).toEqual({ of: null, objects: [] });
  });

  it('are nothing to somebody who may not see the streams, on either side', async () => {
    add(row('gate', 1, [1, 0]), row('yard', 2, [1, 0]), row('door', 3, [0, 1]));
    database.write([
      { type: 'records', timeMs: NOW_MS, events: [ruleEvent('e', 0, 'new', { stream: 'yard', run: 'r', trackId: 2 })] },
    ]);
    const visible = ['gate', 'door'];
    expect(await found({ stream: 'gate', trackId: 1, visible })).toEqual([['door', 3, 0]]);
    expect(await found({ stream: 'gate', trackId: 1, visible, streams: ['yard'] })).toEqual([]);
    for (const hidden of [{ event: 'e' }, { stream: 'yard', trackId: 2 }])
      expect(await ask({ ...hidden, visible })).toEqual({ of: null, objects: [] });
  });
});

describe('embeddings', () => {
  it('are one row for each track, with its largest picture, as float32 little-endian', () => {
    const at = NOW_MS - HOUR_MS;
    add(row('gate', 1, [0.6, 0.8]));
    add(
      row('gate', 1, [1, 0], {
        firstMs: at + 60_000,
        lastMs: at + 70_000,
        lastUs: 7,
        box: [0, 0, 10, 10],
        label: 'man',
      }),
    );
    const columns = 'label, first_ms, last_ms, last_us, box, vector';
    const [first] = database.all<{ vector: Uint8Array }>(`SELECT ${columns} FROM embeddings JOIN vectors USING (id)`);
    const { vector, ...rest } = first!;
    expect(rest).toEqual({ label: 'man', first_ms: at, last_ms: at + 70_000, last_us: 7, box: '[10,20,30,60]' });
    // 0.6 and 0.8 in IEEE 754, by hand.
    expect(Buffer.from(vector).toString('hex')).toBe('9a99193fcdcc4c3f');
    add(row('gate', 1, [1, 0], { firstMs: at + 80_000, box: [0, 0, 100, 100] }));
    expect(database.all('SELECT first_ms, box, hex(vector) AS vector FROM embeddings JOIN vectors USING (id)')).toEqual(
      [{ first_ms: at, box: '[0,0,100,100]', vector: '0000803F00000000' }],
    );
  });

  it('go when they are too old, and no byte of them stays in the file', () => {
    const sign = 0x7e57_c0de;
    const vector = Float32Array.from(new Float32Array(Uint32Array.of(sign).buffer));
    const bytes = Buffer.from(vector.buffer);
    const old = { firstMs: NOW_MS - 25 * HOUR_MS, lastMs: NOW_MS - 24 * HOUR_MS - 1 };
    add(
      row('gate', 1, [], { ...old, vector: Float32Array.from({ length: 512 }, () => vector[0]!) }),
      row('gate', 2, [1]),
    );
    const contents = (): Buffer => {
      database.all('PRAGMA wal_checkpoint(TRUNCATE)');
      return readFileSync(path);
    };
    expect(contents().includes(bytes)).toBe(true);
    database.maintain();
    expect(rows()).toBe(1);
    expect(contents().includes(bytes)).toBe(false);
  });

  it('are all gone once the setting is', () => {
    add(row('gate', 1, [1]));
    database.close();
    open({ embeddingsMs: 0 });
    database.maintain();
    expect(rows()).toBe(0);
  });

  it('take at most half of the bytes, the newest, and go before events when these need room', () => {
    database.close();
    open({ maxBytes: 2 * MIB });
    const at = (i: number): Partial<EmbeddingRow> => ({ firstMs: NOW_MS - HOUR_MS + i, lastMs: NOW_MS - HOUR_MS + i });
    const unit = Array.from({ length: 512 }, (_, i) => (i === 0 ? 1 : 0));
    add(...Array.from({ length: 300 }, (_, i) => row('gate', i, unit, at(i))));
    database.maintain();
    // 5 KiB each.
    expect(rows()).toBe(204);
    expect(database.all('SELECT min(track) AS oldest FROM embeddings')).toEqual([{ oldest: 96 }]);
    const event = { type: 'event', kind: 'stream-warning', message: 'x'.repeat(500) } as const;
    for (let i = 0; i < 1000; i += 50)
      database.write(
        Array.from({ length: 50 }, () => ({ type: 'event', event: { ...event, timeMs: NOW_MS - HOUR_MS } }) as const),
      );
    database.maintain();
    expect(rows()).toBeLessThan(204);
    expect(database.all('SELECT count(*) AS events FROM events')).toEqual([{ events: 1000 }]);
    expect(notices).toEqual([]);
  });

  it('are lost, and counted, while the disk is full, and do not hold up records of rules', () => {
    database.close();
    rmSync(path);
    open({ maxBytes: 300_000 });
    const large = Array.from({ length: 5000 }, (_, i) => (i === 0 ? 1 : 0));
    const many = Array.from({ length: 40 }, (_, i) => row('gate', i, large));
    expect(add(...many)).toBe(false);
    expect([database.lost, rows(), notices.length]).toEqual([1, 0, 1]);
    expect(database.write([{ type: 'records', events: [ruleEvent('a', 0, 'new')], timeMs: NOW_MS }])).toBe(true);
  });
});
