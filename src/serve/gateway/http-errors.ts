import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { closest, distance } from 'fastest-levenshtein';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { withoutPath } from '../../after/recording/stored-file.ts';
import { ERROR_CODES, type ErrorCode } from '../../base/errors/error-codes.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents, Refusal } from '../../base/flow/incidents.ts';
import type { GatewayLogger } from './gateway-options.ts';

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  CONFIG_INVALID: 400,
  PROTOCOL_INVALID: 400,
  UNAUTHORIZED: 401,
  ORIGIN_REFUSED: 403,
  FORBIDDEN: 403,
  STREAM_NOT_FOUND: 404,
  HOST_NOT_FOUND: 404,
  JOB_NOT_FOUND: 404,
  ROLLOUT_NOT_FOUND: 404,
  ROUTE_NOT_FOUND: 404,
  RECORDING_NOT_FOUND: 404,
  RECORDING_MIXED: 409,
  STREAM_EXISTS: 409,
  STREAM_STATE: 409,
  JOB_EXISTS: 409,
  ROLLOUT_RUNNING: 409,
  ROLLOUT_PARTIAL: 409,
  ROLLOUT_STATE: 409,
  // 412: the condition of If-Match does not hold.
  STREAM_CHANGED: 412,
  SOURCE_TOO_LARGE: 413,
  RANGE_UNMET: 416,
  TOO_MANY_ATTEMPTS: 429,
  LIMIT_REACHED: 429,
  REQUEST_EXPIRED: 504,
  // 422: the request is well-formed, but what it names cannot be used.
  SOURCE_NOT_FOUND: 422,
  SOURCE_EMPTY: 422,
  SOURCE_FORBIDDEN: 422,
  SOURCE_UNREADABLE: 422,
  SOURCE_NO_VIDEO: 422,
  MODEL_NOT_FOUND: 422,
  MODEL_FORBIDDEN: 422,
  MODEL_INVALID: 422,
  MODEL_UNSUPPORTED: 422,
  MODEL_AMBIGUOUS: 422,
  MODEL_WEIGHTS_MISSING: 422,
  RECORDING_DAMAGED: 422,
  SOURCE_UNREACHABLE: 502,
  SOURCE_UNAUTHORIZED: 502,
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Why the request failed; null if it did not, or has not yet. */
    failure: SightlineError | null;
  }
}

/** Returns the HTTP status of an error code. Codes without an entry are 503 if retryable, else 500. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code] ?? (ERROR_CODES[code].retryable ? 503 : 500);
}

/**
 * Answers every failed request with JSON `{error: {code, message, details}}` and the status of its code.
 *
 * @param bodyOf - another body, for the routes of a protocol of its own.
 */
export function installErrorReplies(
  app: FastifyInstance,
  logger: GatewayLogger,
  incidents: Incidents,
  bodyOf: (error: SightlineError) => object = (error) => ({ error: error.toWire() }),
): void {
  if (!app.hasRequestDecorator('failure')) app.decorateRequest('failure', null);
  app.setErrorHandler((thrown: FastifyError | Error, request, reply) => {
    const { error, status } = classify(thrown, request, logger);
    request.failure = error;
    const reason = refusalOf(error.code, status);
    if (reason !== null) incidents.refuse('rest', reason, () => error.message);
    countAccessRefusal(incidents, error);
    // RFC 9110 requires a challenge with every 401.
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="sightline"');
    if (error.code === 'RANGE_UNMET') reply.header('content-range', `bytes */${error.details.bytes}`);
    if (typeof error.details.waitS === 'number') reply.header('retry-after', error.details.waitS);
    return reply.code(status).send(bodyOf(error));
  });
}

const ACCESS_REFUSALS: Readonly<Partial<Record<ErrorCode, Refusal>>> = {
  UNAUTHORIZED: 'token',
  FORBIDDEN: 'role',
  ORIGIN_REFUSED: 'origin',
  TOO_MANY_ATTEMPTS: 'rate',
};

/** Counts a request that was refused for its token, its role or its origin; ignores all other failures. */
export function countAccessRefusal(incidents: Incidents, { code, message }: SightlineError): void {
  const reason = ACCESS_REFUSALS[code];
  if (reason !== undefined) incidents.refuse('access', reason, () => message);
}

