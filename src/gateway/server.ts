import type { AddressInfo } from 'node:net';
import fastifyCookie from '@fastify/cookie';
import fastify, { type FastifyInstance } from 'fastify';
import { systemClock } from '../core/clock.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { Incidents } from '../flow/incidents.ts';
import { AccessGuard, isLoopback, portOf, splitTarget } from './auth.ts';
import { addCompression } from './compress-replies.ts';
import { ConnectionCaps, REQUEST_TIMES } from './connection-caps.ts';
import { acceptUpgrades, addFeedRoute } from './feed-route.ts';
import { FeedServer } from './feed-server.ts';
import { type Gateway, type GatewayOptions, silentLogger } from './gateway-options.ts';
import { answerUnreadableUrl, installErrorReplies, installNotFound } from './http-errors.ts';
import { GatewayMetrics } from './metrics.ts';
import { findPackageFiles } from './package-files.ts';
import { addFleetRoutes } from './routes-fleet.ts';
import { addHostRoutes } from './routes-host.ts';
import { addRolloutRoutes } from './routes-rollouts.ts';
import { addStreamRoutes } from './routes-streams.ts';
import type { RuntimePort } from './runtime-port.ts';
import { addSecurityHeaders, addStaticFiles, SIGN_IN_PAGE } from './static-files.ts';

const MAX_BODY_BYTES = 256 * 1024;

/**
 * Starts HTTP, the `/ws` feed, the metrics and the dashboard on one port.
 *
 * The caller keeps ownership of `runtime`.
 *
 * @throws TOKEN_REQUIRED if other machines could reach it and no token is set, PORT_IN_USE, and CONFIG_INVALID for an
 * address or port that it cannot listen on.
 */
export async function startGateway(runtime: RuntimePort, options: GatewayOptions): Promise<Gateway> {
  const host = options.host ?? '127.0.0.1';
  const token = options.token === undefined || options.token === '' ? null : options.token;
  requireTokenBeyondLoopback(host, token);
  const guard = new AccessGuard({ host, token, allowedOrigins: options.allowedOrigins ?? [] });
  const logger = options.logger ?? silentLogger;
  const incidents = options.incidents ?? new Incidents((text) => logger.warn({}, text), options.clock);
  const files = findPackageFiles();

  const feed = new FeedServer(runtime, {
    version: files.version,
    maxPreviewFps: options.maxPreviewFps ?? 5,
    maxBufferedBytes: options.maxBufferedBytes ?? 1024 * 1024,
    heartbeatMs: options.heartbeatMs ?? 15_000,
    clock: incidents.clock('the feed', options.clock ?? systemClock),
    incidents,
    ...(options.rollouts === undefined ? {} : { rollouts: options.rollouts }),
  });
  const app = await buildApp(runtime, options, { guard, feed, files, incidents });
  const close = makeClose(app, feed);

  try {
    await app.listen({ host, port: options.port });
  } catch (thrown) {
    await close();
    throw explainListenError(thrown as NodeJS.ErrnoException, host, options.port);
  }
  const { port } = app.server.address() as AddressInfo;
  const url = `http://${urlHost(host)}:${port}`;
  logger.info({ url, hasToken: token !== null }, 'the gateway is listening');
  return { url, port, close };
}

interface GatewayParts {
  readonly guard: AccessGuard;
  readonly feed: FeedServer;
  readonly files: ReturnType<typeof findPackageFiles>;
  readonly incidents: Incidents;
}

