import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { SightlineError } from '../errors/sightline-error.ts';

export interface AccessRules {
  readonly host: string;
  /** null: no token is needed, so any process on this machine has full access. */
  readonly token: string | null;
  readonly allowedOrigins: readonly string[];
}

/** The parts of an HTTP request or WebSocket upgrade that the guard checks. */
export interface AccessRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Parsed from the Cookie header. */
  readonly cookies: Readonly<Record<string, string | undefined>>;
}

/** Reachable without a token: the liveness probe, and the style sheet of the sign-in page. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/base.css']);
/** A browser cannot set headers for these two, so they also accept the token in the query. */
const QUERY_TOKEN_PATHS: ReadonlySet<string> = new Set(['/', '/ws']);
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const LOOPBACK_NAME = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|::1)$/;

/** Returns whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_NAME.test(host.toLowerCase());
}

/**
 * Decides which requests are allowed. It checks the Host header (a foreign name on a loopback gateway is DNS rebinding), the
 * Origin (a foreign page must not change anything or open the feed), and the token.
 */
export class AccessGuard {
  readonly #rules: AccessRules;
  readonly #allowedOrigins: ReadonlySet<string>;
  readonly #allowedHosts: ReadonlySet<string>;

  constructor(rules: AccessRules) {
    this.#rules = rules;
    this.#allowedOrigins = new Set(rules.allowedOrigins.map((origin) => new URL(origin).origin));
    this.#allowedHosts = new Set(rules.allowedOrigins.map((origin) => new URL(origin).hostname));
  }

  /** @throws ORIGIN_REFUSED, UNAUTHORIZED if the request is not allowed. */
  check(request: AccessRequest, isUpgrade: boolean): void {
    this.#checkHost(request.headers.host);
    if (isUpgrade || !SAFE_METHODS.has(request.method)) {
      this.#checkOrigin(request.headers.origin, request.headers.host);
    }
    this.#checkToken(request);
  }

  /**
   * Returns the cookie for a page that was opened with `?token=`, so that a reload and the page's own requests need no token
   * in the URL; null if no token is set. It holds an HMAC, not the token.
   */
  cookieFor(port: number): { readonly name: string; readonly value: string } | null {
    if (this.#rules.token === null) return null;
    return { name: cookieName(port), value: deriveCookie(this.#rules.token) };
  }

  #checkHost(hostHeader: string | undefined): void {
    if (!isLoopback(this.#rules.host)) return;
    const name = hostHeader === undefined ? '' : hostNameOf(hostHeader);
    if (isLoopback(name) || this.#allowedHosts.has(name)) return;
    throw new SightlineError(
      'ORIGIN_REFUSED',
      `Host header: expected this machine (localhost or 127.0.0.1), received "${name}". ` +
        'Open the dashboard by http://localhost, or list the public origin in gateway.allowedOrigins.',
      { host: name },
    );
  }

  #checkOrigin(origin: string | undefined, hostHeader: string | undefined): void {
    // Only browsers send an Origin; curl, services and tests do not.
    if (origin === undefined) return;
    if (this.#allowedOrigins.has(origin)) return;
    // Behind a proxy that terminates TLS the scheme differs. Name and port must match.
    if (URL.canParse(origin) && new URL(origin).host === hostHeader?.toLowerCase()) return;
    throw new SightlineError(
      'ORIGIN_REFUSED',
      `Origin header: expected the gateway's own (${hostHeader ?? 'none'}), received "${origin}". ` +
        'List other origins in gateway.allowedOrigins.',
      { origin },
    );
  }

  #checkToken(request: AccessRequest): void {
    const { token } = this.#rules;
    if (token === null) return;
    const { path, query } = splitTarget(request.url);
    if (OPEN_PATHS.has(path)) return;

    const bearer = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (bearer !== undefined && equalsInConstantTime(bearer.trim(), token)) return;
    const inQuery = QUERY_TOKEN_PATHS.has(path) ? query.get('token') : null;
    if (inQuery !== null && equalsInConstantTime(inQuery, token)) return;
    const cookie = request.cookies[cookieName(portOf(request.headers.host))];
    if (cookie !== undefined && equalsInConstantTime(cookie, deriveCookie(token))) return;

    const received = bearer !== undefined || inQuery !== null || cookie !== undefined ? 'a wrong one' : 'none';
    throw new SightlineError(
      'UNAUTHORIZED',
      `Token: expected "Authorization: Bearer TOKEN" (or ?token=TOKEN for the page and /ws), received ${received}.`,
    );
  }
}

/**
 * Splits a request target as the router does. `new URL` would normalise dots and backslashes first, so that the guard and
 * the router could see different paths.
 */
export function splitTarget(target: string): { readonly path: string; readonly query: URLSearchParams } {
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, mark), query: new URLSearchParams(target.slice(mark + 1)) };
}

/** Returns the port in a Host header. */
export function portOf(hostHeader: string | undefined): number {
  const port = /:(\d+)$/.exec(hostHeader ?? '')?.[1];
  return port === undefined ? 80 : Number(port);
}

/** Hashes first: `timingSafeEqual` needs equal lengths, and the hash hides the token's length. */
function equalsInConstantTime(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

function deriveCookie(token: string): string {
  return createHmac('sha256', token).update('sightline dashboard cookie').digest('base64url');
}

/** Cookies are shared between the ports of a host, so two gateways on one machine need two names. */
function cookieName(port: number): string {
  return `sightline_${port}`;
}

function hostNameOf(hostHeader: string): string {
  return hostHeader
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
}
