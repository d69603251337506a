import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import { whole } from '../../settings/config/number.ts';
import type { RolloutPort } from '../../wire/protocol/ports/rollout-port.ts';
import { type RolloutVerb, rolloutRequest } from '../../wire/protocol/rest.ts';
import { MOST_STEPS, type RolloutReport, type VersionReport } from '../../wire/protocol/rollout-records.ts';
import { addressOf } from './client-address.ts';
import { described } from './route-schema.ts';

/** Which detector it is about. */
const detectorQuery = z.strictObject({
  detector: z
    .string()
    .max(64)
    .default('default')
    .describe('A name of models, or default: the one of the pipeline itself.'),
});

/** Used only where there are no tokens. The audit log and terminals show it, so it has no control characters. */
const by = z.string().regex(/^[\p{L}\p{N} ._@+\\-]{1,128}$/u, 'expected a name of letters, digits, spaces and ._@+\\-');
const actBody = z.strictObject({ by: by.optional() }).nullish();
/** Names the step that the client saw, so that a promotion that comes late is refused. */
const promoteBody = z.strictObject({
  by: by.optional(),
  full: z.boolean().optional(),
  rollout: z.string().max(128),
  step: whole(0, MOST_STEPS),
});

interface IdParams {
  readonly Params: { readonly id: string };
}

/**
 * Adds `/api/rollouts` and `/api/versions`.
 *
 * @param own - null if this host has no roll-outs: then the routes answer with an error that says so.
 * @param named - those of the detectors that streams name.
 */
export function addRolloutRoutes(
  app: FastifyInstance,
  own: RolloutPort | null,
  named: ReadonlyMap<string, RolloutPort> = new Map(),
): void {
  const rolloutsOf = (request: FastifyRequest): RolloutPort => {
    const { detector } = check(detectorQuery, request.query, 'query');
    const port = detector === 'default' ? (own ?? refuse()) : named.get(detector);
    if (port !== undefined) return port;
    const expected = ['default', ...named.keys()].join(', ');
    throw new SightlineError('CONFIG_INVALID', `detector: expected one of ${expected}; received "${detector}"`);
  };
  const act = async (verb: RolloutVerb, request: FastifyRequest): Promise<RolloutReport> => {
    const who = whoOf(request);
    const rollouts = rolloutsOf(request);
    if (verb !== 'promote') {
      check(actBody, request.body, 'body');
      return rollouts.actOnRollout(verb, { who, isFull: false, seen: null });
    }
    const { full: isFull = false, rollout, step } = check(promoteBody, request.body ?? {}, 'body');
    return rollouts.actOnRollout(verb, { who, isFull, seen: { rollout, step } });
  };
  const query = detectorQuery;

  app.get('/api/rollouts', described('The newest roll-out.', { query }), (request) => ({
    rollout: rolloutsOf(request).rollout(),
  }));
  app.post(
    '/api/rollouts',
    described('Starts a roll-out.', { body: rolloutRequest, query, status: 201 }),
    async (request, reply) => {
      const report = await rolloutsOf(request).startRollout(request.body, whoOf(request));
      return reply.code(201).header('location', '/api/rollouts').send(report);
    },
  );
  app.get('/api/rollouts/history', described('Decisions, newest first.', { query }), async (request) => ({
    decisions: await rolloutsOf(request).rolloutHistory(),
  }));
  for (const verb of ['promote', 'hold', 'resume', 'abort', 'undo'] as const)
    app.post(
      `/api/rollouts/${verb}`,
      described(`Makes the roll-out ${verb}.`, { body: verb === 'promote' ? promoteBody : actBody, query }),
      (request) => act(verb, request),
    );

  app.get('/api/versions', described('The versions of the pipeline, oldest first.', { query }), (request) => ({
    versions: rolloutsOf(request).versions(),
  }));
  app.get<IdParams>('/api/versions/:id', described('A version.', { query }), (request) =>
    findVersion(rolloutsOf(request).versions(), request.params.id),
  );
}

/** @param id - label, hash, or at least 8 digits of the hash. */
function findVersion(versions: readonly VersionReport[], id: string): VersionReport {
  const isPrefix = /^[0-9a-f]{8,64}$/.test(id);
  const found = versions.find(({ label, hash }) => label === id || (isPrefix && hash.startsWith(id)));
  if (found !== undefined) return found;
  const known = versions.map(({ label }) => label).join(', ');
  throw new SightlineError('ROLLOUT_NOT_FOUND', `version "${id}": not found. Known are ${known}.`, { id });
}

/**
 * Names who acts: the name of the token. Without tokens a client can only claim a name, which is marked; else its address stands
 * for it.
 */
function whoOf(request: FastifyRequest): string {
  const { body, identity } = request;
  if (identity !== null && identity.name !== null) return identity.name;
  const claimed = typeof body === 'object' && body !== null && 'by' in body ? by.safeParse(body.by) : null;
  return claimed?.success === true ? `${claimed.data} (unverified)` : `a client at ${addressOf(request)}`;
}

function refuse(): never {
  throw new SightlineError(
    'ROUTE_NOT_FOUND',
    'This host has no roll-outs: its log says why, for example that rollout.folder cannot be written.',
  );
}
