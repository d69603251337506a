import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';

/** An event of a rule as it happened: its newest record, and when the host raised it, milliseconds since 1970. */
interface PastEvent {
  readonly record: RuleEvent;
  readonly raisedMs: number;
}

/** What the history of a host has of a stream in a time. */
interface Past {
  readonly events: readonly PastEvent[];
  /** Frames with a result, by the minute in which they came: seconds since 1970. */
  readonly frames: ReadonlyMap<number, number>;
}

/**
 * Reads the events of the rules of a stream that were raised in a time from the history of a host, which may be running.
 *
 * @returns null if the history has nothing of the stream in this time.
 * @throws HISTORY_UNAVAILABLE
 */
export function pastEvents(path: string, stream: string, fromMs: number, toMs: number): Past | null {
  if (!existsSync(path)) return null;
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      const seen = database
        .prepare('SELECT time_s, frames FROM seen WHERE stream = ? AND time_s >= ? AND time_s < ? AND frames > 0')
        .all(stream, Math.floor(fromMs / 60_000) * 60, toMs / 1000) as { time_s: number; frames: number }[];
      if (seen.length === 0) return null;
      const rows = database
        .prepare('SELECT time_ms, json FROM events WHERE event IS NOT NULL AND stream = ? AND time_ms >= ? ORDER BY id')
        .all(stream, fromMs) as { time_ms: number; json: string }[];
      const events = new Map<string, PastEvent>();
      for (const { time_ms: timeMs, json } of rows) {
        const record = (JSON.parse(json) as EventMessage).rule;
        const known = record === undefined ? undefined : events.get(record.id);
        if (record === undefined || (known === undefined && (record.phase !== 'new' || timeMs >= toMs))) continue;
        events.set(record.id, { record, raisedMs: known?.raisedMs ?? timeMs });
      }
      return { events: [...events.values()], frames: new Map(seen.map((row) => [row.time_s, row.frames])) };
    } finally {
      database.close();
    }
  } catch (error) {
    throw new SightlineError('HISTORY_UNAVAILABLE', `${path}: cannot be read: ${(error as Error).message}`, { path });
  }
}
