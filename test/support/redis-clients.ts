import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { Incidents } from '../../src/base/flow/incidents.ts';
import { Notices } from '../../src/fleet/control/notices.ts';
import { RedisConnection } from '../../src/fleet/control/redis/connect.ts';
import { RedisBus } from '../../src/fleet/control/redis/redis-bus.ts';
import { RedisStore } from '../../src/fleet/control/redis/redis-store.ts';
import { StoredState } from '../../src/fleet/control/state/stored-state.ts';
import { ManualClock } from './manual-clock.ts';
import { RedisServer, type RedisServerOptions } from './redis-server.ts';
import { within } from './wait-for.ts';

export const PREFIX = '{faults}';
/** Long enough that a working Redis on two busy cores does not time out. */
const COMMAND_TIMEOUT_MS = 1000;

/** The parts of the control plane in one process of a fleet. */
export interface RedisClient {
  readonly state: StoredState;
  readonly bus: RedisBus;
  readonly connection: RedisConnection;
  readonly busConnection: RedisConnection;
  readonly notices: string[];
}

/** Servers and clients of one test, closed together. */
export class RedisWorkbench {
  readonly #opened: { close(): unknown }[] = [];

  async server(options: RedisServerOptions = {}): Promise<RedisServer> {
    return this.#keep(await RedisServer.open(options));
  }

  async connection(
    url: string,
    caFile: string | null = null,
    onNotice: (text: string) => void = () => {},
  ): Promise<RedisConnection> {
    return this.#keep(await RedisConnection.open({ url, caFile, commandTimeoutMs: COMMAND_TIMEOUT_MS, onNotice }));
  }

  async client(server: RedisServer, leaseMs = 60_000): Promise<RedisClient> {
    // The clock stands still: only the first of all notices is reported.
    const told: string[] = [];
    const notices = new Notices((text) => told.push(text), new ManualClock());
    const connection = await this.connection(server.url, null, (text) => told.push(text));
    const busConnection = this.#keep(await connection.duplicate());
    const bus = this.#keep(
      new RedisBus({ connection: busConnection, prefix: PREFIX, pingMs: 100, notices, maxInFlightBytes: 10_000 }),
    );
    const incidents = new Incidents((text) => notices.add(text));
    const state = new StoredState({ store: new RedisStore(connection, PREFIX), leaseMs, incidents });
    return { state, bus, connection, busConnection, notices: told };
  }

  async close(): Promise<void> {
    for (const one of this.#opened.splice(0).reverse()) await one.close();
  }

  #keep<T extends { close(): unknown }>(one: T): T {
    this.#opened.push(one);
    return one;
  }
}

/** Returns the error with which a call must fail, in time. */
export function failure(promise: Promise<unknown>): Promise<SightlineError> {
  const failed = promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => {
      if (error instanceof SightlineError) return error;
      throw error;
    },
  );
  return within('a call that Redis does not answer', 10_000, failed);
}
