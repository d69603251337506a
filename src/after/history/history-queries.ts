import type { SQLInputValue } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BLIND_REASONS, type BlindReason } from '../../wire/protocol/blind-reasons.ts';
import type { EventPictureFacts, KeptPicture } from '../../wire/protocol/event-picture.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import type {
  CountRow,
  HeatReply,
  HistoryReply,
  OccupancyRow,
  SeenRow,
  SimilarReply,
} from '../../wire/protocol/rest.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { HistoryDatabase } from './history-database.ts';
import {
  type EventCursor,
  type EventPage,
  type EventQuery,
  HEAT_GRID,
  type HistoryCalls,
  type SimilarQuery,
  type SpanQuery,
  type StepPage,
} from './history-records.ts';
import { similarObjects } from './similar-objects.ts';
import { inColumns } from './stream-figures.ts';

/** Rows that are read at once, so that records of rules do not wait for a long search. */
const BLOCK = 500;
/** Share of a list that events of one kind take while there are enough others. */
const SHARE_OF_KIND = 1 / 4;

type Conditions = readonly (readonly [sql: string, ...values: (SQLInputValue | undefined)[]])[];
type FoundEvent = { readonly id: number; readonly time_ms: number; readonly json: string };

/** Node.js binds numbers as REAL, and steps need whole divisions. Numbered parameters fail with 22.13. */
const WHOLE = 'CAST(? AS INTEGER)';

/** Rows of one answer, and steps that are summed before it is known how many rows they give. */
const MOST_ROWS = 10_000;
const STEPS_AT_ONCE = 500;
const SEEN_COLUMNS = 'sum(frames) AS frames, sum(seen_ms) / 1000 AS seenS';
/** Some minutes have rows of one table only: nothing came, or nothing else was known then. */
const WATCHED = `(SELECT stream, time_s, frames, seen_ms, NULL AS reason, NULL AS ms FROM seen
  UNION ALL SELECT stream, time_s, 0, 0, reason, ms FROM seeing)`;
const WATCHED_COLUMNS = ['', ...BLIND_REASONS]
  .map((reason) => `sum(ms) FILTER (WHERE reason = '${reason}') / 1000 AS ${reason === '' ? 'watchedS' : reason}`)
  .join();
type WatchedSums = Pick<SeenRow, 'timeMs' | 'stream' | 'frames' | 'seenS'> &
  Readonly<Record<'watchedS' | BlindReason, number | null>>;
const ZONE_COLUMNS =
  'zone, max(most) AS max, sum(object_ms) / 1000 AS objectS, sum(occupied_ms) / 1000 AS occupiedS, sum(arrivals) AS arrivals';
type ZoneSums = Omit<OccupancyRow, 'mean' | 'dwellS' | 'seenS'>;

/** Answers the questions of `HistoryCalls`. Yields to other work after each block of rows, and between streams. */
export class HistoryQueries {
  readonly #database: HistoryDatabase;

  constructor(database: HistoryDatabase) {
    this.#database = database;
  }

