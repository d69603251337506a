import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { History } from '../../after/history/history.ts';
import type { EventCursor, EventQuery, SpanQuery } from '../../after/history/history-records.ts';
import { csvField } from '../../after/sinks/csv-sink.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import { BLIND_REASONS } from '../../wire/protocol/blind-reasons.ts';
import { EVENT_KINDS, type EventMessage } from '../../wire/protocol/feed.ts';
import type {
  CountsReply,
  EventsReply,
  HeatReply,
  HistoryReply,
  OccupancyReply,
  SeenReply,
  SimilarReply,
} from '../../wire/protocol/rest.ts';
import {
  countsReply,
  eventsReply,
  heatReply,
  historyReply,
  occupancyReply,
  seenReply,
  similarReply,
} from './history-replies.ts';
import { described } from './route-schema.ts';

const kind = z.enum(EVENT_KINDS);
/** Numbers arrive as text. */
const count = (most: number): z.ZodType<number> => z.coerce.number().int().min(1).max(most);
const text = (most: number): z.ZodOptional<z.ZodString> => z.string().min(1).max(most).optional();
const format = z.enum(['json', 'csv']).optional();
const CSV = ['text/csv'];
const DAY_MS = 86_400_000;
/** Events in one answer, and by default. */
const LIMITS = { json: { most: 1000, usual: 200 }, csv: { most: 50_000, usual: 10_000 } } as const;
/** The history has no step beyond this. */
const MOST_DAYS = 31;
const STEPS_S = { minute: 60, hour: 3600, day: 86_400 } as const;

const eventsQuery = z.strictObject({
  stream: text(64),
  /** One kind or several, separated by commas. */
  type: text(1000),
  q: text(200),
  /** Each a date and time, or milliseconds since 1970. */
  since: text(40),
  from: text(40),
  to: text(40),
  /** One or several, separated by commas. */
  rule: text(1000),
  label: text(200),
  zone: text(200),
  phase: z.enum(['new', 'update', 'end', 'last', 'open']).optional(),
  event: text(200),
  cursor: z
    .string()
    .regex(/^(?:newest|\d{1,16}-\d{1,16})$/, 'expected "newest", or "next" of another answer')
    .optional(),
  format,
  limit: count(LIMITS.csv.most).optional(),
});

const span = {
  stream: text(64),
  from: text(40),
  to: text(40),
  by: z.enum(['minute', 'hour', 'day']).default('hour'),
  /** Minutes by which the day begins earlier than in UTC. */
  utcOffset: z.coerce.number().int().min(-840).max(840).default(0),
  format,
};
const countsQuery = z.strictObject({ ...span, line: text(200), label: text(200) });
const occupancyQuery = z.strictObject({ ...span, zone: text(200) });
const seenQuery = z.strictObject(span);
const heatQuery = z.strictObject({ stream: z.string().min(1).max(64), from: span.from, to: span.to });
const similarQuery = z.strictObject({
  event: text(64),
  stream: text(64),
  track: z.coerce.number().int().min(0).optional(),
  run: text(64),
  attribute: text(64),
  from: text(40),
  to: text(40),
  label: text(200),
  limit: count(100).default(20),
  /** One or several, separated by commas. */
  streams: text(10_000),
  min: z.coerce.number().min(-1).max(1).default(-1),
});
const figuresQuery = z.strictObject({ seconds: count(MOST_DAYS * 86_400).default(3600) });

