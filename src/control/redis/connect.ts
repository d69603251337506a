import { Redis, type RedisOptions } from 'ioredis';
import { SightlineError } from '../../errors/sightline-error.ts';
import { retryDelayMs } from '../../sinks/retry-delay.ts';
import { type RedisAddress, redisAddress } from './redis-address.ts';
import { failureText, redisFailure } from './redis-failure.ts';
import { adviceFor, checkSuitability } from './redis-suitability.ts';

const RECONNECT = { firstRetryMs: 50, maxRetryMs: 1000, maxRetryAfterMs: 0 };

export interface RedisConnectOptions {
  readonly url: string;
  /** PEM file for `rediss://`; null for Node's own authorities. */
  readonly caFile: string | null;
  /** No call waits longer for its answer. */
  readonly commandTimeoutMs: number;
  /** Hears what an operator of this Redis had better change, once, at the connection. */
  readonly onNotice?: (text: string) => void;
}

/**
 * How every connection to Redis behaves: it comes back by itself, for ever, and nothing is queued meanwhile or sent twice.
 * A call that was under way when the connection broke is rejected, although Redis may have done it.
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
    // An end that does not answer the farewell is not waited for.
    disconnectTimeout: 500,
    // A connection whose other end is gone without a word would otherwise stay for the quarter of an hour that TCP takes.
    socketTimeout: 2 * commandTimeoutMs,
    retryStrategy: (attempt) => retryDelayMs(attempt, Math.random(), RECONNECT, null),
    // After a fail-over the old master is a replica: the same name may lead to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

/** One connection that reports its failures in our words. */
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
   * Connects, and checks that the server will do.
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

  /** @throws CONTROL_UNREACHABLE, CONTROL_UNSUITABLE where the user may not do this. */
  async call<T>(run: (client: Redis) => Promise<T>): Promise<T> {
    try {
      return await run(this.client);
    } catch (error) {
      throw redisFailure(error, this.address.label, this.#lastError);
    }
  }

  /** Resolves when the socket is closed. May be called twice. */
  async close(): Promise<void> {
    const { client } = this;
    if (client.status === 'end') return;
    // Between two attempts there is no socket to wait for.
    const hasSocket = client.status !== 'reconnecting' && client.status !== 'wait';
    const ended = hasSocket ? new Promise((resolve) => client.once('end', resolve)) : null;
    client.disconnect();
    await ended;
  }
}

async function firstInfo(client: Redis, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([client.connect().then(() => client.info()), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Keys of one fleet, behind a hash tag: a script reaches all of them on a Redis cluster too. @throws CONFIG_INVALID */
export function keyPrefix(prefix: string): string {
  if (/^[\w.:-]{1,128}$/.test(prefix)) return `{${prefix}}`;
  throw new SightlineError(
    'CONFIG_INVALID',
    `Redis prefix: expected letters, digits, dot, dash, colon and underscore, at most 128, received "${prefix}"`,
  );
}
