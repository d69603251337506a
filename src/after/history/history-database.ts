import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { MIB } from '../../base/disk/given-file.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import { eventMessage } from '../events/event-message.ts';
import { besidePath } from '../sinks/kept-lines.ts';
import { FIGURE_STEP_S, type FigureBatch, type HistoryThreadData, type HistoryWrite } from './history-records.ts';
import {
  ADD_ROWS,
  CARELESS_VERSION,
  EVENT_COLUMNS,
  FIGURE_TABLES,
  MIGRATIONS,
  NO_EMBEDDINGS,
  SCHEMA_VERSION,
  SPARE_TABLES,
  TABLES,
} from './history-schema.ts';
import { addEmbedding, boundEmbeddings } from './kept-embeddings.ts';
import { type NeededRows, readNeeded } from './needed-rows.ts';
import { codeOf, isDamage, isFull, SQLITE } from './sqlite-errors.ts';

/** Pruning begins when this share of the bytes is in use, and ends at the lower one. */
const PRUNE = { fromRatio: 0.9, toRatio: 0.8 } as const;
/** Pictures of events take at most this share of the file; so many bytes each, on average. */
const PICTURES = { ratio: 0.5, bytes: 24 * 1024 } as const;
/** A history that cannot be kept on the disk. */
const MOST_MEMORY_BYTES = 16 * MIB;
/** Events that wait until the disk takes them; beyond, the oldest are lost. */
const MOST_SPARE_EVENTS = 1000;
/** A log of so many bytes means that a reader keeps SQLite from emptying it. */
const MOST_LOG_BYTES = 64 * MIB;
/** Searches differ in what they ask for. */
const MOST_STATEMENTS = 200;
/** How long a write waits for another program that writes the file. */
const BUSY_MS = 2000;
const DAY_S = 86_400;
const HOUR_S = 3600;
const MINUTE_S = 60;
/** Crossings of lines come by the thousand, so they go before other events. */
const FREQUENT = "kind = 'line-crossed'";
/** A record that came over the bus first is handed out here, too, if this host must. */
const ON_SAME_RECORD =
  'ON CONFLICT (event, seq) WHERE event IS NOT NULL DO UPDATE SET delivered = 0 WHERE delivered IS NULL AND excluded.delivered = 0';
/** A recording that is run again gives the same events: the newest takes the place of what was kept of it. */
const OF_EARLIER_RUN = `DELETE FROM SCHEMA.events WHERE event = ? AND json_extract(json, '$.rule.run') IS NOT ?`;
/** Not handed over, or open: a start needs it. */
const NEEDED = `delivered = 0 OR (delivered = 1 AND phase <> 'end' AND NOT EXISTS
  (SELECT 1 FROM events AS other WHERE other.event = events.event AND other.phase = 'end'))`;

export interface HistoryDatabaseOptions extends HistoryThreadData {
  readonly onNotice: (text: string) => void;
  /** A file was damaged, removed or replaced, and another one goes on. */
  readonly onRenewed: (text: string) => void;
  readonly nowMs?: () => number;
}

/** The tables of a history: opens, writes, bounds and repairs them. Blocks its thread, so it is used off the main thread. */
export class HistoryDatabase {
  readonly #options: HistoryDatabaseOptions;
  readonly #nowMs: () => number;
  #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Null: in memory. */
  #path: string | null;
  /** Inodes of the file and of its log: another one, or none, means that somebody has removed it. */
  #files = '';
  /** Size and time of change of the file after our newest write: others mean that somebody else has written it. */
  #stamp = '';
  #wasTouched = false;
  /** Why it is in memory, if that is a full disk. */
  #startFailure: string | null = null;
  /** What the disk said to the newest write; null: it took it. */
  #refusal: string | null = null;
  #isBlocked = false;
  /** Whether embeddings were deleted, and may still be in the file or in its log. */
  #isInLog = false;
  #spare = 0;
  #lost = 0;
  /** Of a file that is given up, until its successor is open. */
  #needed: NeededRows | null = null;

  /** Never throws for what is wrong with the file: a damaged one is set aside, and without a file it is in memory. */
  constructor(options: HistoryDatabaseOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#path = options.path;
    this.#database = this.#open();
    this.#restore();
  }

  /** Events, and batches of figures, that could not be kept. */
  get lost(): number {
    return this.#lost;
  }

