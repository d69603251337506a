import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastifyCookie from '@fastify/cookie';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { History } from '../../after/history/history.ts';
import { systemClock } from '../../base/core/clock.ts';
import { MIB } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { Incidents } from '../../base/flow/incidents.ts';
import { nestingFault } from '../../settings/config/nesting-fault.ts';
import type { EventKind } from '../../wire/protocol/feed.ts';
import type { RolloutPort } from '../../wire/protocol/ports/rollout-port.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import type { StreamsReply } from '../../wire/protocol/rest.ts';
import { ProxyUsers } from './access/proxy-users.ts';
import { accessOf } from './access/route-access.ts';
import { requireScope } from './access/stream-scope.ts';
import { AuditTrail } from './audit-trail.ts';
import { type AccessGuard, isLoopback, requireRole, splitTarget } from './auth.ts';
import { addressOf } from './client-address.ts';
import { addCompression } from './compress-replies.ts';
import { ConnectionCaps, REQUEST_TIMES } from './connection-caps.ts';
import { acceptUpgrades, addFeedRoute } from './feed-route.ts';
import { FeedServer } from './feed-server.ts';
import { type AccessListener, GatewayAccess } from './gateway-access.ts';
import { type Gateway, type GatewayOptions, silentLogger } from './gateway-options.ts';
import { answerClientError, answerUnreadableUrl, installErrorReplies, installNotFound } from './http-errors.ts';
import { GatewayMetrics } from './metrics.ts';
import { findPackageFiles } from './package-files.ts';
import { RequestIntake } from './requests/request-intake.ts';
import { addOpenApi } from './route-schema.ts';
import { addDetectRoute } from './routes-detect.ts';
import { addDiscoverRoute } from './routes-discover.ts';
import { addFleetRoutes } from './routes-fleet.ts';
import { addHistoryRoutes } from './routes-history.ts';
import { addHostRoutes } from './routes-host.ts';
import { addKserveRoutes } from './routes-kserve.ts';
import { addLiveRoutes } from './routes-live.ts';
import { addPictureRoutes } from './routes-pictures.ts';
import { addPipelineRoutes } from './routes-pipeline.ts';
import { addRecordingRoutes } from './routes-recordings.ts';
import { addRolloutRoutes } from './routes-rollouts.ts';
import { addSignInRoutes, sendSignInPage, setCookie } from './routes-sign-in.ts';
import { addStreamRoutes } from './routes-streams.ts';
import { addBasePath, addSecurityHeaders, addStaticFiles, withoutBasePath } from './static-files.ts';
import { traceRequests } from './trace-requests.ts';

const MAX_BODY_BYTES = 256 * 1024;
/** Of a gateway that nobody gave a history. */
const IN_MEMORY = { path: null, maxBytes: 16 * MIB, days: 31 } as const;
/** Errors after which a browser gets the sign-in page. */
const SIGN_IN_AFTER: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'FORBIDDEN', 'TOO_MANY_ATTEMPTS']);

/**
 * Starts HTTP or HTTPS, the `/ws` feed, the metrics and the dashboard on one port.
 *
 * The caller keeps ownership of `runtime`.
 *
 * @throws TOKEN_REQUIRED if other machines could reach it and no token is set, PORT_IN_USE, CONFIG_NOT_FOUND for a file that
 * is missing, and CONFIG_INVALID for one that is malformed, and an address or port that it cannot listen on.
 */
