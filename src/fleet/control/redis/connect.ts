import { Redis, type RedisOptions } from 'ioredis';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { backOffMs } from '../../../base/flow/back-off.ts';
import { settlesWithin } from '../../../base/flow/settles-within.ts';
import { type RedisAddress, redisAddress } from './redis-address.ts';
import { failureText, redisFailure } from './redis-failure.ts';
import { adviceFor, checkSuitability } from './redis-suitability.ts';

const RECONNECT = { firstMs: 50, maxMs: 1000 };

export interface RedisConnectOptions {
  readonly url: string;
  /** PEM file for `rediss://`; null for Node's own authorities. */
  readonly caFile: string | null;
  /** Longest time that a call waits for its answer. */
  readonly commandTimeoutMs: number;
  /** Receives advice on the configuration of this Redis, once, when connected. */
  readonly onNotice?: (text: string) => void;
}

/**
 * Options of every connection to Redis: it reconnects without limit, and commands are neither queued meanwhile nor sent
 * twice. A call in flight when the connection breaks is rejected, although Redis may have executed it.
 */
export function redisOptions({ options }: RedisAddress, commandTimeoutMs: number): Omit<RedisOptions, 'replyMapping'> {
  return {
    ...options,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    connectTimeout: commandTimeoutMs,
    // A peer that does not answer QUIT delays closing by no more than this.
    disconnectTimeout: 500,
    // TCP takes a quarter of an hour to notice a peer that vanished silently.
    socketTimeout: 2 * commandTimeoutMs,
    retryStrategy: (attempt) => backOffMs(attempt, RECONNECT),
    // After a fail-over the old master is a read-only replica; the same name may now resolve to the new master.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

/** A connection whose calls fail with a SightlineError. */
export class RedisConnection {
  readonly client: Redis;
  readonly address: RedisAddress;
  #lastError: string | null = null;

  private constructor(client: Redis, address: RedisAddress) {
    this.client = client;
    this.address = address;
    client.on('error', (error) => {
      this.#lastError = failureText(error);
    });
    client.on('ready', () => {
      this.#lastError = null;
    });
  }

  /**
   * Connects and checks that the server is suitable.
   *
   * @throws CONFIG_INVALID, CONTROL_UNREACHABLE within `commandTimeoutMs`, CONTROL_UNSUITABLE
   */
  static async open({ url, caFile, commandTimeoutMs, onNotice }: RedisConnectOptions): Promise<RedisConnection> {
    const address = redisAddress(url, caFile);
    const client = new Redis(redisOptions(address, commandTimeoutMs));
    const connection = new RedisConnection(client, address);
    try {
      const info = await connection.call(() => firstInfo(client, commandTimeoutMs));
      checkSuitability(info, address.label);
      const advice = adviceFor(info, address.label);
      if (advice !== null) onNotice?.(advice);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** A second connection to the same server, for the bus. */
  async duplicate(): Promise<RedisConnection> {
    const connection = new RedisConnection(this.client.duplicate(), this.address);
    try {
      await connection.call((client) => client.connect());
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** @throws CONTROL_UNREACHABLE, CONTROL_UNSUITABLE if the user lacks the rights. */
  async call<T>(run: (client: Redis) => Promise<T>): Promise<T> {
    try {
      return await run(this.client);
    } catch (error) {
      throw redisFailure(error, this.address.label, this.#lastError);
    }
  }

  /** Resolves when the socket is closed. Idempotent. */
  async close(): Promise<void> {
    const { client } = this;
    if (client.status === 'end') return;
    // Between two connection attempts there is no socket to wait for.
    const hasSocket = client.status !== 'reconnecting' && client.status !== 'wait';
    const ended = hasSocket ? new Promise((resolve) => client.once('end', resolve)) : null;
    client.disconnect();
    await ended;
  }
}

async function firstInfo(client: Redis, timeoutMs: number): Promise<string> {
  const info = client.connect().then(() => client.info());
  if (await settlesWithin(info, timeoutMs)) return info;
  throw new Error(`no answer within ${timeoutMs} ms`);
}

/** Wraps a fleet's key prefix in a hash tag, so that scripts work on a Redis cluster too. @throws CONFIG_INVALID */
export function keyPrefix(prefix: string): string {
  if (/^[\w.:-]{1,128}$/.test(prefix)) return `{${prefix}}`;
  throw new SightlineError(
    'CONFIG_INVALID',
    `Redis prefix: expected letters, digits, dot, dash, colon and underscore, at most 128, received "${prefix}"`,
  );
}
