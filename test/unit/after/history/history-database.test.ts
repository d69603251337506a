import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HistoryDatabase } from '../../../../src/after/history/history-database.ts';
import { HistoryQueries } from '../../../../src/after/history/history-queries.ts';
import { type FigureBatch, HEAT_GRID, type HistoryWrite } from '../../../../src/after/history/history-records.ts';
import type { EventKind } from '../../../../src/wire/protocol/feed.ts';
import type { EventPhase } from '../../../../src/wire/protocol/rule-event.ts';
import { ruleEvent } from '../../../support/rule-events.ts';

const DAY_S = 86_400;
const HOUR_S = 3600;
/** The beginning of a day. */
const NOW_S = 1_700_006_400;
const MIB = 2 ** 20;

describe('the tables of a history', () => {
  let folder: string;
  let path: string;
  let notices: string[];
  let nowS: number;
  let database: HistoryDatabase;
  let queries: HistoryQueries;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-tables-'));
    path = join(folder, 'gate.db');
    notices = [];
    nowS = NOW_S;
    open(16 * MIB);
  });
  afterEach(() => {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function open(maxBytes: number, days = 30): void {
    database = new HistoryDatabase({
      path,
      maxBytes,
      days,
      onNotice: (text) => notices.push(text),
      onRenewed: (text) => notices.push(text),
      nowMs: () => nowS * 1000,
    });
    queries = new HistoryQueries(database);
  }

  function add(batch: Partial<FigureBatch>): boolean {
    const none = { counts: [], occupancy: [], seen: [], seeing: [], heat: [], figures: [], embeddings: [] };
    return database.write([{ type: 'figures', batch: { ...none, ...batch } }]);
  }

  function event(kind: EventKind, timeS: number, bytes = 0): HistoryWrite {
    return { type: 'event', event: { type: 'event', timeMs: timeS * 1000, kind, message: 'x'.repeat(bytes) } };
  }

  function rowsOf(table: string, where = 'true'): number {
    return database.all<{ rows: number }>(`SELECT count(*) AS rows FROM ${table} WHERE ${where}`)[0]!.rows;
  }

  const span = { fromS: NOW_S, toS: NOW_S + DAY_S, stepS: HOUR_S, offsetS: 0 };

  it('sum counts over minutes, hours and days, of another time zone too', async () => {
    add({
      counts: [
        ['gate', NOW_S, 'door', 'left-to-right', 'person', 2],
        ['gate', NOW_S + 60, 'door', 'left-to-right', 'person', 3],
        ['gate', NOW_S + 2 * HOUR_S, 'door', 'left-to-right', 'car', 1],
        ['yard', NOW_S, '', '', 'person', 4],
      ],
    });
    // The same minute once more.
    add({ counts: [['gate', NOW_S, 'door', 'left-to-right', 'person', 5]] });
    const short = async (query: Partial<Parameters<HistoryQueries['counts']>[0]>): Promise<unknown[]> =>
      (await queries.counts({ ...span, ...query })).rows.map(({ timeMs, stream, line, label, count }) => [
        timeMs / 1000 - NOW_S,
        ...[stream, line, label, count],
      ]);
    expect(await short({})).toEqual([
      [0, 'gate', 'door', 'person', 10],
      [0, 'yard', null, 'person', 4],
      [2 * HOUR_S, 'gate', 'door', 'car', 1],
    ]);
    expect(await short({ stepS: 60, stream: 'gate', label: 'person' })).toEqual([
      [0, 'gate', 'door', 'person', 7],
      [60, 'gate', 'door', 'person', 3],
    ]);
    expect(await short({ line: '' })).toEqual([[0, 'yard', null, 'person', 4]]);
    // A day that begins two hours before that of UTC, and hours of India.
    expect(await short({ stepS: DAY_S, offsetS: 2 * HOUR_S, stream: 'gate', label: 'person' })).toEqual([
      [-2 * HOUR_S, 'gate', 'door', 'person', 10],
    ]);
    expect(await short({ offsetS: 19_800, label: 'car' })).toEqual([[1.5 * HOUR_S, 'gate', 'door', 'car', 1]]);
    expect(await short({ toS: NOW_S + HOUR_S, line: 'door' })).toEqual([[0, 'gate', 'door', 'person', 10]]);
  });

  it('say how full zones were, on average over the time that was seen', async () => {
    add({
      occupancy: [
        ['gate', NOW_S, 'door', 2, 30_000, 20_000, 3],
        ['gate', NOW_S + 60, 'door', 5, 90_000, 60_000, 0],
        ['gate', NOW_S, 'yard', 0, 0, 0, 0],
      ],
      seen: [
        ['gate', NOW_S, 1500, 60_000],
        ['gate', NOW_S + 60, 1500, 60_000],
      ],
    });
    const common = { timeMs: NOW_S * 1000, stream: 'gate', seenS: 120 };
    expect((await queries.occupancy(span)).rows).toEqual([
      { ...common, zone: 'door', max: 5, mean: 1, objectS: 120, occupiedS: 80, arrivals: 3, dwellS: 40 },
      { ...common, zone: 'yard', max: 0, mean: 0, objectS: 0, occupiedS: 0, arrivals: 0, dwellS: null },
    ]);
    expect((await queries.occupancy({ ...span, zone: 'yard' })).rows.map(({ zone }) => zone)).toEqual(['yard']);
    expect((await queries.seen(span)).rows).toEqual([{ ...common, frames: 3000, watchedS: null, blindS: {} }]);
  });

  it('say for how long a stream was watched, and why it was not, also where nothing came', async () => {
    add({
      seen: [['gate', NOW_S, 100, 20_000]],
      seeing: [
        ['gate', NOW_S, '', 21_000],
        ['gate', NOW_S, 'down', 39_000],
        ['gate', NOW_S + 60, 'down', 50_000],
        ['gate', NOW_S + 60, 'black', 10_000],
        ['yard', NOW_S + HOUR_S, 'paused', 60_000],
      ],
    });
    add({ seeing: [['gate', NOW_S + 60, 'black', 500]] });
    expect((await queries.seen(span)).rows).toEqual([
      {
        timeMs: NOW_S * 1000,
        stream: 'gate',
        frames: 100,
        seenS: 20,
        watchedS: 21,
        blindS: { down: 89, black: 10.5 },
      },
      {
        timeMs: (NOW_S + HOUR_S) * 1000,
        stream: 'yard',
        frames: 0,
        seenS: 0,
        watchedS: 0,
        blindS: { paused: 60 },
      },
    ]);
  });

  it('keep pictures of events with the history: the newest within half of the file, none that is too old', () => {
    const picture = (event: string, timeS: number): HistoryWrite => {
      const facts = {
        moment: 'at',
        timeMs: timeS * 1000,
        width: 64,
        height: 48,
        bounds: [0, 0, 64, 48],
        box: null,
      } as const;
      return { type: 'picture', event, picture: { facts, jpeg: new Uint8Array(20_000).fill(7) } };
    };
    database.write([
      picture('old', NOW_S - 31 * DAY_S),
      ...Array.from({ length: 400 }, (_, i) => picture(`e${i}`, NOW_S - 400 + i)),
    ]);
    expect(queries.picture({ event: 'e9', moment: 'at' })?.jpeg.length).toBe(20_000);
    expect(queries.picture({ event: 'e9', moment: 'before' })).toBeNull();
    database.maintain();
    expect(queries.picture({ event: 'old', moment: 'at' })).toBeNull();
    expect([rowsOf('pictures'), queries.picture({ event: 'e399', moment: 'at' }) === null]).toEqual([341, false]);
  });

  it('of an earlier version are completed, and nothing is lost', async () => {
    add({ seen: [['gate', NOW_S, 100, 20_000]] });
    database.close();
    const earlier = new DatabaseSync(path);
    earlier.exec(
      'DROP TABLE seeing; DROP TABLE kept; DROP TABLE embeddings; DROP TABLE pictures; PRAGMA user_version = 1',
    );
    earlier.close();
    open(16 * MIB);
    expect(notices).toEqual([]);
    add({ seeing: [['gate', NOW_S + HOUR_S, 'down', 60_000]] });
    expect((await queries.seen(span)).rows.map(({ seenS, watchedS, blindS }) => [seenS, watchedS, blindS])).toEqual([
      [20, null, {}],
      [0, 0, { down: 60 }],
    ]);
    expect(database.all('PRAGMA user_version')).toEqual([{ user_version: 5 }]);
  });

  it('answer with whole steps, and say where the next page begins', async () => {
    const minutes = Array.from({ length: 12_345 }, (_, i) => NOW_S + i * 60);
    add({ seen: minutes.flatMap((s) => [['gate', s, 1, 500] as const, ['yard', s, 2, 500] as const]) });
    const query = { ...span, fromS: 0, toS: NOW_S + 365 * DAY_S, stepS: 60 };
    const first = await queries.seen(query);
    expect(first.rows).toHaveLength(10_000);
    expect(first.rows.slice(0, 2).map(({ timeMs, stream }) => [timeMs, stream])).toEqual([
      [NOW_S * 1000, 'gate'],
      [NOW_S * 1000, 'yard'],
    ]);
    expect(first.nextS).toBe(NOW_S + 5000 * 60);
    const second = await queries.seen({ ...query, fromS: first.nextS! });
    const third = await queries.seen({ ...query, fromS: second.nextS! });
    expect([second.rows.length, third.rows.length, third.nextS]).toEqual([10_000, 4690, null]);
    const hours = await queries.seen({ ...query, stepS: HOUR_S, stream: 'yard' });
    expect([hours.rows.length, hours.rows[0]!.frames, hours.rows[0]!.seenS]).toEqual([206, 120, 30]);
  });

  it('add up heat maps over hours', () => {
    const cells = new Float64Array(HEAT_GRID.columns * HEAT_GRID.rows);
    cells[0] = 1000;
    cells[33] = 500;
    add({ heat: [['gate', NOW_S, cells]], seen: [['gate', NOW_S, 10, 4000]] });
    add({
      heat: [
        ['gate', NOW_S, cells],
        ['gate', NOW_S + HOUR_S, cells],
        ['yard', NOW_S, cells],
      ],
    });
    const day = queries.heat({ stream: 'gate', fromS: NOW_S, toS: NOW_S + DAY_S });
    expect([day.columns, day.rows, day.cells.length, day.seenS]).toEqual([32, 18, 576, 4]);
    expect([day.cells[0], day.cells[33], day.cells.reduce((sum, s) => sum + s, 0)]).toEqual([3, 1.5, 4.5]);
    expect(queries.heat({ stream: 'gate', fromS: NOW_S, toS: NOW_S + HOUR_S }).cells[0]).toBe(2);
    expect(queries.heat({ stream: 'nobody', fromS: 0, toS: NOW_S }).cells[0]).toBe(0);
  });

  it('join the figures of ten seconds to minutes after an hour', () => {
    const figures = Array.from({ length: 360 }, (_, i) => ({
      stream: 'gate',
      endS: NOW_S + (i + 1) * 10,
      fpsIn: 30,
      fpsPublished: i % 6,
      p50: i < 6 ? null : 4,
      p95: 5,
      p99: i % 6,
    }));
    add({ figures });
    nowS = NOW_S + HOUR_S + 1800;
    database.maintain();
    expect([rowsOf('figures', 'step_s = 60'), rowsOf('figures', 'step_s = 10')]).toEqual([30, 180]);
    const { stepS, times, fpsIn, fpsPublished, p50, p99 } = queries.figures({
      stream: 'gate',
      fromS: NOW_S,
      stepS: 60,
    });
    expect([stepS, times.length, times[0], times.at(-1)]).toEqual([60, 60, NOW_S + 60, NOW_S + HOUR_S]);
    expect([new Set(fpsIn), new Set(fpsPublished), new Set(p99)]).toEqual([
      new Set([30]),
      new Set([2.5]),
      new Set([5]),
    ]);
    expect(p50.slice(0, 2)).toEqual([null, 4]);
    const fine = queries.figures({ stream: 'gate', fromS: NOW_S + 1800, stepS: 10 });
    expect(fine.fpsPublished.slice(-6)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('forget what is older than their days, except records that a start needs', async () => {
    database.write([
      { type: 'records', events: [ruleEvent('open', 0, 'new')], timeMs: NOW_S * 1000 },
      { type: 'records', events: [ruleEvent('waits', 0, 'new')], timeMs: NOW_S * 1000 },
      { type: 'records', events: [ruleEvent('waits', 1, 'end')], timeMs: NOW_S * 1000 },
      { type: 'records', events: [ruleEvent('over', 0, 'new')], timeMs: NOW_S * 1000 },
      { type: 'records', events: [ruleEvent('over', 1, 'end')], timeMs: NOW_S * 1000 },
      {
        type: 'delivered',
        kept: [],
        timeMs: 0,
        records: [
          ['open', 0],
          ['waits', 0],
          ['over', 0],
          ['over', 1],
        ],
      },
      event('stream-added', NOW_S),
      event('stream-added', NOW_S + 2 * DAY_S),
    ]);
    add({
      seen: [
        ['gate', NOW_S, 1, 1],
        ['gate', NOW_S + 2 * DAY_S, 1, 1],
      ],
    });
    nowS = NOW_S + 31 * DAY_S;
    database.maintain();
    expect(rowsOf('seen')).toBe(1);
    expect(database.all('SELECT event, seq FROM events ORDER BY id')).toEqual([
      { event: 'open', seq: 0 },
      { event: 'waits', seq: 1 },
      { event: null, seq: null },
    ]);
    const { undelivered, open: unended } = queries.unfinished();
    expect([undelivered.map(({ id }) => id), unended.map(({ id }) => id)]).toEqual([['waits'], ['open']]);
  });

  it('stay below their bytes: old figures go first, then crossings, then other events', async () => {
    database.close();
    open(2 * MIB);
    const seen = (fromS: number): void => {
      add({ seen: Array.from({ length: 1440 }, (_, i) => ['gate', fromS + i * 60, 1, 1] as const) });
    };
    for (let day = 30; day > 0; day--) seen(NOW_S - day * DAY_S);
    database.write([event('target-missed', NOW_S - 9 * DAY_S)]);
    const crossings = (count: number): void => {
      for (let i = 0; i < count; i += 50)
        expect(
          database.write(Array.from({ length: 50 }, () => event('line-crossed', NOW_S - 8 * DAY_S + i, 500))),
        ).toBe(true);
    };
    let crossed = 0;
    for (; rowsOf('seen') === 30 * 1440; crossed += 50) {
      crossings(50);
      database.maintain();
    }
    expect([rowsOf('seen', `time_s < ${NOW_S - 29 * DAY_S}`), rowsOf('seen', `time_s >= ${NOW_S - DAY_S}`)]).toEqual([
      0, 1440,
    ]);
    expect(rowsOf('events')).toBe(crossed + 1);
    crossings(6000);
    database.maintain();
    expect(rowsOf('seen')).toBe(1440);
    expect(rowsOf('events', "kind = 'line-crossed'")).toBeLessThan(2000);
    expect(rowsOf('events', "kind = 'target-missed'"), 'the oldest of all').toBe(1);
    for (let i = 0; i < 6000; i += 50)
      expect(database.write(Array.from({ length: 50 }, () => event('stream-warning', NOW_S + i, 500)))).toBe(true);
    database.maintain();
    expect(rowsOf('events', "kind = 'line-crossed' OR kind = 'target-missed'")).toBe(0);
    expect([rowsOf('seen'), rowsOf('events', `time_ms = ${(NOW_S + 5950) * 1000}`)]).toEqual([1440, 50]);
    expect(notices).toEqual([]);
    database.close();
    expect(statSync(path).size).toBeLessThanOrEqual(2 * MIB);
    open(MIB);
    database.maintain();
    expect(statSync(path).size, 'after the bound was lowered').toBeLessThanOrEqual(2 * MIB);
    expect(database.write([event('stream-added', NOW_S + DAY_S)])).toBe(true);
  });

  it('keep an event of a recording that runs again once, as it was seen last', () => {
    const records = (run: string, phases: readonly EventPhase[]): HistoryWrite => ({
      type: 'records',
      timeMs: nowS++ * 1000,
      events: phases.map((phase, seq) => ruleEvent('a', seq, phase, { run })),
    });
    database.write([records('Monday', ['new', 'update', 'update', 'end'])]);
    database.write([{ type: 'delivered', records: [['a', 0]], kept: [], timeMs: 0 }]);
    // The same records again, as after a disk that did not answer, take nothing's place.
    database.write([records('Monday', ['new', 'update', 'update', 'end'])]);
    expect(rowsOf('events')).toBe(4);
    expect(rowsOf('events', 'delivered = 1')).toBe(1);
    database.write([records('Tuesday', ['new'])]);
    expect(rowsOf('events')).toBe(1);
    // It is open, although the earlier run had ended it.
    expect(queries.unfinished().open).toMatchObject([{ id: 'a', seq: 0, run: 'Tuesday' }]);
  });

  it('keep no figures while a reader makes their log grow, and say so once', () => {
    add({ seen: [['gate', NOW_S, 1, 1]] });
    const reader = new DatabaseSync(path, { readOnly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT * FROM seen').all();
    const large = Array.from({ length: 50 }, () => event('stream-warning', NOW_S, 1e6));
    database.close();
    open(1024 * MIB);
    database.write(large);
    database.write(large);
    database.maintain();
    expect(notices).toEqual([expect.stringMatching(/a program has read the history .* its log has \d+ MiB/)]);
    add({ seen: [['gate', NOW_S + 60, 1, 1]] });
    expect([rowsOf('seen'), database.lost]).toEqual([1, 1]);
    reader.close();
    database.write([event('stream-warning', NOW_S)]);
    database.maintain();
    add({ seen: [['gate', NOW_S + 120, 1, 1]] });
    expect([rowsOf('seen'), notices.length]).toEqual([2, 1]);
  });
});
