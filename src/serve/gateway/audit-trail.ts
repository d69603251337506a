import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type AuditEntry, RequestAudit, type RequestAuditOptions } from './access/request-audit.ts';
import { accessOf } from './access/route-access.ts';
import type { Identity } from './access/token-table.ts';
import { addressOf } from './client-address.ts';
import type { GatewayOptions } from './gateway-options.ts';

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** It needs the rights of a change, and is none. */
const TRIAL = '/api/streams/:id/rules/try';
const MOST_PATH_CHARS = 300;
/** Statuses of requests that were refused for who sent them. */
const REFUSED: ReadonlySet<number> = new Set([401, 403, 429]);

/**
 * Records what a gateway's clients do: everything that changes something, sign-ins, connections to the feed, and refused
 * requests. What is only read is not recorded, and neither is a body: it may hold a camera's password.
 */
export class AuditTrail {
  #audit: RequestAudit | null = null;

  /** Opens the log; before that, and without `audit`, nothing is recorded. */
  open(audit: GatewayOptions['audit'], port: number, options: Omit<RequestAuditOptions, 'path' | 'maxBytes'>): void {
    if (audit === undefined) return;
    this.#audit = new RequestAudit({ ...options, path: audit.pathOf(port), maxBytes: audit.maxBytes });
  }

  /** Records requests when they have been answered. */
  follow(app: FastifyInstance): void {
    app.addHook('onResponse', async (request, reply) => {
      const { method, failure, routeOptions } = request;
      const { statusCode: status } = reply;
      // What was opened without a token is no attempt.
      if (READING.has(method) && (!REFUSED.has(status) || failure?.details.isMissing === true)) return;
      const entry = { ...entryOf(request), status, ...(failure === null ? {} : { error: failure.code }) };
      const access = accessOf(method, routeOptions.url ?? '');
      // A request that fails with 5xx may have changed something.
      const isChange =
        (access === 'operator' || access === 'admin') && routeOptions.url !== TRIAL && (status < 400 || status >= 500);
      if (isChange) this.#audit?.addChange(entry);
      else this.#audit?.addVisit(entry);
    });
  }

  /** Records a client of the feed. */
  addConnection(request: FastifyRequest): void {
    this.#audit?.addVisit({ ...entryOf(request), status: 101 });
  }

  /** Records that the gateway has closed a client of the feed. */
  addClosed(details: string, { name, role }: Identity): void {
    this.#audit?.addVisit({ who: name, role, address: null, action: 'feed closed', details });
  }

  /** Records a change that no request made. */
  note(action: string, details: string): void {
    this.#audit?.addChange({ who: null, role: null, address: null, action, details });
  }

  async close(): Promise<void> {
    await this.#audit?.close();
  }
}

function entryOf(request: FastifyRequest): AuditEntry {
  const { identity, method, url, routeOptions } = request;
  return {
    who: identity?.name ?? null,
    role: identity?.role ?? null,
    address: addressOf(request),
    action: `${method} ${routeOptions.url ?? 'unknown'}`,
    // Without the query, which may hold a token.
    path: url.split('?', 1)[0]!.slice(0, MOST_PATH_CHARS),
  };
}