/** Returns why a request body was refused; null for all other failures. */
function refusalOf(code: ErrorCode, status: number): Refusal | null {
  if (code === 'CONFIG_INVALID') return 'schema';
  if (code === 'LIMIT_REACHED') return 'limit';
  if (code !== 'PROTOCOL_INVALID') return null;
  if (status === 413) return 'size';
  return status === 400 || status === 415 ? 'json' : null;
}

/**
 * Answers a request whose URL the router cannot read. No hook runs for it, not even those that close a refused upgrade, so
 * this closes the connection: nothing else would, and the server could not stop.
 */
export function answerUnreadableUrl(thrown: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const { socket } = request.raw;
  reply.raw.on('finish', () => socket.destroy());
  const error = new SightlineError('PROTOCOL_INVALID', `${request.method} URL: ${thrown.message}`);
  reply
    .code(thrown.statusCode ?? 400)
    .header('connection', 'close')
    .send({ error: error.toWire() });
}

/** A client that does not read its answer is not waited for. */
const LAST_WORDS_MS = 1_000;

/** Answers a first request that is no HTTP, or does not come to its end in time. The connection ends, as each that cannot go on. */
export function answerClientError({ code = '', message }: NodeJS.ErrnoException, socket: Socket): void {
  const isOfHttp = code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT';
  // Before the end of a TLS handshake nothing can be sent; behind other bytes it could stand in the middle of a reply.
  if (!isOfHttp || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const status = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }[code] ?? 400;
  const error = new SightlineError('PROTOCOL_INVALID', `expected a request of HTTP/1.1 within its time: ${message}`);
  const body = JSON.stringify({ error: error.toWire() });
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'Content-Type: application/json; charset=utf-8'];
  socket.end([...head, `Content-Length: ${Buffer.byteLength(body)}`, 'Connection: close', '', body].join('\r\n'));
  setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref();
}

/** Answers unknown paths with 404 and suggests the nearest route. @param routes - those that answer, as `METHOD /path`. */
export function installNotFound(app: FastifyInstance, routes: () => readonly string[]): void {
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split('?', 1)[0]!;
    const wanted = `${request.method} ${path}`;
    const nearest = closest(wanted, [...routes()]);
    const hint = distance(wanted, nearest) <= 6 ? ` Did you mean ${nearest}?` : '';
    const message = `${wanted}: no such route.${hint} The API is under /api, the feed at /ws, the dashboard at /.`;
    const error = new SightlineError('ROUTE_NOT_FOUND', message, { method: request.method, path });
    return reply.code(404).send({ error: error.toWire() });
  });
}

function classify(
  thrown: FastifyError | Error,
  request: FastifyRequest,
  logger: GatewayLogger,
): { error: SightlineError; status: number } {
  if (thrown instanceof SightlineError) return { error: withoutPath(thrown), status: statusOf(thrown.code) };
  const status = 'statusCode' in thrown ? thrown.statusCode : undefined;
  if (status !== undefined && status >= 400 && status < 500) {
    const { method, routeOptions, headers } = request;
    const bytes = status === 416 && 'headers' in thrown ? bytesOf(thrown.headers) : null;
    if (bytes !== null) {
      const message = `Range: expected a part of its ${bytes} bytes, received "${headers.range}"`;
      return { error: new SightlineError('RANGE_UNMET', message, { bytes }), status };
    }
    const message =
      status === 413
        ? `${method} body: expected at most ${routeOptions.bodyLimit} bytes, received more`
        : method === 'GET' || method === 'HEAD'
          ? `${method}: ${thrown.message}`
          : `${method} body: expected JSON as application/json. ${thrown.message}`;
    return { error: new SightlineError('PROTOCOL_INVALID', message), status };
  }
  // Logs only the route's pattern: the query may hold the token.
  logger.error(
    { err: thrown, method: request.method, route: request.routeOptions.url },
    'a request failed unexpectedly',
  );
  const message = 'The gateway failed unexpectedly. See its log for the cause.';
  return { error: new SightlineError('INTERNAL_ERROR', message), status: 500 };
}

/** Returns how long a file is, from the header that says so when a part of it cannot be sent. */
function bytesOf(headers: unknown): number | null {
  const range = (headers as Record<string, unknown> | undefined)?.['Content-Range'];
  const bytes = /^bytes \*\/(\d+)$/.exec(String(range))?.[1];
  return bytes === undefined ? null : Number(bytes);
}
