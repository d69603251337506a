import { DatabaseSync } from 'node:sqlite';
import { isDamage } from './sqlite-errors.ts';

/** A writer that is busy with the file. */
const BUSY_MS = 10_000;

/**
 * Reads the whole file of a history, with no page from anybody's memory. Takes seconds for hundreds of MiB. One table after the other: while one
 * is read, SQLite cannot empty its log.
 *
 * @returns what is wrong; null if nothing is, or if the file cannot be read now.
 */
export function findDamage(path: string): string | null {
  try {
    const tables = withFile(path, (database) =>
      database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all(),
    ) as { name: string }[];
    for (const { name } of tables) {
      const found = withFile(path, (database) => database.prepare(`PRAGMA integrity_check("${name}")`).get());
      const [text] = Object.values(found ?? {});
      if (text !== 'ok') return String(text).replaceAll('\n', ' ');
    }
    return null;
  } catch (error) {
    return isDamage(error) ? (error as Error).message : null;
  }
}

function withFile<T>(path: string, ask: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    return ask(database);
  } finally {
    database.close();
  }
}
