import type { SQLInputValue } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import type { KeptObject, SimilarObject, SimilarReply } from '../../wire/protocol/rest.ts';
import { roundScore } from '../../wire/protocol/result-record.ts';
import type { HistoryDatabase } from './history-database.ts';
import type { SimilarQuery } from './history-records.ts';

/** Vectors that are compared at once, so that records of rules do not wait for a long search. */
const BLOCK = 500;
/** An event may be raised after its object was seen last. */
const LATE_MS = 60_000;
const COLUMNS = `id, stream, run, track AS trackId, label, attribute, model, first_ms AS firstMs, last_ms AS lastMs, first_us AS firstUs,
  last_us AS lastUs, best_ms AS bestMs, best_us AS bestUs, box, width, height`;

type Row = Omit<KeptObject, 'box'> & { readonly id: number; readonly box: string };
interface Found {
  readonly id: number;
  readonly cosine: number;
}

/** Compares the embedding of an object with all others of its model. */
export async function similarObjects(database: HistoryDatabase, query: SimilarQuery): Promise<SimilarReply> {
  const { visible, fromMs = 0, toMs = Number.MAX_SAFE_INTEGER, label, limit, min } = query;
  const of = askedFor(database, query);
  if (of === undefined || visible?.includes(of.stream) === false) return { of: null, objects: [] };
  const { vector, ...asked } = of;
  const wanted = floatsOf(vector);
  const lists = [query.streams, visible].filter((list) => list !== undefined);
  const streams = lists.map((list) => `AND stream IN (${list.map(() => '?').join()})`).join(' ');
  // By their ids, which stay, and not by the index of times, which change. Two objects in one picture are never the same.
  const sql = `SELECT id, vector FROM embeddings CROSS JOIN vectors USING (id) WHERE id > ? AND model = ? AND length(vector) = ? AND +last_ms >= ? AND first_ms < ?
    AND (? IS NULL OR label = ?) ${streams} AND NOT (stream = ? AND run = ? AND first_ms <= ? AND last_ms >= ?) ORDER BY id LIMIT ${BLOCK}`;
  const values: SQLInputValue[] = [
    of.model,
    vector.byteLength,
    fromMs,
    toMs,
    label ?? null,
    label ?? null,
    ...lists.flat(),
  ];
  const same = [of.stream, of.run, of.lastMs, of.firstMs];
  const best: Found[] = [];
  for (let last = 0; ; await nextTurn()) {
    const rows = database.all<{ id: number; vector: Uint8Array }>(sql, last, ...values, ...same);
    for (const { id, vector: other } of rows) {
      const cosine = dot(wanted, floatsOf(other));
      if (cosine < min || (best.length === limit && cosine <= best.at(-1)!.cosine)) continue;
      best.splice(best.findLastIndex((each) => each.cosine >= cosine) + 1, 0, { id, cosine });
      best.length = Math.min(best.length, limit);
    }
    if (rows.length < BLOCK) break;
    last = rows.at(-1)!.id;
  }
  const objects = best.flatMap(({ id, cosine }): SimilarObject[] => {
    const [row] = database.all<Row>(`SELECT ${COLUMNS} FROM embeddings WHERE id = ?`, id);
    if (row === undefined) return [];
    return [{ ...objectOf(row), similarity: roundScore(cosine), event: eventOf(database, row) }];
  });
  return { of: objectOf(asked), objects };
}

function askedFor(database: HistoryDatabase, query: SimilarQuery): (Row & { vector: Uint8Array }) | undefined {
  let { stream, trackId, run } = query;
  if (query.event !== undefined) {
    const [found] = database.all<{ json: string }>(
      'SELECT json FROM known WHERE event = ? AND json_valid(json) ORDER BY seq DESC LIMIT 1',
      query.event,
    );
    const record = found === undefined ? undefined : (JSON.parse(found.json) as EventMessage).rule;
    [stream, trackId, run] = [record?.stream, record?.trackId, record?.run ?? ''];
  }
  const [row] = database.all<Row & { vector: Uint8Array }>(
    `SELECT ${COLUMNS}, vector FROM embeddings JOIN vectors USING (id) WHERE stream = ? AND track = ? AND run = coalesce(?, run)
      AND attribute = coalesce(?, attribute) ORDER BY run DESC, attribute LIMIT 1`,
    ...[stream ?? null, trackId ?? null, run ?? null, query.attribute ?? null],
  );
  return row;
}

/** Returns the id of the first event about an object. */
function eventOf(database: HistoryDatabase, { stream, run, trackId, firstMs, lastMs }: Row): string | null {
  const [found] = database.all<{ event: string }>(
    `SELECT event FROM known WHERE stream = ? AND time_ms BETWEEN ? AND ? AND event IS NOT NULL AND phase = 'new'
      AND CASE WHEN json_valid(json) THEN json_extract(json, '$.rule.trackId') = ? AND coalesce(json_extract(json, '$.rule.run'), '') = ? END
      ORDER BY time_ms LIMIT 1`,
    ...[stream, firstMs - LATE_MS, lastMs + LATE_MS, trackId, run],
  );
  return found?.event ?? null;
}

function objectOf({ id: _id, box, ...same }: Row): KeptObject {
  return { ...same, box: JSON.parse(box) as KeptObject['box'] };
}

/** @param bytes - float32, little-endian as all processors that Node.js runs on. */
function floatsOf({ buffer, byteOffset, byteLength }: Uint8Array): Float32Array {
  const isAligned = byteOffset % Float32Array.BYTES_PER_ELEMENT === 0;
  const at = isAligned ? byteOffset : 0;
  return new Float32Array(isAligned ? buffer : buffer.slice(byteOffset, byteOffset + byteLength), at, byteLength / 4);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
