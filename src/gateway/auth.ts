import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { SightlineError } from '../errors/sightline-error.ts';

export interface AccessRules {
  readonly host: string;
  /** null where everybody on this machine may do everything. */
  readonly token: string | null;
  readonly allowedOrigins: readonly string[];
}

/** What the guard looks at; HTTP requests and WebSocket upgrades alike. */
export interface AccessRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** Reachable without a token: the liveness probe, and the style sheet of the page that asks for the token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/base.css']);
/** A browser cannot set headers on these two, so they take the token from the query too. */
const QUERY_TOKEN_PATHS: ReadonlySet<string> = new Set(['/', '/ws']);
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const LOOPBACK_NAME = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|::1)$/;

/** Tells whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_NAME.test(host.toLowerCase());
}

/**
 * Decides who may ask. Three checks: the Host header (a foreign name on a loopback gateway is DNS rebinding), the
 * Origin (a foreign page must neither change anything nor open the feed), and the token.
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

  /** Lets the request pass or throws ORIGIN_REFUSED or UNAUTHORIZED. */
  check(request: AccessRequest, isUpgrade: boolean): void {
    this.#checkHost(request.headers.host);
    if (isUpgrade || !SAFE_METHODS.has(request.method)) {
      this.#checkOrigin(request.headers.origin, request.headers.host);
    }
    this.#checkToken(request);
  }

  /**
   * The cookie that a page opened with `?token=` gets, so that a reload and the page's own requests need no token in
   * the URL; null where there is no token. It holds a derivative, is invisible to scripts and never sent cross-site.
   */
  cookieFor(port: number): string | null {
    if (this.#rules.token === null) return null;
    return `${cookieName(port)}=${deriveCookie(this.#rules.token)}; Path=/; HttpOnly; SameSite=Strict`;
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
    // No Origin means no browser: curl, services, tests.
    if (origin === undefined) return;
    if (this.#allowedOrigins.has(origin)) return;
    // The scheme may differ behind a proxy that ends TLS; the name and the port may not.
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
    const cookie = readCookie(request.headers.cookie, cookieName(portOf(request.headers.host)));
    if (cookie !== null && equalsInConstantTime(cookie, deriveCookie(token))) return;

    const came = bearer !== undefined || inQuery !== null || cookie !== null ? 'a wrong one' : 'none';
    throw new SightlineError(
      'UNAUTHORIZED',
      `Token: expected "Authorization: Bearer TOKEN" (or ?token=TOKEN for the page and /ws), received ${came}.`,
    );
  }
}

/**
 * Splits a request target as the router does. `new URL` would tidy up dots and back-slashes first, so that the guard and
 * the router could disagree on what is asked for.
 */
export function splitTarget(target: string): { readonly path: string; readonly query: URLSearchParams } {
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, mark), query: new URLSearchParams(target.slice(mark + 1)) };
}

/** The port that a Host header names. */
export function portOf(hostHeader: string | undefined): number {
  const port = /:(\d+)$/.exec(hostHeader ?? '')?.[1];
  return port === undefined ? 80 : Number(port);
}

/** Hashing first gives both sides one length, which `timingSafeEqual` needs, and hides the real one. */
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

function readCookie(header: string | undefined, name: string): string | null {
  for (const part of (header ?? '').split(';')) {
    const [key, value] = part.split('=', 2);
    if (key?.trim() === name) return value?.trim() ?? null;
  }
  return null;
}