/** Adds the routes of the past: events, counts, occupancy, heat maps, figures of streams. */
export function addHistoryRoutes(app: FastifyInstance, history: History, wallMs: () => number): void {
  app.get(
    '/api/events',
    described('Events that match a search.', { query: eventsQuery, reply: eventsReply, replyTypes: CSV }),
    async (request, reply): Promise<EventsReply | FastifyReply> => {
      const { type, q, since, cursor, from, to, rule, limit, format, ...same } = check(
        eventsQuery,
        request.query,
        'query',
      );
      const isCsv = wantsCsv(request, format);
      const { most, usual } = LIMITS[isCsv ? 'csv' : 'json'];
      const query: EventQuery = {
        ...same,
        streams: streamsOf(request),
        kinds: type === undefined ? undefined : check(z.array(kind).min(1), type.split(','), 'query: type'),
        text: q,
        rules: rule?.split(','),
        fromMs: timeOf('from', from) ?? timeOf('since', since),
        toMs: timeOf('to', to),
        cursor: cursor === undefined || cursor === 'newest' ? undefined : (cursor.split('-').map(Number) as never),
        limit: check(z.object({ limit: count(most).default(usual) }), { limit }, 'query').limit,
      };
      const optional = ['label', 'zone', 'phase', 'event'] as const;
      const isPaged = [cursor, from, to, rule, ...optional.map((key) => same[key])];
      if (!isCsv && isPaged.every((each) => each === undefined)) return { events: await history.newest(query) };
      const { events, next } = await pagesOf(history, query);
      const nextText = next === null ? null : next.join('-');
      if (!isCsv) return { events: events.reverse(), next: nextText };
      if (nextText !== null) reply.header('sightline-next', nextText);
      return sendCsv(reply, EVENT_COLUMNS, events.map(eventCells));
    },
  );

  app.get(
    '/api/counts',
    described('Objects that crossed lines, or appeared.', {
      query: countsQuery,
      reply: countsReply,
      replyTypes: CSV,
    }),
    async (request, reply): Promise<CountsReply | FastifyReply> => {
      const { format, line, label, ...rest } = check(countsQuery, request.query, 'query');
      const { rows, nextS } = await history.counts({ ...spanOf(rest, wallMs(), request), line, label });
      if (wantsCsv(request, format))
        return sendRows(reply, ['timeMs', 'stream', 'line', 'direction', 'label', 'count'], rows, nextS);
      return { counts: rows, next: nextOf(nextS) };
    },
  );

  app.get(
    '/api/seen',
    described('How long streams were watched, and why they were not.', {
      query: seenQuery,
      reply: seenReply,
      replyTypes: CSV,
    }),
    async (request, reply): Promise<SeenReply | FastifyReply> => {
      const { format, ...rest } = check(seenQuery, request.query, 'query');
      const { rows, nextS } = await history.seen(spanOf(rest, wallMs(), request));
      if (!wantsCsv(request, format)) return { seen: rows, next: nextOf(nextS) };
      const flat = rows.map(({ blindS, ...row }) => ({
        ...row,
        ...Object.fromEntries(BLIND_REASONS.map((reason) => [`${reason}S`, blindS[reason] ?? 0])),
      }));
      const columns = [
        'timeMs',
        'stream',
        'frames',
        'seenS',
        'watchedS',
        ...BLIND_REASONS.map((reason) => `${reason}S`),
      ];
      return sendRows(reply, columns as (keyof (typeof flat)[number])[], flat, nextS);
    },
  );

  app.get(
    '/api/occupancy',
    described('How full zones were.', { query: occupancyQuery, reply: occupancyReply, replyTypes: CSV }),
    async (request, reply): Promise<OccupancyReply | FastifyReply> => {
      const { format, zone, ...rest } = check(occupancyQuery, request.query, 'query');
      const { rows, nextS } = await history.occupancy({ ...spanOf(rest, wallMs(), request), zone });
      if (!wantsCsv(request, format)) return { occupancy: rows, next: nextOf(nextS) };
      const columns = [
        'timeMs',
        'stream',
        'zone',
        'max',
        'mean',
        'objectS',
        'occupiedS',
        'arrivals',
        'dwellS',
        'seenS',
      ] as const;
      return sendRows(reply, columns, rows, nextS);
    },
  );

  app.get(
    '/api/heat',
    described('Where objects stood.', { query: heatQuery, reply: heatReply }),
    async (request): Promise<HeatReply> => {
      const { stream, from, to } = check(heatQuery, request.query, 'query');
      const { fromS, toS } = spanOf({ from, to, by: 'hour', utcOffset: 0 }, wallMs(), request);
      return history.heat({ stream, fromS, toS });
    },
  );

  app.get(
    '/api/similar',
    described('Objects that look like another one.', { query: similarQuery, reply: similarReply }),
    async (request): Promise<SimilarReply> => {
      const { from, to, track, streams, ...same } = check(similarQuery, request.query, 'query');
      const isTrack = same.stream !== undefined && track !== undefined;
      if (same.event === undefined ? !isTrack : (same.stream ?? track ?? same.run) !== undefined)
        throw new SightlineError('CONFIG_INVALID', 'query: expected either event, or stream and track.');
      const span = { fromMs: timeOf('from', from), toMs: timeOf('to', to) };
      const scope = { streams: streams?.split(','), visible: streamsOf(request) };
      return history.similar({ ...same, trackId: track, ...span, ...scope });
    },
  );

  app.get<{ Params: { id: string } }>(
    '/api/streams/:id/history',
    described('Figures of the past.', { query: figuresQuery, reply: historyReply }),
    async ({ params, query }): Promise<HistoryReply> => {
      const { seconds } = check(figuresQuery, query, 'query');
      const found = await history.figures(params.id, seconds);
      if (found !== null) return found;
      throw new SightlineError('STREAM_NOT_FOUND', `Stream "${params.id}": has no history.`, { stream: params.id });
    },
  );
}