  unfinished(): ReturnType<HistoryCalls['unfinished']> {
    const order = 'ORDER BY id';
    const undelivered = this.#database.all<FoundEvent>(`SELECT json FROM main.events WHERE delivered = 0 ${order}`);
    const open = this.#database.all<FoundEvent>(
      `SELECT json FROM main.events AS one WHERE delivered IS NOT NULL AND phase <> 'end' AND NOT EXISTS
        (SELECT 1 FROM main.events AS other WHERE other.event = one.event AND (other.phase = 'end' OR other.seq > one.seq)) ${order}`,
    );
    const kept = this.#database.all<{ key: string; json: string }>('SELECT key, json FROM kept');
    return {
      undelivered: undelivered.flatMap(recordsOf),
      open: open.flatMap(recordsOf),
      kept: new Map(kept.map(({ key, json }) => [key, parsed(json)])),
    };
  }

  async page(query: EventQuery): Promise<EventPage> {
    const found: { message: EventMessage; at: EventCursor }[] = [];
    for await (const event of this.#newestFirst(query)) {
      if (found.length === query.limit) return { events: messagesOf(found), next: found.at(-1)!.at };
      found.push(event);
    }
    return { events: messagesOf(found), next: null };
  }

  async newest(query: EventQuery): Promise<EventMessage[]> {
    const kinds = query.kinds ?? this.#kinds();
    const byKind: EventMessage[][] = [];
    for (const kind of kinds) {
      const { events } = await this.page({ ...query, kinds: [kind] });
      if (events.length > 0) byKind.push([...events]);
    }
    return fairShare(byKind, query.limit);
  }

  counts({ line, label, ...span }: Parameters<HistoryCalls['counts']>[0]): Promise<StepPage<CountRow>> {
    const columns = "nullif(line, '') AS line, nullif(direction, '') AS direction, label, sum(count) AS count";
    const only: Conditions = [
      ['line = ?', line],
      ['label = ?', label],
    ];
    return this.#steps('counts', columns, ['line', 'direction', 'label'], span, { only });
  }

  async seen(span: SpanQuery): Promise<StepPage<SeenRow>> {
    const { rows, nextS } = await this.#steps<WatchedSums>('watched', `${SEEN_COLUMNS}, ${WATCHED_COLUMNS}`, [], span);
    const whole = rows.map(({ timeMs, stream, frames, seenS, watchedS, ...blind }): SeenRow => {
      const blindS = Object.fromEntries(Object.entries(blind).filter(([, seconds]) => seconds !== null));
      const isKnown = watchedS !== null || Object.keys(blindS).length > 0;
      return { timeMs, stream, frames, seenS, watchedS: isKnown ? (watchedS ?? 0) : null, blindS };
    });
    return { rows: whole, nextS };
  }

  async occupancy({ zone, ...span }: Parameters<HistoryCalls['occupancy']>[0]): Promise<StepPage<OccupancyRow>> {
    const only: Conditions = [['zone = ?', zone]];
    const { rows, nextS } = await this.#steps<ZoneSums>('occupancy', ZONE_COLUMNS, ['zone'], span, { only });
    const seen = new Map<string, number>();
    for (const stream of new Set(rows.map((row) => row.stream))) {
      const steps = await this.#steps<Pick<SeenRow, 'timeMs' | 'seenS'>>(
        'seen',
        SEEN_COLUMNS,
        [],
        { ...span, stream, toS: nextS ?? span.toS },
        { most: Infinity },
      );
      for (const { timeMs, seenS } of steps.rows) seen.set(`${timeMs} ${stream}`, seenS);
    }
    const whole = rows.map((row) => {
      const seenS = seen.get(`${row.timeMs} ${row.stream}`) ?? 0;
      const mean = seenS === 0 ? null : row.objectS / seenS;
      return { ...row, mean, dwellS: row.arrivals === 0 ? null : row.objectS / row.arrivals, seenS };
    });
    return { rows: whole, nextS };
  }

  heat({ stream, fromS, toS }: Parameters<HistoryCalls['heat']>[0]): HeatReply {
    const cells = new Array<number>(HEAT_GRID.columns * HEAT_GRID.rows).fill(0);
    const span = 'WHERE stream = ? AND time_s >= ? AND time_s < ?';
    const sums = this.#database.all<{ cell: number; objectS: number }>(
      `SELECT cell, sum(object_ms) / 1000 AS objectS FROM heat ${span} GROUP BY cell`,
      ...[stream, fromS, toS],
    );
    for (const { cell, objectS } of sums) cells[cell] = objectS;
    const [seen] = this.#database.all<{ seenS: number | null }>(
      `SELECT sum(seen_ms) / 1000 AS seenS FROM seen ${span}`,
      ...[stream, fromS, toS],
    );
    return { stream, ...HEAT_GRID, cells, seenS: seen?.seenS ?? 0 };
  }

  picture({ event, moment }: Parameters<HistoryCalls['picture']>[0]): KeptPicture | null {
    const [found] = this.#database.all<{ facts: string; jpeg: Uint8Array }>(
      'SELECT facts, jpeg FROM pictures WHERE event = ? AND moment = ?',
      ...[event, moment],
    );
    const facts = found === undefined ? null : parsed<EventPictureFacts>(found.facts);
    return facts === null ? null : { facts, jpeg: found!.jpeg };
  }

  similar(query: SimilarQuery): Promise<SimilarReply> {
    return similarObjects(this.#database, query);
  }

  figures({ stream, fromS, stepS }: Parameters<HistoryCalls['figures']>[0]): HistoryReply {
    const rows = this.#database.all<Record<'endS' | 'fpsIn' | 'fpsPublished' | 'p50' | 'p95' | 'p99', number>>(
      `SELECT (time_s + ${WHOLE} - 1) / ${WHOLE} * ${WHOLE} AS endS, avg(fps_in) AS fpsIn, avg(fps_published) AS fpsPublished, avg(p50_ms) AS p50,
        avg(p95_ms) AS p95, max(p99_ms) AS p99 FROM figures WHERE stream = ? AND time_s >= ? GROUP BY endS ORDER BY endS`,
      ...[stepS, stepS, stepS, stream, fromS],
    );
    return inColumns(stepS, rows);
  }

  async *#newestFirst(query: EventQuery): AsyncGenerator<{ message: EventMessage; at: EventCursor }> {
    const { kinds, text, phase } = query;
    const isLife = phase === 'last' || phase === 'open';
    const oneOf = (column: string, values: readonly string[] = []): Conditions[number] => [
      `${column} IN (${values.map(() => '?').join()})`,
      ...(values.length === 0 ? [undefined] : values),
    ];
    const conditions: Conditions = [
      ['stream = ?', query.stream],
      [`stream IN (${(query.streams ?? []).map(() => '?').join()})`, ...(query.streams ?? [undefined])],
      oneOf('kind', kinds),
      ['time_ms >= ?', query.fromMs],
      ['time_ms < ?', query.toMs],
      oneOf('rule', query.rules),
      ['label = ?', query.label],
      ['? IN (zone, line)', query.zone],
      ['event = ?', query.event],
      ['phase = ?', isLife ? undefined : phase],
    ];
    const { sql, values } = joined(conditions);
    const ofRules = query.rules ?? query.label ?? query.zone ?? query.event ?? phase;
    // An event stands where it began, and is shown as it is now. Only without ORDER BY does SQLite search each table by its index.
    const isNone = (of: string, which: string): string =>
      `NOT EXISTS (SELECT 1 FROM known AS other WHERE other.event = ${of}.event AND other.${which})`;
    const more = [
      ...(ofRules === undefined ? [] : ['event IS NOT NULL']),
      ...(isLife ? [isNone('known', 'seq < known.seq')] : []),
      ...(phase === 'open' ? [isNone('known', "phase = 'end'")] : []),
    ].map((condition) => `AND ${condition}`);
    const newest = `(SELECT json FROM known AS last WHERE last.event = known.event AND ${isNone('last', 'seq > last.seq')}) AS json`;
    let at: EventCursor = query.cursor ?? [Number.MAX_SAFE_INTEGER, 0];
    const wanted = text?.toLowerCase();
    for (;;) {
      const rows = this.#database.all<FoundEvent>(
        `SELECT id, time_ms, ${isLife ? newest : 'json'} FROM known WHERE ${sql} AND (time_ms, id) < (?, ?) ${more.join(' ')} ORDER BY time_ms DESC, id DESC LIMIT ${BLOCK}`,
        ...values,
        ...at,
      );
      for (const row of rows) {
        at = [row.time_ms, row.id];
        const message = parsed<EventMessage>(row.json);
        if (message !== null && (wanted === undefined || textOf(message).includes(wanted))) yield { message, at };
      }
      if (rows.length < BLOCK) return;
      await nextTurn();
    }
  }

  /** All kinds of which there are events. Looks up each, instead of reading the table. */
  #kinds(): string[] {
    const kinds: string[] = [];
    for (let last = ''; ; ) {
      const [row] = this.#database.all<{ kind: string | null }>(
        'SELECT min(kind) AS kind FROM known WHERE kind > ?',
        last,
      );
      const kind = row?.kind ?? null;
      if (kind === null) return kinds;
      kinds.push(kind);
      last = kind;
    }
  }

  /** Sums rows over the steps of a span, oldest first; ends after the step with the row number `most`. */
  async #steps<Row extends { readonly timeMs: number }>(
    table: 'counts' | 'seen' | 'occupancy' | 'watched',
    columns: string,
    groups: readonly string[],
    { fromS, toS, stepS, offsetS, stream, streams }: SpanQuery,
    { only = [], most = MOST_ROWS }: { readonly only?: Conditions; readonly most?: number } = {},
  ): Promise<StepPage<Row>> {
    const oldestS = this.#database.oldestFigureS();
    const tables = table === 'watched' ? (['seen', 'seeing'] as const) : [table];
    const streamsNow = (): readonly string[] => [...new Set(tables.flatMap((each) => this.#database.streamsOf(each)))];
    let rows: Row[] = [];
    let nextS = Number.isNaN(oldestS) ? toS : Math.max(fromS, oldestS);
    while (nextS < toS && rows.length < most) {
      const endS = Math.min(toS, (Math.floor((nextS + offsetS) / stepS) + STEPS_AT_ONCE) * stepS - offsetS);
      const found: Row[] = [];
      for (const one of stream === undefined ? streamsNow() : [stream]) {
        if (streams?.includes(one) === false) continue;
        const which = joined([['stream = ?', one], ['time_s >= ?', nextS], ['time_s < ?', endS], ...only]);
        const sql = `SELECT ((time_s + ${WHOLE}) / ${WHOLE} * ${WHOLE} - ${WHOLE}) * 1000 AS timeMs, stream, ${columns} FROM ${table === 'watched' ? WATCHED : table}
          WHERE ${which.sql} GROUP BY ${['timeMs', ...groups].join()}`;
        for (const row of this.#database.all<Row>(sql, offsetS, stepS, stepS, offsetS, ...which.values))
          found.push(row);
        await nextTurn();
      }
      rows = rows.concat(found.sort((a, b) => a.timeMs - b.timeMs));
      nextS = endS;
    }
    return { rows, nextS: nextS < toS ? nextS : null };
  }
}

/** Joins the conditions whose values are given. */
function joined(conditions: Conditions): { readonly sql: string; readonly values: SQLInputValue[] } {
  const given = conditions.filter(([, value]) => value !== undefined);
  return {
    sql: given.length === 0 ? 'true' : given.map(([sql]) => sql).join(' AND '),
    values: given.flatMap(([, ...values]) => values as SQLInputValue[]),
  };
}

/** Takes the newest events of every kind, each up to its share, and fills the rest with the newest others. */
function fairShare(byKind: readonly (readonly EventMessage[])[], limit: number): EventMessage[] {
  const newestFirst = (events: EventMessage[]): EventMessage[] => events.sort((a, b) => b.timeMs - a.timeMs);
  const share = byKind.length === 1 ? limit : Math.ceil(limit * SHARE_OF_KIND);
  const first = newestFirst(byKind.flatMap((events) => events.slice(0, share))).slice(0, limit);
  const rest = newestFirst(byKind.flatMap((events) => events.slice(share))).slice(0, limit - first.length);
  return newestFirst([...first, ...rest]).reverse();
}

function textOf({ stream = '', kind, host = '', message }: EventMessage): string {
  return `${stream} ${kind} ${host} ${message}`.toLowerCase();
}

function messagesOf(found: readonly { readonly message: EventMessage }[]): EventMessage[] {
  return found.map(({ message }) => message);
}

function recordsOf({ json }: FoundEvent): RuleEvent[] {
  const record = parsed<EventMessage>(json)?.rule;
  return record === undefined ? [] : [record];
}

/** Null for a damaged text. */
function parsed<T>(json: string): T | null {
  try {
    return JSON.parse(json) as T;
  } catch {
    return null;
  }
}