export async function startGateway(runtime: RuntimePort, options: GatewayOptions): Promise<Gateway> {
  const host = options.host ?? '127.0.0.1';
  const { token, tokensFile, tls, allowedOrigins = [], clock = systemClock, wallMs = Date.now } = options;
  const { trustedProxies = [] } = options;
  const proxyUsers = options.proxyUsers === undefined ? null : new ProxyUsers(options.proxyUsers, trustedProxies);
  const accessOptions = { host, token, tokensFile, tls, allowedOrigins, proxyUsers, clock, wallMs };
  const access = await GatewayAccess.open(accessOptions);
  const logger = options.logger ?? silentLogger;
  const incidents = options.incidents ?? new Incidents((text) => logger.warn({}, text), options.clock);
  const files = findPackageFiles();
  const trail = new AuditTrail();
  const ownHistory =
    options.history === undefined
      ? await History.open({ ...IN_MEMORY, wallMs, onNotice: (text) => logger.warn({}, text) })
      : null;
  const history = options.history ?? ownHistory!;

  const feed = new FeedServer(runtime, {
    version: files.version,
    maxBufferedBytes: options.maxBufferedBytes ?? 1024 * 1024,
    heartbeatMs: options.heartbeatMs ?? 15_000,
    clock: incidents.clock('the feed', clock),
    incidents,
    history,
    rollouts: rolloutsOf(options),
  });
  // A report of another host may lack what its type demands.
  const remember = incidents.guard('the history', (report: StreamsReply) => history.addReport(report));
  remember(runtime.report());
  const stopHistory = runtime.onReport(remember);
  const parts = { access, feed, files, incidents, trail, history, ownHistory };
  const app = await buildApp(runtime, options, parts);
  const close = makeClose(app, parts, stopHistory);

  try {
    await app.listen({ host, port: options.port });
  } catch (thrown) {
    await close();
    throw explainListenError(thrown as NodeJS.ErrnoException, host, options.port);
  }
  const { port } = app.server.address() as AddressInfo;
  trail.open(options.audit, port, { clock, wallMs, onNotice: (text) => logger.warn({}, text) });
  const onChange = (kind: EventKind & `access-${string}`, message: string): void => {
    if (kind === 'access-failed') logger.warn({ kind }, message);
    else logger.info({ kind }, message);
    feed.announce({ type: 'event', timeMs: wallMs(), kind, message });
    trail.note(kind, message);
  };
  const closeConnections: AccessListener['closeConnections'] = (endOf) =>
    feed.closeEnded(endOf, (identity, reason) => trail.addClosed(reason, identity));
  access.follow(app.server, { onChange, closeConnections }, incidents);
  const announce = (kind: EventKind) => (message: string) =>
    feed.announce({ type: 'event', timeMs: wallMs(), kind, message });
  history.whenFailed(announce('history-failed'));
  history.whenRenewed(announce('history-renewed'));
  const url = `${access.tls === null ? 'http' : 'https'}://${urlHost(host)}:${port}${options.basePath ?? ''}`;
  logger.info({ url, tokens: access.tokens.size }, 'the gateway is listening');
  if (access.tls !== null && access.tls.expiresMs <= wallMs())
    logger.warn({}, `gateway.tls.cert has expired at ${new Date(access.tls.expiresMs).toISOString()}`);
  if (!isLoopback(host) && access.tls === null && trustedProxies.length === 0)
    logger.warn(
      {},
      'tokens are sent unencrypted: set gateway.tls, or put a proxy in front and list it in gateway.trustedProxies',
    );
  return { url, port, close };
}

interface GatewayParts {
  readonly access: GatewayAccess;
  readonly feed: FeedServer;
  readonly files: ReturnType<typeof findPackageFiles>;
  readonly incidents: Incidents;
  readonly trail: AuditTrail;
  readonly history: History;
  /** Closed with the gateway; null if it is somebody else's. */
  readonly ownHistory: History | null;
}

async function buildApp(
  runtime: RuntimePort,
  options: GatewayOptions,
  { access, feed, files, incidents, trail, history }: GatewayParts,
): Promise<FastifyInstance> {
  const { trustedProxies = [], basePath = '', frameAncestors = [], requests, logger = silentLogger } = options;
  // Fastify's own request log would print URLs, and with them the token.
  const settings = {
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    frameworkErrors: answerUnreadableUrl,
    clientErrorHandler: answerClientError,
    rewriteUrl: ({ url = '/' }: IncomingMessage) => withoutBasePath(url, basePath),
    requestTimeout: REQUEST_TIMES.requestTimeout,
    keepAliveTimeout: REQUEST_TIMES.keepAliveTimeout,
    // `request.ip` and `request.protocol` come from headers only if one of these proxies sent them.
    trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
  };
  // Both kinds of server have the same routes; the type of the plain one stands for both.
  const app =
    access.tls === null
      ? fastify({ ...settings, http: REQUEST_TIMES })
      : (fastify({
          ...settings,
          https: { ...REQUEST_TIMES, cert: access.tls.cert, key: access.tls.key },
        }) as unknown as FastifyInstance);
  const total = options.maxConnections ?? 1_000;
  const limits = {
    total,
    perAddress: options.maxConnectionsPerAddress ?? 128,
    unproven: Math.ceil(total / 4),
  };
  const caps = new ConnectionCaps(app.server, limits, incidents);
  const routes: string[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) {
      if (one === 'HEAD') continue;
      routes.push(`${one} ${url}`);
      options.onRoute?.(`${one} ${url}`);
    }
  });
  if (options.tracing !== undefined) traceRequests(app, options.tracing);
  addSecurityHeaders(app, frameAncestors);
  addBasePath(app, basePath);
  addCompression(app);
  acceptJsonOnly(app);
  installErrorReplies(app, logger, incidents);
  // Routes that only say that they are not for this gateway.
  const unanswered = new Set<string>();
  const addUnanswered = (add: () => void): void => {
    const before = routes.length;
    add();
    for (const route of routes.slice(before)) unanswered.add(route);
  };
  if (runtime.resetStreams === undefined) unanswered.add('POST /api/pipeline/reset');
  installNotFound(app, () => routes.filter((route) => !unanswered.has(route)));
  await app.register(fastifyCookie);
  await addOpenApi(app, files.version, basePath);
  await acceptUpgrades(app, feed);
  trail.follow(app);
  addGuard(app, access.guard, caps, incidents);
  app.addHook('preHandler', async ({ url }) => {
    if (/^\/(?:api\/(?!detect)|ws\b)/.test(url)) await runtime.look?.();
  });
  await addSignInRoutes(app, access.guard, incidents);
  const onConnected = (request: FastifyRequest): void => trail.addConnection(request);
  addFeedRoute(app, { feed, maxClients: options.maxClients ?? 200, incidents, onConnected });
  addStreamRoutes(app, runtime);
  addDiscoverRoute(app, options.discovery);
  addPictureRoutes(app, runtime, feed);
  addPipelineRoutes(app, runtime);
  addHistoryRoutes(app, history, options.wallMs ?? Date.now);
  addLiveRoutes(app, runtime, feed, options.recorder ?? null);
  addRecordingRoutes(app, options.recorder ?? null, history, { port: runtime, fleet: options.fleet ?? null });
  if (options.fleet === undefined) addUnanswered(() => addFleetRoutes(app, null));
  else addFleetRoutes(app, options.fleet);
  const addRollouts = (): void => addRolloutRoutes(app, options.rollouts ?? null, options.namedRollouts);
  if (rolloutsOf(options).length === 0) addUnanswered(addRollouts);
  else addRollouts();
  const intake = requests === undefined ? null : new RequestIntake(requests, options.clock ?? systemClock);
  if (requests !== undefined && intake !== null) {
    await addDetectRoute(app, requests, intake);
    await addKserveRoutes(app, {
      port: requests,
      intake,
      version: files.version,
      isReady: () => runtime.readiness().isReady,
      installErrors: (scope) =>
        installErrorReplies(scope, logger, incidents, ({ message, code }) => ({ error: `${message} [${code}]` })),
    });
  }
  addHostRoutes(app, runtime, {
    version: files.version,
    pipelines: options.pipelines ?? [],
    models: options.models ?? (async () => []),
    metrics: new GatewayMetrics({
      port: runtime,
      fleet: options.fleet ?? null,
      feedFigures: () => feed.figures,
      incidents,
      history,
      requests: intake?.ledger,
      recorder: options.recorder,
    }),
    problems: () =>
      [...rolloutsOf(options).map((port) => port.problem()), history.problem, options.recorder?.problem ?? null].filter(
        (problem) => problem !== null,
      ),
  });
  await addStaticFiles(app, { ...files, webDir: options.webDir ?? files.webDir });
  return app;
}

