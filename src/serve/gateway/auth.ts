import type { IncomingHttpHeaders } from 'node:http';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Role } from '../../wire/protocol/feed.ts';
import type { AttemptLimit } from './access/attempt-limit.ts';
import type { ProxiedRequest, ProxyUsers } from './access/proxy-users.ts';
import { includesRole, type RouteAccess } from './access/route-access.ts';
import { ANYONE, type Identity, type TokenTable } from './access/token-table.ts';
import { hashOfCookie, hashOfToken } from './access/tokens-file.ts';

export interface AccessRules {
  readonly host: string;
  /** Without tokens, any process that can reach the gateway has full access. */
  readonly tokens: TokenTable;
  /** Null: no proxy signs users in. */
  readonly proxyUsers: ProxyUsers | null;
  readonly attempts: AttemptLimit;
  readonly allowedOrigins: readonly string[];
}

/** The parts of an HTTP request or WebSocket upgrade that the guard checks. */
export interface AccessRequest {
  readonly proxied: ProxiedRequest;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Parsed from the Cookie header. */
  readonly cookies: Readonly<Record<string, string | undefined>>;
  /** IP address of the client. */
  readonly address: string;
  /** What the matched route needs; null if there is no such route. */
  readonly access: RouteAccess | null;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent the request; null on an open route, without a token on one for probes, or before the guard has seen it. */
    identity: Identity | null;
  }
}

/** A browser cannot set headers for these two, so they also accept the token in the query. */
const QUERY_TOKEN_PATHS: ReadonlySet<string> = new Set(['/', '/ws']);
/** A browser sends the origin of its page with all other methods. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
const LOOPBACK_NAME = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/;

/** Returns whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_NAME.test(host.toLowerCase());
}

/**
 * Decides which requests are allowed. It checks the Host header (a foreign name on a loopback gateway is DNS rebinding), the
 * Origin (a foreign page must not change anything or open the feed), the token, and what its role may do.
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

  /**
   * Returns who sends the request; null on an open route, and without a token on one for probes. The caller then checks the role.
   *
   * @throws ORIGIN_REFUSED, UNAUTHORIZED, TOO_MANY_ATTEMPTS if the request is not allowed.
   */
  check(request: AccessRequest, isUpgrade: boolean): Identity | null {
    this.#checkHost(request.headers.host);
    if (isUpgrade || !SAFE_METHODS.has(request.method)) {
      this.#checkOrigin(request.headers.origin, request.headers.host);
    }
    if (request.access === 'open') return null;
    const user = this.#rules.proxyUsers?.identify(request.proxied) ?? null;
    if (user !== null) return user;
    if (this.#isOpen) return ANYONE;
    const hashes = hashesIn(request);
    if (request.access === 'probe' && hashes.length === 0) return null;
    return this.#identify(hashes, request.address);
  }

  /** Returns whose token this is. @throws UNAUTHORIZED, TOO_MANY_ATTEMPTS */
  signIn(token: string, address: string): Identity {
    return this.#isOpen ? ANYONE : this.#identify([hashOfToken(token)], address);
  }

  get #isOpen(): boolean {
    return !this.#rules.tokens.isRequired && this.#rules.proxyUsers === null;
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
        `List "${origin}" in gateway.allowedOrigins, or let the proxy pass on the Host header.`,
      { origin },
    );
  }

  /** @param hashes - of every token or cookie in the request; one that is accepted will do. */
  #identify(hashes: readonly string[], address: string): Identity {
    const { tokens, attempts } = this.#rules;
    if (hashes.length === 0) throw unauthorized('none', true);
    const found = hashes.flatMap((hash) => tokens.find(hash) ?? []);
    const valid = found.find((identity) => !tokens.isExpired(identity));
    const waitS = attempts.waitS(address);
    if (waitS > 0 && !(valid !== undefined && attempts.isKnown(address, valid.hash)))
      throw new SightlineError(
        'TOO_MANY_ATTEMPTS',
        `Token: too many wrong ones came from ${address}. Try again in ${waitS} s.`,
        { waitS },
      );
    if (valid !== undefined) {
      attempts.countSuccess(address, valid.hash);
      return valid;
    }
    if (found[0] !== undefined) throw unauthorized(`"${found[0].name}", which has expired`);
    attempts.countFailure(address);
    throw unauthorized('a wrong one');
  }
}

/** Returns the hashes of the credentials in a request: header, query of the page and the feed, cookie. */
function hashesIn({ url, headers, cookies }: AccessRequest): string[] {
  const { path, query } = splitTarget(url);
  const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1]?.trim();
  const inQuery = QUERY_TOKEN_PATHS.has(path) ? query.get('token') : null;
  const cookie = cookies[cookieName(headers.host)];
  return [
    ...(bearer === undefined ? [] : [hashOfToken(bearer)]),
    ...(inQuery === null ? [] : [hashOfToken(inQuery)]),
    ...(cookie === undefined ? [] : [hashOfCookie(cookie)]),
  ];
}

/** @throws FORBIDDEN */
export function requireRole({ name, role }: Identity, needed: Role): void {
  if (includesRole(role, needed)) return;
  throw new SightlineError(
    'FORBIDDEN',
    `"${name}": expected the role ${needed}${needed === 'admin' ? '' : ' or a higher one'}, received ${role}.`,
    { role, needed },
  );
}

function unauthorized(received: string, isMissing = false): SightlineError {
  return new SightlineError(
    'UNAUTHORIZED',
    `Token: expected "Authorization: Bearer TOKEN" (or ?token=TOKEN for the page and /ws), received ${received}.`,
    { isMissing },
  );
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

/** Cookies are shared between the ports of a host, so two gateways on one machine need two names. */
export function cookieName(hostHeader: string | undefined): string {
  const port = /:(\d+)$/.exec(hostHeader ?? '')?.[1] ?? '80';
  return `sightline_${Number(port)}`;
}

function hostNameOf(hostHeader: string): string {
  return hostHeader
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
}
