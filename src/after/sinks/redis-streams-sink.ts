import type { Redis } from 'ioredis';
import { z } from 'zod';
import { redactWebhook } from '../../base/core/redact.ts';
import { whole } from '../../settings/config/number.ts';
import { mark } from '../../settings/config/schema-text.ts';
import { type BrokerAddress, brokerAddress, brokerProblem, brokerSettings, brokerUrl } from './broker-address.ts';
import { messageSettings, openMessages } from './open-spooled.ts';
import type { ReceiverKind } from './receiver-kind.ts';
import { sinkKind } from './sink-kind.ts';
import { MEGABYTE, sendsNewEventsOnly } from './sink-settings.ts';
import { ConnectedTransport, type Connection, type OutgoingRecord, Refusal } from './transport.ts';

const SCHEMES = { redis: 6379, rediss: 6379 };
/** What XADD answers. */
const ENTRY_ID = /^\d+-\d+$/;
/** Entries of one transaction. */
const MOST_AT_ONCE = 50;
const CONNECT_MS = 5000;
/** Replies that mean that the record or the key is wrong. All others, such as a full or a read-only server, may pass. */
const REFUSED = /^(?:WRONGTYPE|NOPERM|ERR)\b/;

export const redisStreams = sinkKind({
  settings: z.strictObject({
    type: z.literal('redis-streams').describe('Entries of a Redis stream.'),
    url: brokerUrl(SCHEMES, 'redis://10.0.0.5:6379/0').describe(
      'Address of Redis, with the number of the database; rediss:// with TLS.',
    ),
    key: z
      .string()
      .min(1)
      .max(512)
      .default('sightline')
      .describe('Key of the Redis stream.')
      .meta(mark({ secret: false })),
    maxLength: whole(1, 1_000_000_000)
      .default(100_000)
      .describe('About how many entries it keeps; each new one removes the oldest above that.'),
    ...brokerSettings,
    ...messageSettings,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  tellsAlerts: sendsNewEventsOnly,
  problem: (settings) => {
    const { url } = settings;
    if (URL.canParse(url) && !/^\/?\d*$/.test(new URL(url).pathname))
      return 'url: expected the number of a database after /';
    return brokerProblem(settings, SCHEMES);
  },
  open: (settings, context) => {
    const { url, key, maxLength } = settings;
    const address = brokerAddress(context.id, settings, SCHEMES);
    const transport = context.connect(redisReceiver, { ...address, key, maxLength });
    return openMessages(settings, `${url} ${key}`, context, transport);
  },
});

interface StreamPlace {
  readonly key: string;
  readonly maxLength: number;
}

export const redisReceiver: ReceiverKind<BrokerAddress & StreamPlace> = {
  name: 'redis-streams',
  mostReplyBytes: MEGABYTE,
  connect: (plan) =>
    new ConnectedTransport({
      shownUrl: plan.shownUrl,
      mostAtOnce: MOST_AT_ONCE,
      open: (onLost) => RedisStream.open(plan, plan, onLost),
    }),
};

class RedisStream implements Connection {
  readonly #client: Redis;
  readonly #place: StreamPlace;

  private constructor(client: Redis, place: StreamPlace) {
    this.#client = client;
    this.#place = place;
  }

  static async open(address: BrokerAddress, place: StreamPlace, onLost: () => void): Promise<RedisStream> {
    const { host, port, path, user, password, tls } = address;
    const { Redis: Client } = await import('ioredis');
    const client = new Client({
      host,
      port,
      db: Number(path),
      lazyConnect: true,
      connectTimeout: CONNECT_MS,
      // The sink repeats what fails.
      retryStrategy: () => null,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      disconnectTimeout: 500,
      ...(user === undefined ? {} : { username: user }),
      ...(password === undefined ? {} : { password }),
      ...(tls === null ? {} : { tls }),
    });
    let failure: Error | null = null;
    // What `connect` throws says only that the connection is closed.
    client.on('error', (error: Error) => {
      failure ??= error;
    });
    client.on('close', onLost);
    try {
      await client.connect();
    } catch (error) {
      client.disconnect();
      throw failure ?? error;
    }
    return new RedisStream(client, place);
  }

  /** One transaction: all of its entries are appended, or none. */
  async send(records: readonly OutgoingRecord[]): Promise<void> {
    const { key, maxLength } = this.#place;
    const transaction = this.#client.multi();
    for (const { id, type, stream, text } of records)
      transaction.xadd(key, 'MAXLEN', '~', maxLength, '*', 'id', id, 'type', type, 'stream', stream, 'json', text);
    let replies: readonly (readonly [Error | null, unknown])[] | null;
    try {
      replies = (await transaction.exec()) as typeof replies;
    } catch (error) {
      throw refusalOf(error as Error);
    }
    const failed = replies?.find(([error]) => error !== null)?.[0] ?? null;
    if (replies === null || failed !== null) throw refusalOf(failed ?? new Error('the transaction was discarded'));
    // Whoever answers with anything else is no Redis, and has stored nothing.
    if (replies.length !== records.length || !replies.every(([, id]) => typeof id === 'string' && ENTRY_ID.test(id)))
      throw new Error('it answered without the ids of the new entries');
  }

  end(): void {
    this.#client.disconnect();
  }
}

function refusalOf(error: Error & { readonly previousErrors?: readonly Error[] }): Error {
  // A transaction that is discarded says why with the commands that were not accepted.
  const cause = error.previousErrors?.[0] ?? error;
  return REFUSED.test(cause.message) ? new Refusal(cause.message) : cause;
}