async function buildApp(
  runtime: RuntimePort,
  options: GatewayOptions,
  { guard, feed, files, incidents }: GatewayParts,
): Promise<FastifyInstance> {
  // Fastify's own request log would print URLs, and with them the token.
  const app = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    frameworkErrors: answerUnreadableUrl,
    requestTimeout: REQUEST_TIMES.requestTimeout,
    keepAliveTimeout: REQUEST_TIMES.keepAliveTimeout,
    http: REQUEST_TIMES,
  });
  const total = options.maxConnections ?? 1_000;
  const limits = {
    total,
    perAddress: options.maxConnectionsPerAddress ?? 128,
    unproven: Math.ceil(total / 4),
  };
  const caps = new ConnectionCaps(app.server, limits, incidents);
  const routes: string[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) if (one !== 'HEAD') routes.push(`${one} ${url}`);
  });
  addSecurityHeaders(app);
  addCompression(app);
  acceptJsonOnly(app);
  installErrorReplies(app, options.logger ?? silentLogger, incidents);
  installNotFound(app, routes);
  await app.register(fastifyCookie);
  await acceptUpgrades(app, feed);
  addGuard(app, guard, caps);
  addFeedRoute(app, { feed, maxClients: options.maxClients ?? 200, incidents });
  addStreamRoutes(app, runtime);
  addFleetRoutes(app, options.fleet ?? null);
  addRolloutRoutes(app, options.rollouts ?? null);
  addHostRoutes(app, runtime, {
    version: files.version,
    pipelines: options.pipelines ?? [],
    models: options.models ?? [],
    metrics: new GatewayMetrics(runtime, options.fleet ?? null, () => feed.figures, incidents),
    recentEvents: () => feed.recentEvents,
  });
  await addStaticFiles(app, { ...files, webDir: options.webDir ?? files.webDir });
  return app;
}

function addGuard(app: FastifyInstance, guard: AccessGuard, caps: ConnectionCaps): void {
  app.addHook('onRequest', async (request, reply) => {
    const { path, query } = splitTarget(request.url);
    try {
      const { method, url, headers, cookies } = request;
      guard.check({ method, url, headers, cookies }, request.ws);
      caps.prove(request.raw.socket);
    } catch (thrown) {
      const isPage = path === '/' && !request.ws && (request.headers.accept ?? '').includes('text/html');
      if (!isPage || !(thrown instanceof SightlineError) || thrown.code !== 'UNAUTHORIZED') throw thrown;
      return reply.code(401).type('text/html; charset=utf-8').send(SIGN_IN_PAGE);
    }
    if (path === '/' && query.has('token')) {
      const cookie = guard.cookieFor(portOf(request.headers.host));
      // Hidden from scripts, and never sent by a request from another site.
      if (cookie !== null)
        reply.setCookie(cookie.name, cookie.value, { path: '/', httpOnly: true, sameSite: 'strict' });
    }
  });
}

/** Refuses text bodies: a form on a foreign page can send text, but not JSON. Pause and resume have an empty body. */
function acceptJsonOnly(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain');
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else parse(request, body as string, done);
  });
}

function makeClose(app: FastifyInstance, feed: FeedServer): () => Promise<void> {
  let closing: Promise<void> | null = null;
  return () => {
    closing ??= (async () => {
      // Closes the feed first: the server counts upgraded sockets as connections and would wait for them for ever, and the
      // WebSocket plugin would close them without a code.
      await feed.close();
      await app.close();
    })();
    return closing;
  };
}

function requireTokenBeyondLoopback(host: string, token: string | null): void {
  if (isLoopback(host) || token !== null) return;
  throw new SightlineError(
    'TOKEN_REQUIRED',
    `gateway.host: "${host}" can be reached from other machines, so a token is required and none is set. ` +
      'Set gateway.token, or listen on 127.0.0.1.',
    { host },
  );
}

function explainListenError(thrown: NodeJS.ErrnoException, host: string, port: number): Error {
  const cause = { cause: thrown };
  if (thrown.code === 'EADDRINUSE') {
    const message =
      `gateway.port: expected port ${port} on ${host} to be free, but another program listens on it. ` +
      'Stop that program, or choose another port (0 takes any free one).';
    return new SightlineError('PORT_IN_USE', message, { host, port }, cause);
  }
  if (thrown.code === 'EACCES') {
    const message = `gateway.port: this user is not permitted to listen on port ${port}. Choose a port from 1024 to 65535.`;
    return new SightlineError('CONFIG_INVALID', message, { host, port }, cause);
  }
  if (thrown.code === 'EADDRNOTAVAIL' || thrown.code === 'ENOTFOUND' || thrown.code === 'EAI_AGAIN') {
    const message = `gateway.host: "${host}" is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 with a token.`;
    return new SightlineError('CONFIG_INVALID', message, { host, port }, cause);
  }
  return thrown;
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