function addGuard(app: FastifyInstance, guard: AccessGuard, caps: ConnectionCaps, incidents: Incidents): void {
  app.decorateRequest('identity', null);
  app.addHook('onRequest', async (request, reply) => {
    const { path, query } = splitTarget(request.url);
    const { method, url, headers, cookies, is404, routeOptions } = request;
    const address = addressOf(request);
    // A route without an entry in the table is for admins.
    const access = is404 ? null : (accessOf(method, routeOptions.url ?? '') ?? 'admin');
    try {
      const proxied = { peer: request.socket.remoteAddress, headers: request.raw.headersDistinct };
      request.identity = guard.check({ method, url, headers, cookies, address, proxied, access }, request.ws);
      // An unknown route is answered with 404 for any token.
      if (request.identity !== null && access !== null && access !== 'open' && access !== 'probe') {
        requireRole(request.identity, access);
        const { params, query: asked } = request;
        requireScope(request.identity, { method, pattern: routeOptions.url ?? '', params, query: asked });
      }
      caps.prove(request.raw.socket, request.identity?.hash ?? null);
    } catch (thrown) {
      caps.prove(request.raw.socket, null);
      const isPage = path === '/' && !request.ws && (headers.accept ?? '').includes('text/html');
      if (!isPage || !(thrown instanceof SightlineError) || !SIGN_IN_AFTER.has(thrown.code)) throw thrown;
      return sendSignInPage(request, reply, thrown, incidents);
    }
    const token = path === '/' ? query.get('token') : null;
    if (token !== null && request.identity !== null) setCookie(request, reply, token, request.identity);
  });
}

/** Refuses bodies that are nested too deeply for those who check and merge them. Refuses text bodies: a form on a foreign page can send text, but not JSON. Pause and resume have an empty body. */
function acceptJsonOnly(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain');
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined);
    return parse(request, body as string, (error, value) => {
      const what = error === null ? nestingFault(value) : null;
      if (what === null) return done(error, value);
      return done(
        new SightlineError('PROTOCOL_INVALID', `${request.method} body: expected settings, received ${what}`),
      );
    });
  });
}

function makeClose(
  app: FastifyInstance,
  { feed, access, trail, ownHistory }: GatewayParts,
  stopHistory: () => void,
): () => Promise<void> {
  let closing: Promise<void> | null = null;
  return () => {
    closing ??= (async () => {
      access.stop();
      stopHistory();
      // Closes the feed first: the server counts upgraded sockets as connections and would wait for them for ever, and the
      // WebSocket plugin would close them without a code.
      await feed.close();
      await app.close();
      await Promise.all([trail.close(), ownHistory?.close()]);
    })();
    return closing;
  };
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

/** Those of the pipeline's own detector first. */
function rolloutsOf({ rollouts, namedRollouts }: GatewayOptions): RolloutPort[] {
  return rollouts === undefined ? [] : [rollouts, ...(namedRollouts?.values() ?? [])];
}
