import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { check } from '../config/check.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { EVENT_KINDS, type EventKind, type EventMessage } from '../protocol/feed.ts';
import type { HistoryReply } from '../protocol/rest.ts';
import type { EventStore } from './event-store.ts';
import { HISTORY_S, type StreamHistory } from './stream-history.ts';

const kind = z.enum(EVENT_KINDS);
/** Numbers arrive as text. */
const count = (most: number): z.ZodType<number> => z.coerce.number().int().min(1).max(most);

const eventsQuery = z.strictObject({
  stream: z.string().min(1).max(64).optional(),
  /** One kind or several, separated by commas. */
  type: z.string().min(1).max(1000).optional(),
  q: z.string().min(1).max(200).optional(),
  /** Date and time, or milliseconds since 1970. */
  since: z.string().min(1).max(40).optional(),
  limit: count(1000).default(200),
});

const historyQuery = z.strictObject({ seconds: count(HISTORY_S).default(HISTORY_S) });

/** Adds the routes of the past: events, and the figures of a stream over the last hour. */
export function addHistoryRoutes(app: FastifyInstance, events: EventStore, history: StreamHistory): void {
  app.get('/api/events', async ({ query }): Promise<{ events: EventMessage[] }> => {
    const { stream, type, q, since, limit } = check(eventsQuery, query, 'query');
    const found = await events.find({ stream, kinds: kindsOf(type), text: q, sinceMs: timeOf(since), limit });
    return { events: found };
  });

  app.get<{ Params: { id: string } }>('/api/streams/:id/history', ({ params, query }): HistoryReply => {
    const { seconds } = check(historyQuery, query, 'query');
    const found = history.of(params.id, seconds);
    if (found !== null) return found;
    throw new SightlineError('STREAM_NOT_FOUND', `Stream "${params.id}": has no history.`, { stream: params.id });
  });
}

function kindsOf(type: string | undefined): readonly EventKind[] | undefined {
  return type === undefined ? undefined : check(z.array(kind).min(1), type.split(','), 'query: type');
}

function timeOf(since: string | undefined): number | undefined {
  if (since === undefined) return undefined;
  const timeMs = /^\d+$/.test(since) ? Number(since) : Date.parse(since);
  if (!Number.isNaN(timeMs)) return timeMs;
  const expected = 'a date and time such as 2026-01-31T08:00:00Z, or milliseconds since 1970';
  throw new SightlineError('CONFIG_INVALID', `query: since: expected ${expected}, received ${JSON.stringify(since)}.`);
}
