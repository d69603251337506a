import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { Identity } from './access/token-table.ts';
import { cookieOf, hashOfToken } from './access/tokens-file.ts';
import { type AccessGuard, cookieName, requireRole } from './auth.ts';
import { addressOf } from './client-address.ts';
import { countAccessRefusal, statusOf } from './http-errors.ts';
import { basePathOf, signInPage } from './static-files.ts';

/** More than any token has. */
const MAX_FORM_BYTES = 4096;

/** Adds `/sign-in`, which takes the form of the sign-in page, and `/sign-out`. */
export async function addSignInRoutes(app: FastifyInstance, guard: AccessGuard, incidents: Incidents): Promise<void> {
  // Only these routes take forms: elsewhere, a form on a foreign page must not be readable.
  await app.register(async (scope) => {
    scope.addContentTypeParser<string>(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: MAX_FORM_BYTES },
      (_request, body, done) => done(null, new URLSearchParams(body)),
    );
    scope.post('/sign-in', (request, reply) => {
      const token = request.body instanceof URLSearchParams ? (request.body.get('token') ?? '') : '';
      try {
        const identity = guard.signIn(token.trim(), addressOf(request));
        request.identity = identity;
        requireRole(identity, 'viewer');
        setCookie(request, reply, token.trim(), identity);
        return reply.redirect('./', 303);
      } catch (thrown) {
        if (!(thrown instanceof SightlineError)) throw thrown;
        return sendSignInPage(request, reply, thrown, incidents);
      }
    });
    scope.post('/sign-out', (request, reply) => {
      reply.clearCookie(cookieName(request.headers.host), { path: `${basePathOf(request)}/` });
      return reply.code(204).send();
    });
  });
}

/** Answers a request for a page that was refused, and counts the refusal. */
export function sendSignInPage(
  request: FastifyRequest,
  reply: FastifyReply,
  error: SightlineError,
  incidents: Incidents,
): FastifyReply {
  request.failure = error;
  // A page opened without a token is no attempt.
  const isMissing = error.details.isMissing === true;
  if (!isMissing) countAccessRefusal(incidents, error);
  const page = signInPage(isMissing ? undefined : error.code);
  return reply.code(statusOf(error.code)).type('text/html; charset=utf-8').send(page);
}

/** Hides the cookie from scripts; browsers do not send it with requests from other sites, nor without TLS if there is TLS. */
export function setCookie(request: FastifyRequest, reply: FastifyReply, token: string, identity: Identity): void {
  // Another credential of the request may have been accepted, or none was needed.
  if (hashOfToken(token) !== identity.hash) return;
  reply.setCookie(cookieName(request.headers.host), cookieOf(token), {
    path: `${basePathOf(request)}/`,
    httpOnly: true,
    sameSite: 'strict',
    secure: request.protocol === 'https',
    ...(identity.expiresMs === null ? {} : { expires: new Date(identity.expiresMs) }),
  });
}
