import type { Server, Socket } from 'node:net';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { addressKey } from './access/attempt-limit.ts';

export interface ConnectionLimits {
  /** Most connections at once. */
  readonly total: number;
  /** Most connections at once from one address. */
  readonly perAddress: number;
  /** Most connections at once without a token; a new one takes the place of the oldest. */
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
  readonly key: string;
  readonly socket: Socket;
  /** What stands for one client, see `addressKey`. */
  readonly address: string;
  /** Hash of the token of its newest request; null if that had none, or there was none yet. */
  owner: string | null;
}

/** Connections of an address. */
interface Place {
  all: number;
  unproven: number;
}

/** Unproven connections that may exceed a limit, so that who has a token can show it while others use up the limit. */
const RESERVED = 4;

/**
 * Keeps strangers from using up the connections of a server: those whose newest request had no valid token only displace each
 * other, first those of the address that has most. Of two tokens the one with fewer connections displaces one of the other.
 */
export class ConnectionCaps {
  readonly #limits: ConnectionLimits;
  readonly #incidents: Incidents;
  /** By remote address and port: behind TLS a request has another socket object. In order of arrival. */
  readonly #connections = new Map<string, Connection>();
  readonly #places = new Map<string, Place>();
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

  /**
   * Takes note of who sent the newest request of a connection: with an owner it is not displaced by strangers.
   *
   * @param owner - hash of the token; null without one.
   * @throws LIMIT_REACHED if all others belong to this token, or to tokens that have no more.
   */
  prove({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>, owner: string | null): void {
    const connection = this.#connections.get(`${remoteAddress} ${remotePort}`);
    if (connection === undefined || connection.owner === owner) return;
    this.#setOwner(connection, owner);
    const over = this.#over(connection.address);
    if (owner === null || over === null) return;
    const rivals = new Map<string | null, Connection[]>();
    for (const other of this.#connections.values())
      if (over.isWithin(other.address)) rivals.set(other.owner, [...(rivals.get(other.owner) ?? []), other]);
    const most = [...rivals.values()].reduce((most, some) => (some.length > most.length ? some : most));
    const displaced = rivals.get(null) ?? (most.length > rivals.get(owner)!.length ? most : null);
    if (displaced === null) {
      this.#setOwner(connection, null);
      const message = `connections of the gateway: ${over.text}; close one that was opened with this token`;
      throw new SightlineError('LIMIT_REACHED', message);
    }
    this.#close(displaced[0]!, over.text);
  }

  #add(socket: Socket): void {
    const address = addressKey(socket.remoteAddress ?? '');
    const key = `${socket.remoteAddress} ${socket.remotePort}`;
    const connection: Connection = { key, socket, address, owner: null };
    this.#connections.set(key, connection);
    const place = this.#places.get(address) ?? { all: 0, unproven: 0 };
    this.#places.set(address, place);
    place.all += 1;
    place.unproven += 1;
    this.#unprovenCount += 1;
    socket.once('close', () => this.#remove(connection));
    const { unproven } = this.#limits;
    const over = this.#over(address);
    if (over?.isAlone === true) {
      if (place.unproven > RESERVED) this.#close(this.#oldestUnproven(address), over.text);
    } else if (this.#unprovenCount > (over === null ? unproven : RESERVED)) {
      this.#close(this.#oldestUnproven(this.#busiest()), over?.text ?? `more than ${unproven} without a token`);
    }
  }

  /** Which limit is exceeded, of this address or of all together. */
  #over(address: string): { text: string; isAlone: boolean; isWithin: (other: string) => boolean } | null {
    const { total, perAddress } = this.#limits;
    if (this.#places.get(address)!.all > perAddress)
      return { text: `more than ${perAddress} from ${address}`, isAlone: true, isWithin: (other) => other === address };
    if (this.#connections.size > total)
      return { text: `more than ${total} in all`, isAlone: false, isWithin: () => true };
    return null;
  }

  /** The address with most connections without a token. */
  #busiest(): string {
    let busiest = ['', 0] as [string, number];
    for (const [address, { unproven }] of this.#places) if (unproven > busiest[1]) busiest = [address, unproven];
    return busiest[0];
  }

  #oldestUnproven(wanted: string): Connection {
    for (const connection of this.#connections.values())
      if (connection.owner === null && connection.address === wanted) return connection;
    throw new Error(`no connection without a token from ${wanted}`);
  }

  #close(connection: Connection, why: string): void {
    this.#incidents.refuse('connection', 'limit', () => `a connection was closed: ${why}`);
    // Others may come before its close is reported.
    this.#remove(connection);
    connection.socket.destroy();
  }

  #setOwner(connection: Connection, owner: string | null): void {
    const change = Number(owner === null) - Number(connection.owner === null);
    this.#places.get(connection.address)!.unproven += change;
    this.#unprovenCount += change;
    connection.owner = owner;
  }

  #remove(connection: Connection): void {
    const { key, address } = connection;
    // The system may have given address and port to a new one.
    if (this.#connections.get(key) !== connection) return;
    this.#setOwner(connection, '');
    this.#connections.delete(key);
    const place = this.#places.get(address)!;
    place.all -= 1;
    if (place.all === 0) this.#places.delete(address);
  }
}
