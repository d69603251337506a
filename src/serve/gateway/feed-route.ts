import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { splitTarget } from './auth.ts';
import type { FeedServer } from './feed-server.ts';

const FEED_PATH = '/ws';
/** Enough for the largest valid message, which names a thousand streams. */
const MAX_CLIENT_MESSAGE_BYTES = 64 * 1024;

export interface FeedRouteOptions {
  readonly feed: FeedServer;
  readonly maxClients: number;
  readonly incidents: Incidents;
  /** Called for each client whose handshake is complete. */
  readonly onConnected: (request: FastifyRequest) => void;
}

/**
 * Makes upgrades pass the hooks of `app`, so that the guard can refuse them with JSON before the handshake. Register this
 * before the guard: it sets `request.ws`.
 */
export async function acceptUpgrades(app: FastifyInstance, feed: FeedServer): Promise<void> {
  await app.register(fastifyWebsocket, {
    options: { perMessageDeflate: false, maxPayload: MAX_CLIENT_MESSAGE_BYTES },
    // The default logs the error and terminates the socket, so that the client would miss the close code of ws.
    errorHandler: (error) => feed.countBrokenFrame(error),
  });
}

/** Adds `/ws`, and refuses every other upgrade and those beyond `maxClients`. */
export function addFeedRoute(app: FastifyInstance, options: FeedRouteOptions): void {
  const { feed, maxClients, incidents, onConnected } = options;
  app.addHook('onRequest', (request, _reply, done) => {
    const { path } = splitTarget(request.url);
    if (!request.ws || path === FEED_PATH) done();
    else done(new SightlineError('ROUTE_NOT_FOUND', `WebSocket ${path}: no such feed. The feed is at ${FEED_PATH}.`));
  });
  // A browser does not learn why its WebSocket was refused: the guard answers this with the reason.
  app.options(FEED_PATH, (_request, reply) => reply.code(204).header('allow', 'GET, OPTIONS').send());
  app.route({
    method: 'GET',
    url: FEED_PATH,
    // No promise between this check and the handshake: clients that arrive together could all pass it.
    preHandler: (request, reply, done) => {
      if (!request.ws || (feed.clientCount < maxClients && !feed.isClosed)) return done();
      const message = feed.isClosed
        ? `WebSocket ${FEED_PATH}: the gateway is shutting down.`
        : `WebSocket ${FEED_PATH}: expected at most ${maxClients} clients at once, and all are connected. Close one.`;
      reply.code(503).send({ error: new SightlineError('PROTOCOL_INVALID', message).toWire() });
    },
    handler: () => {
      throw new SightlineError('ROUTE_NOT_FOUND', `GET ${FEED_PATH}: expected a WebSocket, received a plain request.`);
    },
    wsHandler: (socket, request) => {
      try {
        feed.connect(socket, request.identity!);
        onConnected(request);
      } catch (error) {
        incidents.catch('a WebSocket handshake', error);
        socket.terminate();
      }
    },
  });
}
