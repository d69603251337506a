import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/**
 * Returns the address of a client as one canonical text. Some proxies append the port to `X-Forwarded-For`, and a proxy may send anything:
 * what is no address counts as the proxy's own, so that a client cannot choose a new name for every request.
 *
 * @param stated - from the header of a trusted proxy, or the peer's address.
 * @param peer - the other end of the connection.
 */
export function clientAddress(stated: string, peer: string | undefined): string {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(stated)?.[1] ?? /^([\d.]+):\d+$/.exec(stated)?.[1] ?? stated;
  return isIP(bare.replace(/%.*$/, '')) === 0 ? (peer ?? '') : bare;
}

/** Returns the address of the client that sent a request; see `clientAddress`. */
export function addressOf({ ip, socket }: FastifyRequest): string {
  return clientAddress(ip, socket.remoteAddress);
}