  /** Whether anything survives the process. */
  get isOnDisk(): boolean {
    return this.#path !== null;
  }

  /** Why the disk takes nothing, and what waits; null if it takes all. */
  get problem(): string | null {
    if (this.#refusal === null) return this.#startFailure;
    const waiting = this.#spare === 1 ? '1 event waits' : `${this.#spare} events wait`;
    return `${this.#refusal}; ${waiting} in memory, figures are lost`;
  }

  /** The file; null: in memory. */
  get path(): string | null {
    return this.#path;
  }

  /** Whether another program has written the file since this was asked: SQLite may read its own copies of pages that are damaged by now. */
  takeTouched(): boolean {
    const wasTouched = this.#wasTouched;
    this.#wasTouched = false;
    return wasTouched;
  }

  /** Sets the damaged file aside and goes on with a new one, which gets what a start needs of the old one. */
  renew(why: string): void {
    const path = this.#path;
    if (path === null) return;
    this.#replace(() => {
      const fate = this.#setAside(path);
      if (fate === null) this.#path = null;
      this.#options.onRenewed(
        `the history ${path} is damaged (${why}); ${fate ?? 'it cannot be renamed, so the history is in memory until the next start'}`,
      );
    });
  }

  /** Returns all rows of a query. Sets a damaged file aside and asks its successor. */
  all<Row extends object>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#repaired(() => this.#statement(sql).all(...values) as Row[]);
  }

  /** Writes all or nothing of it. @returns whether it is on the disk: after a record, also after a power failure. */
  write(writes: readonly HistoryWrite[]): boolean {
    try {
      this.#repaired(() => {
        this.#requireFiles();
        this.#transaction(writes);
      });
    } catch (error) {
      this.#keepSpare(writes, error as Error);
      return false;
    }
    if (this.#refusal !== null) this.#options.onNotice(`the history ${this.#path} is written again`);
    this.#refusal = null;
    this.#stampFile();
    return this.isOnDisk;
  }

  /** Deletes what is too old or too much, and joins figures of more than an hour ago. Call it once a minute. */
  maintain(): void {
    const nowS = this.#nowMs() / 1000;
    if (this.#refusal !== null) this.write([]);
    this.#repaired(() => {
      this.#requireFiles();
      this.#database.exec('PRAGMA synchronous = NORMAL');
      const oldestS = nowS - this.#options.days * DAY_S;
      for (const table of FIGURE_TABLES) this.#deleteFigures(table, oldestS);
      this.#statement('DELETE FROM kept WHERE time_ms < ?').run(oldestS * 1000);
      this.#statement(`DELETE FROM events WHERE time_ms < ? AND NOT coalesce(${NEEDED}, 0)`).run(oldestS * 1000);
      this.#boundPictures(oldestS * 1000);
      const oldestMs = nowS * 1000 - (this.#options.embeddingsMs ?? 0);
      if (boundEmbeddings((sql) => this.#statement(sql), oldestMs, this.#options.maxBytes)) this.#isInLog = true;
      this.#joinFigures(Math.floor((nowS - HOUR_S) / MINUTE_S) * MINUTE_S);
      this.#prune(nowS);
      this.#watchLog();
      this.#finishDeletion();
      this.#stampFile();
    });
  }

  close(): void {
    this.#statements.clear();
    try {
      this.#database.close();
    } catch {
      // It was damaged and could not be opened again.
    }
  }

  /** Opens the file, a new one in its place, or one in memory. */
  #open(): DatabaseSync {
    for (let attempt = 0; this.#path !== null; attempt++) {
      try {
        return this.#openFile(this.#path);
      } catch (error) {
        const why = (error as Error).message;
        const fate = attempt === 0 && isDamage(error) ? this.#setAside(this.#path) : null;
        if (fate !== null) {
          this.#options.onRenewed(`the history ${this.#path} is damaged (${why}); ${fate}`);
          continue;
        }
        const failure = `the history ${this.#path} cannot be used: ${why}; it is in memory until the next start`;
        this.#options.onNotice(failure);
        if (isFull(error)) this.#startFailure = failure;
        this.#path = null;
      }
    }
    return this.#prepare(new DatabaseSync(':memory:'), Math.min(this.#options.maxBytes, MOST_MEMORY_BYTES));
  }

  #openFile(path: string): DatabaseSync {
    mkdirSync(dirname(path), { recursive: true });
    const database = new DatabaseSync(path);
    try {
      database.exec(
        `PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = ${8 * MIB};
          PRAGMA secure_delete = ON`,
      );
      const [check] = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {});
      if (check !== 'ok')
        throw Object.assign(new Error(String(check).replaceAll('\n', ' ')), { errcode: SQLITE.corrupt });
      this.#prepare(database, this.#options.maxBytes);
      this.#holdEmbeddings(database, path);
      this.#files = filesOf(path);
      this.#stampFile();
      return database;
    } catch (error) {
      if (isDamage(error)) this.#needed = readNeeded(database);
      database.close();
      throw error;
    }
  }

  #prepare(database: DatabaseSync, maxBytes: number): DatabaseSync {
    const version = Number(scalarOf(database, 'PRAGMA user_version'));
    if (version > SCHEMA_VERSION) throw new Error(`it was written by a newer version (tables ${version})`);
    if (version === 0) database.exec(`BEGIN; ${TABLES} COMMIT;`);
    else
      for (let from = version; from < SCHEMA_VERSION; from++)
        database.exec(`BEGIN; ${MIGRATIONS[from]} PRAGMA user_version = ${from + 1}; COMMIT;`);
    if (version === CARELESS_VERSION) database.exec('VACUUM');
    database.exec(SPARE_TABLES);
    database.exec(`PRAGMA max_page_count = ${Math.ceil(maxBytes / Number(scalarOf(database, 'PRAGMA page_size')))}`);
    this.#statements.clear();
    this.#spare = 0;
    return database;
  }

  /**
   * Marks the file before it gets embeddings; without the setting, deletes those of an earlier process. What a process that was killed has
   * deleted may be in the log only.
   */
  #holdEmbeddings(database: DatabaseSync, path: string): void {
    const isKeeping = (this.#options.embeddingsMs ?? 0) > 0;
    if (isKeeping) writeFileSync(markOf(path), '');
    else if (exists(markOf(path)) || scalarOf(database, 'SELECT count(*) FROM embeddings') !== 0)
      database.exec(`BEGIN; ${NO_EMBEDDINGS} COMMIT;`);
    this.#isInLog = !emptyLog(database);
    if (!isKeeping && !this.#isInLog) rmSync(markOf(path), { force: true });
  }

  /** Until then deleted embeddings are in the file itself, and in its log. Another program that reads holds it up, until the next call. */
  #finishDeletion(): void {
    if (this.#path === null || !this.#isInLog || !emptyLog(this.#database)) return;
    this.#isInLog = false;
    if ((this.#options.embeddingsMs ?? 0) === 0) rmSync(markOf(this.#path), { force: true });
  }

  /** Renames the file; deletes it instead if it may have embeddings. @returns what became of it; null if it cannot be renamed. */
  #setAside(path: string): string | null {
    const aside = besidePath(path, 'damaged');
    const isPrivate = exists(markOf(path));
    try {
      for (const end of ['-wal', '-shm', '']) {
        rmSync(isPrivate ? path + end : aside + end, { force: true });
        if (!isPrivate && exists(path + end)) renameSync(path + end, aside + end);
      }
    } catch {
      return null;
    }
    return `${isPrivate ? 'it had embeddings, so it is deleted' : `it is now ${aside}`}, and a new one begins`;
  }

  /** Opens another file, or one in memory, in place of the open one. @param makeRoom - called between the two. */
  #replace(makeRoom: () => void): void {
    this.#needed = readNeeded(this.#database);
    this.close();
    makeRoom();
    this.#database = this.#open();
    this.#restore();
  }

  /** Adds what a start needs of the file before. What the disk refuses waits in memory, as other events do. */
  #restore(): void {
    const needed = this.#needed;
    this.#needed = null;
    if (needed === null) return;
    const places = EVENT_COLUMNS.split(',').map(() => '?');
    for (const row of needed.events)
      this.#statement(`INSERT OR IGNORE INTO spare.events (${EVENT_COLUMNS}) VALUES (${places.join()})`).run(
        ...Object.values(row),
      );
    this.#spare = needed.events.length;
    const kept = needed.kept.map((row) => Object.values(row));
    try {
      for (const values of kept) this.#statement('INSERT OR IGNORE INTO kept VALUES (?, ?, ?)').run(...values);
      this.#transaction([]);
    } catch (error) {
      this.#keepSpare([], error as Error);
    }
    this.#stampFile();
  }

  /** Runs something; if the file turns out to be damaged, once more with a new one. */
  #repaired<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (this.#path === null || !isDamage(error)) throw error;
      this.renew((error as Error).message);
      return run();
    }
  }

  /** Goes on with another file if somebody has removed or replaced this one: SQLite would go on with one that nobody sees. */
  #requireFiles(): void {
    const path = this.#path;
    if (path === null) return;
    if (filesOf(path) === this.#files) {
      this.#wasTouched ||= stampOf(path) !== this.#stamp;
      return;
    }
    this.#replace(() => {
      const how = exists(path)
        ? 'replaced while it was open; that file goes on'
        : 'removed while it was open; a new one begins';
      this.#options.onRenewed(`the history ${path} was ${how}`);
    });
  }

  #stampFile(): void {
    if (this.#path !== null) this.#stamp = stampOf(this.#path);
  }

  #transaction(writes: readonly HistoryWrite[]): void {
    // A commit in WAL mode survives the end of the process in any case, and a power failure only with FULL.
    const isRecord = writes.some(({ type }) => type === 'records');
    this.#database.exec(`PRAGMA synchronous = ${isRecord ? 'FULL' : 'NORMAL'}; BEGIN IMMEDIATE`);
    try {
      if (this.#spare > 0)
        this.#database.exec(
          `INSERT INTO main.events (${EVENT_COLUMNS}) SELECT ${EVENT_COLUMNS} FROM spare.events WHERE true ${ON_SAME_RECORD};
          DELETE FROM spare.events`,
        );
      for (const write of writes) this.#apply(write);
      this.#database.exec('COMMIT');
      this.#spare = 0;
    } catch (error) {
      this.#rollBack();
      if (codeOf(error) !== SQLITE.full || this.#prune(this.#nowMs() / 1000) === 0) throw error;
      this.#transaction(writes);
    }
  }

  #rollBack(): void {
    try {
      this.#database.exec('ROLLBACK');
    } catch {
      // SQLite has done it after some errors.
    }
  }

  #apply(write: HistoryWrite, schema: 'main' | 'spare' = 'main'): void {
    switch (write.type) {
      case 'records':
        for (const event of write.events) this.#addEvent(schema, eventMessage(event, write.timeMs), 0);
        return;
      case 'event':
        this.#addEvent(schema, write.event, null);
        return;
      case 'delivered':
        for (const [id, seq] of write.records)
          for (const each of ['main', 'spare'])
            this.#statement(
              `UPDATE ${each}.events SET delivered = 1 WHERE event = ? AND seq = ? AND delivered = 0`,
            ).run(id, seq);
        for (const [key, value] of write.kept)
          if (value === null) this.#statement('DELETE FROM kept WHERE key = ?').run(key);
          else
            this.#statement('INSERT OR REPLACE INTO kept VALUES (?, ?, ?)').run(
              key,
              write.timeMs,
              JSON.stringify(value),
            );
        return;
      case 'picture': {
        const { event, picture } = write;
        const { moment, timeMs } = picture.facts;
        this.#statement('INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)').run(
          ...[event, moment, Math.round(timeMs), JSON.stringify(picture.facts), picture.jpeg],
        );
        return;
      }
      case 'figures':
        if (this.#isBlocked) this.#lost += 1;
        else this.#addFigures(write.batch);
    }
  }

  /** @param delivered - null: another host hands it out, unless this one must do it later. */
  #addEvent(schema: 'main' | 'spare', message: EventMessage, delivered: 0 | null): void {
    const { timeMs, kind, stream = null, host = null, message: text, rule: record } = message;
    const { id = null, seq = null, phase = null, rule = null, label = null, zone = null, line = null } = record ?? {};
    if (id !== null && phase === 'new' && record?.run !== undefined)
      this.#statement(OF_EARLIER_RUN.replace('SCHEMA', schema)).run(id, record.run);
    this.#statement(
      `INSERT INTO ${schema}.events (${EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ${ON_SAME_RECORD}`,
    ).run(
      ...[timeMs, kind, stream, host, text, id, seq, phase, rule, label, zone, line, delivered].map(boundValue),
      JSON.stringify(message),
    );
  }

  #addFigures({ counts, occupancy, seen, seeing, heat, figures, embeddings }: FigureBatch): void {
    for (const row of counts) this.#statement(ADD_ROWS.counts).run(...row);
    for (const row of occupancy) this.#statement(ADD_ROWS.occupancy).run(...row);
    for (const row of seen) this.#statement(ADD_ROWS.seen).run(...row);
    for (const row of seeing) this.#statement(ADD_ROWS.seeing).run(...row);
    for (const [stream, hourS, cells] of heat)
      for (const [cell, ms] of cells.entries()) if (ms > 0) this.#statement(ADD_ROWS.heat).run(stream, hourS, cell, ms);
    for (const { stream, endS, fpsIn, fpsPublished, p50, p95, p99 } of figures)
      this.#statement(ADD_ROWS.figures).run(stream, endS, FIGURE_STEP_S, fpsIn, fpsPublished, p50, p95, p99);
    for (const row of embeddings) addEmbedding((sql) => this.#statement(sql), row);
  }

  /** Keeps events in memory that the disk refuses. */
  #keepSpare(writes: readonly HistoryWrite[], { message }: Error): void {
    const refusal = `the history ${this.#path ?? 'in memory'} cannot be written: ${message}`;
    if (this.#refusal === null) this.#options.onNotice(`${refusal}; events wait in memory, figures are lost`);
    this.#refusal = refusal;
    this.#lost += writes.filter(({ type }) => type === 'figures').length;
    for (const write of writes) if (write.type === 'records' || write.type === 'event') this.#apply(write, 'spare');
    const [{ count } = { count: 0 }] = this.#statement('SELECT count(*) AS count FROM spare.events').all() as {
      count: number;
    }[];
    const excess = Math.max(0, count - MOST_SPARE_EVENTS);
    this.#statement('DELETE FROM spare.events WHERE id IN (SELECT id FROM spare.events ORDER BY id LIMIT ?)').run(
      excess,
    );
    this.#lost += excess;
    this.#spare = count - excess;
  }

  /** Deletes the oldest until enough is free: figures, then crossings of lines, pictures, embeddings, other events; figures of the last day come last. */
  #prune(nowS: number): number {
    const most = Number(scalarOf(this.#database, 'PRAGMA max_page_count'));
    const used = (): number =>
      Number(scalarOf(this.#database, 'PRAGMA page_count')) - Number(scalarOf(this.#database, 'PRAGMA freelist_count'));
    const before = used();
    if (before < PRUNE.fromRatio * most) return 0;
    const isEnough = (): boolean => used() <= PRUNE.toRatio * most;
    const figures = (untilS: number): void =>
      inSteps(this.oldestFigureS(), untilS, (toS) => {
        for (const table of FIGURE_TABLES) this.#deleteFigures(table, toS);
        return isEnough();
      });
    const rows = (table: string, time: string, which = 'true'): void => {
      if (isEnough()) return;
      const [span] = this.#statement(
        `SELECT min(${time}) / 1000 AS fromS, max(${time}) / 1000 + 1 AS toS FROM ${table} WHERE ${which}`,
      ).all() as { fromS: number | null; toS: number }[];
      inSteps(span?.fromS ?? Number.NaN, span?.toS ?? 0, (toS) => {
        this.#statement(`DELETE FROM ${table} WHERE ${which} AND ${time} < ?`).run(toS * 1000);
        return isEnough();
      });
    };
    figures(nowS - DAY_S);
    rows('main.events', 'time_ms', FREQUENT);
    rows('pictures', 'time_ms');
    rows('embeddings', 'last_ms');
    this.#isInLog = true;
    rows('main.events', 'time_ms');
    if (!isEnough()) figures(nowS + MINUTE_S);
    this.#database.exec('PRAGMA incremental_vacuum(1000)');
    return before - used();
  }

  /** When the oldest figures begin, seconds since 1970; NaN if there are none. */
  oldestFigureS(): number {
    const oldest = FIGURE_TABLES.flatMap((table) =>
      this.streamsOf(table).flatMap((stream) =>
        this.all<{ s: number }>(`SELECT min(time_s) AS s FROM ${table} WHERE stream = ?`, stream).map(({ s }) => s),
      ),
    );
    return oldest.length === 0 ? Number.NaN : oldest.reduce((a, b) => Math.min(a, b));
  }

  /** Streams of a table of figures. Looks up each, instead of reading the table. */
  streamsOf(table: (typeof FIGURE_TABLES)[number]): string[] {
    const streams: string[] = [];
    for (let last = ''; ; ) {
      const [next] = this.all<{ stream: string | null }>(
        `SELECT min(stream) AS stream FROM ${table} WHERE stream > ?`,
        last,
      );
      const stream = next?.stream ?? null;
      if (stream === null) return streams;
      streams.push(stream);
      last = stream;
    }
  }

  #deleteFigures(table: (typeof FIGURE_TABLES)[number], beforeS: number): void {
    const statement = this.#statement(`DELETE FROM ${table} WHERE stream = ? AND time_s < ?`);
    for (const stream of this.streamsOf(table)) statement.run(stream, beforeS);
  }

  /** Deletes pictures that are too old, and the oldest of too many. A picture has about as many bytes as the others. */
  #boundPictures(oldestMs: number): void {
    this.#statement('DELETE FROM pictures WHERE time_ms < ?').run(oldestMs);
    const most = Math.floor((PICTURES.ratio * this.#options.maxBytes) / PICTURES.bytes);
    this.#statement(
      'DELETE FROM pictures WHERE rowid IN (SELECT rowid FROM pictures ORDER BY time_ms DESC LIMIT -1 OFFSET CAST(? AS INTEGER))',
    ).run(most);
  }

  /** Replaces figures of ten seconds by those of minutes: means, and the highest p99. @param untilS - the end of a minute. */
  #joinFigures(untilS: number): void {
    for (const stream of this.streamsOf('figures')) {
      const which = `FROM figures WHERE stream = ? AND time_s <= ? AND step_s = ${FIGURE_STEP_S}`;
      this.#statement(
        `INSERT OR REPLACE INTO figures SELECT stream, (time_s + 59) / 60 * 60 AS minute_s, 60, avg(fps_in), avg(fps_published),
          avg(p50_ms), avg(p95_ms), max(p99_ms) ${which} GROUP BY minute_s`,
      ).run(stream, untilS);
      this.#statement(`DELETE ${which}`).run(stream, untilS);
    }
  }

  /** SQLite cannot empty its log while somebody reads an older state of the file. Figures must not fill the disk meanwhile. */
  #watchLog(): void {
    if (this.#path === null) return;
    const log = `${this.#path}-wal`;
    const bytes = (): number => statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes() > MOST_LOG_BYTES) emptyLog(this.#database);
    const isBlocked = bytes() > MOST_LOG_BYTES;
    if (isBlocked && !this.#isBlocked)
      this.#options.onNotice(
        `a program has read the history ${this.#path} for so long that its log has ${Math.round(bytes() / MIB)} MiB; figures are not kept until it ends`,
      );
    this.#isBlocked = isBlocked;
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= MOST_STATEMENTS) this.#statements.clear();
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Writes the log into the file, without a wait: a record must not wait for a reader. @returns false if another program reads. */
function emptyLog(database: DatabaseSync): boolean {
  database.exec('PRAGMA busy_timeout = 0');
  try {
    return scalarOf(database, 'PRAGMA wal_checkpoint(TRUNCATE)') === 0;
  } finally {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
  }
}

/** Lies beside a file that may have embeddings: a damaged one cannot be asked. */
function markOf(path: string): string {
  return `${path}-embeddings`;
}

/** Calls with rising ends of what is oldest, each a twentieth of the way. @param isDone - whether it is enough. */
function inSteps(oldestS: number, untilS: number, isDone: (toS: number) => boolean): void {
  if (Number.isNaN(oldestS)) return;
  const stepS = Math.max(1, (untilS - oldestS) / 20);
  for (let toS = oldestS + stepS; toS < untilS + stepS; toS += stepS) if (isDone(Math.min(toS, untilS))) return;
}

/** Other hosts may send what no type has. */
function boundValue(value: unknown): string | number | null {
  return typeof value === 'string' || typeof value === 'number' ? value : null;
}

function scalarOf(database: DatabaseSync, sql: string): unknown {
  return Object.values(database.prepare(sql).get() ?? {})[0];
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function filesOf(path: string): string {
  return [path, `${path}-wal`].map((each) => statSync(each, { throwIfNoEntry: false })?.ino ?? 'none').join();
}

function stampOf(path: string): string {
  const { size, mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return `${size} ${mtimeMs}`;
}
