import { ERROR_CODES } from '../../base/errors/error-codes.ts';
import { SightlineError, type WireError } from '../../base/errors/sightline-error.ts';

/** Options of every request. */
export interface CallOptions {
  /** Aborts the request, which then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** One request to a gateway. */
export interface GatewayRequest extends CallOptions {
  /** HTTP method. */
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
  /** With a leading slash, such as `/api/rollouts`. */
  readonly path: string;
  /** Sent as JSON; absent: no body. */
  readonly body?: unknown;
  /** Sent as `If-Match`: the request is refused if something else holds now. */
  readonly etag?: string | undefined;
  /** HTTP status outside of 200 to 299 that is a reply and no failure. */
  readonly okStatus?: number;
}

/**
 * Sends one request.
 *
 * @returns the parsed reply; null if it is empty.
 * @throws the gateway's own error; GATEWAY_UNREACHABLE if none answers.
 */
export type SendRequest = (request: GatewayRequest) => Promise<unknown>;

export interface FetchOptions {
  /** Of the gateway, with a slash at the end. */
  readonly base: URL;
  readonly token: string | null;
  readonly timeoutMs: number;
  /** Aborted when the client closes: its reason is what requests reject with, those in flight and later ones. */
  readonly closed: AbortSignal;
  readonly fetch: typeof fetch;
}

/** Returns a sender that uses `fetch`. */
export function sendByFetch({ base, token, timeoutMs, closed, fetch }: FetchOptions): SendRequest {
  return async (request) => {
    const { method, path, body, signal, etag } = request;
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new TypeError('signal: expected an AbortSignal');
    signal?.throwIfAborted();
    closed.throwIfAborted();
    const timeout = AbortSignal.timeout(timeoutMs);
    // `any` would keep a trace of each request in a signal that lives as long as the client.
    const closing = new AbortController();
    const onClosed = (): void => closing.abort();
    closed.addEventListener('abort', onClosed, { once: true });
    let status: number;
    let text: string;
    try {
      const response = await fetch(new URL(path.slice(1), base), {
        method,
        headers: {
          accept: 'application/json',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(etag === undefined ? {} : { 'if-match': `"${etag}"` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([closing.signal, timeout, ...(signal === undefined ? [] : [signal])]),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      closed.throwIfAborted();
      // Browsers say no more than "Failed to fetch"; Node.js has the reason in `cause`.
      const { message, cause } = error as Error;
      const reason = cause instanceof Error ? cause.message : message;
      throw unreachable(base.origin, `expected a gateway that answers, received: ${reason}`);
    } finally {
      closed.removeEventListener('abort', onClosed);
    }
    return readReply(status, text, request, base.origin);
  };
}

/**
 * Returns the document of a reply; null if it is empty.
 *
 * @param url - of the gateway, for messages.
 * @throws the gateway's own error; GATEWAY_UNREACHABLE if no gateway of Sightline has answered.
 */
export function readReply(status: number, text: string, { okStatus }: GatewayRequest, url: string): unknown {
  const document = parsed(text);
  if (((status >= 200 && status < 300) || status === okStatus) && document !== undefined) return document;
  const { code, message, details } = (document as { error?: Partial<WireError> } | null | undefined)?.error ?? {};
  if (code === undefined || message === undefined)
    throw unreachable(url, `expected a gateway of Sightline, received HTTP ${status}`, { status });
  // A newer gateway may have codes that this version does not know.
  const known = Object.hasOwn(ERROR_CODES, code) ? code : 'INTERNAL_ERROR';
  throw SightlineError.fromWire({ code: known, message, ...(details === undefined ? {} : { details }) });
}

/** Makes the error of a gateway that does not answer. */
export function unreachable(url: string, why: string, details: { readonly status?: number } = {}): SightlineError {
  return new SightlineError('GATEWAY_UNREACHABLE', `${url}: ${why}`, { url, ...details });
}

/** Returns undefined for text that is not JSON. */
function parsed(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
