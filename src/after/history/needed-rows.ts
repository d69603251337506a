import type { DatabaseSync } from 'node:sqlite';
import { EVENT_COLUMNS } from './history-schema.ts';

/** Other writes wait meanwhile. */
const MOST_MS = 5000;

type Row = Record<string, string | number | null>;

/** What a start needs of a history whose file is given up. */
export interface NeededRows {
  /** Records that the sinks did not get, the last ones of events without an end, and events that were in memory only; columns as in `EVENT_COLUMNS`. */
  readonly events: readonly Row[];
  readonly kept: readonly Row[];
}

/**
 * Reads what is still readable of a damaged, removed or replaced file. Uses no index, and reads each table from both ends up to the first
 * damaged page.
 */
export function readNeeded(database: DatabaseSync): NeededRows {
  const untilMs = performance.now() + MOST_MS;
  const ended = new Set<unknown>();
  const newest = new Map<unknown, Row>();
  const needed: Row[] = [];
  const records = 'SELECT id, event, seq, phase, delivered FROM main.events NOT INDEXED WHERE event IS NOT NULL';
  for (const row of readable(database, records, 'id', untilMs)) {
    if (row.phase === 'end') ended.add(row.event);
    else if (row.delivered === 1 && Number(row.seq) >= Number(newest.get(row.event)?.seq ?? 0))
      newest.set(row.event, row);
    if (row.delivered === 0) needed.push(row);
  }
  for (const [event, row] of newest) if (!ended.has(event)) needed.push(row);
  const one = `SELECT ${EVENT_COLUMNS} FROM main.events NOT INDEXED WHERE id = ?`;
  const events = needed
    .sort((a, b) => Number(a.id) - Number(b.id))
    .flatMap(({ id }) => attempt(() => database.prepare(one).all(id as number) as Row[]));
  const spare = `SELECT ${EVENT_COLUMNS} FROM spare.events ORDER BY id`;
  return {
    events: [...events, ...attempt(() => database.prepare(spare).all() as Row[])],
    kept: readable(database, 'SELECT key, time_ms, json FROM kept WHERE true', 'key', untilMs),
  };
}

/** Returns the rows before the first damaged page, and those after the last one. */
function readable(database: DatabaseSync, sql: string, key: string, untilMs: number): Row[] {
  const rows: Row[] = [];
  const read = (more: string, ...values: string[] | number[]): boolean => {
    try {
      for (const row of database.prepare(`${sql} ${more}`).iterate(...values)) {
        rows.push(row as Row);
        if (performance.now() > untilMs) break;
      }
      return true;
    } catch {
      return false;
    }
  };
  if (read(`ORDER BY ${key} DESC`)) return rows;
  const oldest = rows.at(-1)?.[key];
  if (oldest === undefined) read(`ORDER BY ${key}`);
  else read(`AND ${key} < ? ORDER BY ${key}`, oldest as never);
  return rows;
}

function attempt<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch {
    return [];
  }
}
