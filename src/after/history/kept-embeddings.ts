import type { StatementSync } from 'node:sqlite';
import type { EmbeddingRow } from './history-records.ts';
import { isLarger } from './track-vectors.ts';

/** Of all streams; and their share of the bytes of the file. */
const BOUND = { most: 100_000, ratio: 0.5 } as const;
/** A row without its vector, in both tables and their indices. */
const ROW_BYTES = 1024;
/**
 * Of a row that does not fit into a page of 4,096 bytes, SQLite keeps at least 489 bytes in the page of its table, and 4,092 in each other one
 * (https://sqlite.org/fileformat.html, "Cell Payload Overflow Pages"). Rows move between pages of the table and leave copies behind, which nothing
 * overwrites; the other pages stay as they are until they are freed, and `secure_delete` overwrites these. So 489 zeros come before the vector, and
 * the last page is filled, up to what the header of the row takes, so that no more than 489 bytes stay in the table.
 */
const LAYOUT = { fillerBytes: 489, pageBytes: 4092, lastBytes: 4000 } as const;

/** Returns the prepared statement of a text. */
type Prepare = (sql: string) => StatementSync;

/** Of the pictures of an object, the largest stays. */
export function addEmbedding(prepare: Prepare, row: EmbeddingRow): void {
  const { stream, run, trackId, attribute, label, lastMs, lastUs, box, width, height, model, vector } = row;
  let { firstMs, firstUs } = row;
  const known = prepare(
    'SELECT id, box, model, first_ms AS firstMs, first_us AS firstUs FROM embeddings WHERE stream = ? AND run = ? AND track = ? AND attribute = ?',
  ).get(stream, run, trackId, attribute) as Pick<EmbeddingRow, 'model' | 'firstMs' | 'firstUs'> & {
    readonly id: number;
    readonly box: string;
  };
  if (known !== undefined) {
    ({ firstMs, firstUs } = known);
    if (known.model === model && !isLarger(box, JSON.parse(known.box) as EmbeddingRow['box'])) {
      const seen = 'UPDATE embeddings SET label = ?, last_ms = ?, last_us = ? WHERE id = ?';
      prepare(seen).run(label, Math.round(lastMs), lastUs, known.id);
      return;
    }
  }
  const { lastInsertRowid } = prepare(
    'INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  ).run(
    ...[known?.id ?? null, stream, run, trackId, attribute, label, Math.round(firstMs), Math.round(lastMs)],
    ...[firstUs, lastUs, Math.round(row.bestMs), row.bestUs, JSON.stringify(box), width, height, model],
  );
  prepare(`INSERT INTO vectors VALUES (?, zeroblob(${LAYOUT.fillerBytes}), ?, zeroblob(?))`).run(
    lastInsertRowid,
    new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
    tailBytes(vector.byteLength),
  );
}

/**
 * Deletes embeddings that are too old or too many.
 *
 * @param maxBytes - of the file.
 * @returns whether there were any.
 */
export function boundEmbeddings(prepare: Prepare, oldestMs: number, maxBytes: number): boolean {
  const newest = prepare(
    'SELECT length(vector) AS bytes FROM embeddings JOIN vectors USING (id) ORDER BY last_ms DESC LIMIT 1',
  ).get() as { readonly bytes: number } | undefined;
  if (newest === undefined) return false;
  const pages = Math.ceil((newest.bytes + tailBytes(newest.bytes)) / LAYOUT.pageBytes);
  const rowBytes = pages * 4096 + ROW_BYTES;
  const kept = Math.min(BOUND.most, Math.floor((BOUND.ratio * maxBytes) / rowBytes));
  const { changes: old } = prepare('DELETE FROM embeddings WHERE last_ms < ?').run(oldestMs);
  const { changes: excess } = prepare(
    'DELETE FROM embeddings WHERE id IN (SELECT id FROM embeddings ORDER BY last_ms DESC LIMIT -1 OFFSET CAST(? AS INTEGER))',
  ).run(kept);
  return Number(old) + Number(excess) > 0;
}

/** Zeros after a vector of so many bytes. */
function tailBytes(bytes: number): number {
  const { lastBytes, pageBytes } = LAYOUT;
  return (lastBytes - (bytes % pageBytes) + pageBytes) % pageBytes;
}
