import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { StreamsReply } from '../../../wire/protocol/rest.ts';
import { accessOf, ROUTE_ACCESS } from './route-access.ts';
import type { Identity } from './token-table.ts';

/** Ids of the streams that somebody may see; undefined: all. */
export type StreamScope = ReadonlySet<string> | undefined;

/**
 * Routes for those who may see some streams only: they show nothing of the others. Every other one is refused, so a new route
 * that is not made for them cannot leak.
 */
const SCOPED_ROUTES: ReadonlySet<string> = new Set([
  'GET /metrics',
  'GET /readyz',
  'GET /ws',
  'OPTIONS /ws',
  'POST /sign-out',
  'GET /api/streams',
  'GET /api/streams/:id',
  'PATCH /api/streams/:id',
  'PUT /api/streams/:id',
  'DELETE /api/streams/:id',
  'POST /api/streams/:id/rules/try',
  'POST /api/streams/:id/pause',
  'POST /api/streams/:id/resume',
  'GET /api/streams/:id/history',
  'GET /api/streams/:id/snapshot.jpg',
  'GET /api/streams/:id/mjpeg',
  'GET /api/streams/:id/live.mp4',
  'GET /api/streams/:id/live.m3u8',
  'GET /api/streams/:id/live/:name',
  'GET /api/pipelines',
  'GET /api/models',
  'GET /api/events',
  'GET /api/counts',
  'GET /api/occupancy',
  'GET /api/seen',
  'GET /api/heat',
  'GET /api/similar',
  'GET /api/recordings',
  'GET /api/recordings/playlist.m3u8',
  'GET /api/recordings/export.mp4',
  'GET /api/recordings/files/:name',
  'GET /api/events/:id/clip.mp4',
  'GET /api/events/:id/clip.json',
  'GET /api/events/:id/snapshot.jpg',
  'GET /api/events/:id/alerts',
  'GET /api/events/:id/picture.jpg',
  'GET /api/openapi.json',
  'POST /api/detect',
]);
/** Knows no stream at all. */
const KSERVE = /^(?:GET|POST) \/v2(?:\/|$)/;

/** What a request asks for. */
export interface ScopedRequest {
  readonly method: string;
  /** As registered, such as `/api/streams/:id`. */
  readonly pattern: string;
  readonly params: unknown;
  readonly query: unknown;
}

/**
 * Refuses what would show a stream that somebody may not see. One that does not exist is refused in the same words.
 *
 * @throws FORBIDDEN, STREAM_NOT_FOUND
 */
export function requireScope({ name, streams }: Identity, { method, pattern, params, query }: ScopedRequest): void {
  if (streams === undefined) return;
  const route = `${method === 'HEAD' ? 'GET' : method} ${pattern}`;
  const isFile = !Object.hasOwn(ROUTE_ACCESS, route) && accessOf(method, pattern) !== null;
  if (!SCOPED_ROUTES.has(route) && !KSERVE.test(route) && !isFile)
    throw new SightlineError('FORBIDDEN', `User "${name}" may see some streams only, and this is about all of them.`);
  const { id } = params as { id?: string };
  const { stream } = query as { stream?: string | string[] };
  const asked = [pattern.startsWith('/api/streams/:id') ? id : undefined, stream].flat();
  if (asked.every((one) => one === undefined || streams.has(one))) return;
  throw new SightlineError(
    'STREAM_NOT_FOUND',
    `Stream: not found, or not for user "${name}", who may see: ${[...streams].join(', ')}.`,
  );
}

/** Returns what a client may see of a report. @param identity - null: nobody has to sign in. */
export function seenBy(identity: Identity | null, report: StreamsReply): StreamsReply {
  return identity?.streams === undefined ? report : scopedReport(report, identity.streams);
}

/** @param streams - those that the client may see. */
export function unknownStream(id: string, streams: readonly { readonly id: string }[]): SightlineError {
  const known = streams.map((stream) => stream.id).join(', ') || 'none';
  return new SightlineError('STREAM_NOT_FOUND', `Stream "${id}": not found. Streams here: ${known}.`, { stream: id });
}

/** Returns a report without what is about the host, the fleet or a roll-out as a whole, and so may name any stream. */
export function withoutWhole({ timeMs, streams, host }: StreamsReply): StreamsReply {
  const { overload: _overload, lowered: _lowered, sinks: _sinks, alerts: _alerts, ...rest } = host;
  return { timeMs, streams, host: rest };
}

/** Returns a report for those who may see some streams only. */
export function scopedReport(report: StreamsReply, scope: ReadonlySet<string>): StreamsReply {
  const { streams, ...rest } = withoutWhole(report);
  return { ...rest, streams: streams.filter(({ id }) => scope.has(id)) };
}
