import type { Server, Socket } from 'node:net';
import type { Incidents } from '../flow/incidents.ts';

export interface ConnectionLimits {
  /** Most connections at once. */
  readonly total: number;
  /** Most connections at once from one address. */
  readonly perAddress: number;
  /** Most connections at once that have not sent an accepted request yet; a new one takes the place of the oldest. */
  readonly unproven: number;
}

/** Times within which a client must send, in ms; Node's own are minutes. */
export const REQUEST_TIMES = {
  /** From the start of the connection or of a request to the end of its headers. */
  headersTimeout: 10_000,
  /** To the end of the body. */
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  /** How often these are checked. */
  connectionsCheckingInterval: 2_000,
} as const;

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  isProven: boolean;
}

/**
 * Keeps strangers from using up the connections of a server. A client that opens many and sends nothing, or sends slowly, only
 * displaces others that do the same: a connection is proven once the server has accepted a request on it, and only those stay.
 */
export class ConnectionCaps {
  readonly #limits: ConnectionLimits;
  readonly #incidents: Incidents;
  /** By remote address and port: behind TLS a request has another socket object. In order of arrival. */
  readonly #connections = new Map<string, Connection>();
  readonly #countOf = new Map<string, number>();
  #unprovenCount = 0;

  constructor(server: Server, limits: ConnectionLimits, incidents: Incidents) {
    this.#limits = limits;
    this.#incidents = incidents;
    server.on(
      'connection',
      incidents.guard('a connection', (socket: Socket) => this.#add(socket)),
    );
  }

  get count(): number {
    return this.#connections.size;
  }

  /** Marks the connection of an accepted request: it is not displaced by new ones. */
  prove({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const connection = this.#connections.get(`${remoteAddress} ${remotePort}`);
    if (connection === undefined || connection.isProven) return;
    connection.isProven = true;
    this.#unprovenCount -= 1;
  }

  #add(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const key = `${address} ${socket.remotePort}`;
    this.#connections.set(key, { socket, address, isProven: false });
    this.#countOf.set(address, (this.#countOf.get(address) ?? 0) + 1);
    this.#unprovenCount += 1;
    socket.once('close', () => this.#remove(key));
    const { total, perAddress, unproven } = this.#limits;
    if (this.#countOf.get(address)! > perAddress) {
      this.#close(this.#oldestUnproven(address)!, `more than ${perAddress} from ${address}`);
    } else if (this.#unprovenCount > unproven) {
      this.#close(this.#oldestUnproven(null)!, `more than ${unproven} without a request`);
    } else if (this.#connections.size > total) {
      this.#close(this.#oldestUnproven(null)!, `more than ${total} in all`);
    }
  }

  /** There is one, since the newest connection has sent nothing yet. */
  #oldestUnproven(address: string | null): Connection | undefined {
    for (const connection of this.#connections.values())
      if (!connection.isProven && (address === null || connection.address === address)) return connection;
    return undefined;
  }

  #close({ socket }: Connection, why: string): void {
    this.#incidents.refuse('connection', 'limit', () => `a connection was closed: ${why}`);
    socket.destroy();
  }

  #remove(key: string): void {
    const connection = this.#connections.get(key);
    if (connection === undefined) return;
    this.#connections.delete(key);
    if (!connection.isProven) this.#unprovenCount -= 1;
    const left = this.#countOf.get(connection.address)! - 1;
    if (left === 0) this.#countOf.delete(connection.address);
    else this.#countOf.set(connection.address, left);
  }
}