/** Reads pages until there are enough events, newest first. */
async function pagesOf(
  history: History,
  query: EventQuery,
): Promise<{ events: EventMessage[]; next: EventCursor | null }> {
  const events: EventMessage[] = [];
  let next: EventCursor | null | undefined = query.cursor;
  while (events.length < query.limit && next !== null) {
    const limit = Math.min(LIMITS.json.most, query.limit - events.length);
    const page = await history.page({ ...query, limit, cursor: next });
    events.push(...page.events);
    next = page.next;
  }
  return { events, next: next ?? null };
}

type Span = Pick<z.infer<typeof countsQuery>, 'from' | 'to' | 'by' | 'utcOffset'> & {
  readonly stream?: string | undefined;
};

/** By default the last day. */
function spanOf({ from, to, by, utcOffset, stream }: Span, nowMs: number, request: FastifyRequest): SpanQuery {
  const toMs = Math.min(timeOf('to', to) ?? nowMs, nowMs);
  const fromMs = timeOf('from', from) ?? toMs - DAY_MS;
  if (fromMs >= toMs) throw new SightlineError('CONFIG_INVALID', 'query: from: expected a time before "to".');
  return {
    fromS: fromMs / 1000,
    toS: toMs / 1000,
    stepS: STEPS_S[by],
    offsetS: utcOffset * 60,
    stream,
    streams: streamsOf(request),
  };
}

/** The only streams that the sender may see; undefined: all. No stream has an empty id. */
function streamsOf({ identity }: FastifyRequest): string[] | undefined {
  return identity?.streams === undefined ? undefined : ['', ...identity.streams];
}

/** Returns the milliseconds since 1970 of a query's time. @throws CONFIG_INVALID */
export function timeOf(key: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const timeMs = /^\d+$/.test(value) ? Number(value) : Date.parse(value);
  if (timeMs <= 8.64e15) return timeMs;
  const expected = 'a date and time such as 2026-01-31T08:00:00Z, or milliseconds since 1970';
  throw new SightlineError('CONFIG_INVALID', `query: ${key}: expected ${expected}, received ${JSON.stringify(value)}.`);
}

/** What `from` of the next request is. */
function nextOf(nextS: number | null): string | null {
  return nextS === null ? null : String(nextS * 1000);
}

function wantsCsv({ headers }: FastifyRequest, format: 'json' | 'csv' | undefined): boolean {
  return format === undefined ? /\btext\/csv\b/.test(headers.accept ?? '') : format === 'csv';
}

const EVENT_COLUMNS =
  'time,kind,stream,host,message,event,seq,phase,rule,label,zone,line,direction,score,count,speed,endReason'.split(',');

function eventCells({ timeMs, kind, stream, host, message, rule }: EventMessage): unknown[] {
  const { id, seq, phase, rule: name, label, zone, line, direction, score, count, speed, endReason } = rule ?? {};
  const known = [id, seq, phase, name, label, zone, line, direction, score, count, speed, endReason];
  return [new Date(timeMs).toISOString(), kind, stream, host, message, ...known];
}

function sendRows<Row extends { readonly timeMs: number }>(
  reply: FastifyReply,
  columns: readonly (keyof Row & string)[],
  rows: readonly Row[],
  nextS: number | null,
): FastifyReply {
  if (nextS !== null) reply.header('sightline-next', nextOf(nextS));
  const cells = rows.map((row) =>
    columns.map((key) => (key === 'timeMs' ? new Date(row.timeMs).toISOString() : row[key])),
  );
  return sendCsv(reply, ['time', ...columns.slice(1)], cells);
}

function sendCsv(reply: FastifyReply, columns: readonly string[], rows: readonly (readonly unknown[])[]): FastifyReply {
  const lines = rows.map((cells) => `${cells.map(cell).join()}\r\n`);
  return reply.type('text/csv; charset=utf-8').send(`${columns.join()}\r\n${lines.join('')}`);
}

/** A spreadsheet takes a text that begins with one of these signs for a formula. */
function cell(value: unknown): string {
  if (typeof value !== 'string') return value === undefined || value === null ? '' : String(value);
  return csvField(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
}
