import { SightlineError } from '../../base/errors/sightline-error.ts';
import type {
  DetectionsMessage,
  EventMessage,
  FeedFormat,
  ShadowMessage,
  StatsMessage,
  Topic,
} from '../protocol/feed.ts';
import { FeedConnection, type FeedState, type SocketConstructor } from './feed-connection.ts';
import { FeedSubscription, type SubscriptionOptions } from './feed-subscription.ts';
import { GatewayApi } from './gateway-api.ts';
import type { FeedMessage, Preview } from './read-message.ts';
import { type SendRequest, sendByFetch } from './send-request.ts';

/** Options of a client. Only `url` is required. */
export interface ClientOptions {
  /** Of the gateway, such as `http://127.0.0.1:8080`, or `location.origin` on a page of the gateway. */
  readonly url: string;
  /** Sent as a bearer header with requests, and in the address of the WebSocket. A page that has signed in needs none. */
  readonly token?: string | null | undefined;
  /** How results and pictures are sent, by default `msgpack`, which is smaller. What the client delivers is the same. */
  readonly format?: FeedFormat;
  /** By default the global one; Node.js has it from version 22, and the package `ws` is one for earlier versions. */
  readonly WebSocket?: SocketConstructor;
  /** By default the global one. */
  readonly fetch?: typeof fetch;
  /** Called when a connection to the feed changes its state. */
  readonly onState?: (state: FeedState) => void;
  /** Milliseconds before the first attempt after a loss, and at most: the wait doubles with each attempt. By default 500 and 15,000. */
  readonly retryMs?: readonly [first: number, longest: number];
  /** Milliseconds without a message after which the connection counts as lost, by default 8,000. The gateway sends one a second. */
  readonly silenceMs?: number;
  /** Longest time of a request in milliseconds, by default 60,000: starting a roll-out hashes the files of a network first. */
  readonly timeoutMs?: number;
}

/** Options of every subscription. */
export interface FeedOptions {
  /** Ids of the wanted streams. The loop throws STREAM_NOT_FOUND if there is no such stream; `update` also takes those that do not exist yet. Absent: all, also those added later. */
  readonly streams?: readonly string[];
  /** Ends the iteration, which then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /** Messages that may wait for the consumer, at least 1, by default 64. If more come, the oldest is dropped. */
  readonly queueSize?: number;
}

/** Options of `results`. */
export interface ResultOptions extends FeedOptions {
  /** Only frames whose detections differ from those before, and one every 2 s. */
  readonly onlyChanges?: boolean;
  /** With `onlyChanges`: source pixels by which an edge of a box may move without being a change, 0 to 1000, by default 4. */
  readonly movedPx?: number;
}

/** Options of `previews` and `comparisons`. */
export interface PreviewOptions extends FeedOptions {
  /** Most pictures per second and stream, 0.1 to 30. By default the rate of the host, usually 5. */
  readonly maxFps?: number;
}

const DEFAULT_QUEUE_SIZE = 64;

/**
 * A client of one gateway: its feed as async iterables, and its REST API. It opens no connection before one is used.
 *
 * All subscriptions share a WebSocket, except that a second one of the same kind opens another.
 */
export class SightlineClient extends GatewayApi {
  readonly #options: ClientOptions;
  readonly #base: URL;
  readonly #send: SendRequest;
  readonly #connections = new Set<FeedConnection>();
  readonly #closing: AbortController;

  /** @throws `TypeError` if `url` is no address of HTTP or HTTPS, and for another `format` than there are. */
  constructor(options: ClientOptions) {
    const base = baseOf(options?.url);
    if (options.format !== undefined && !FORMATS.has(options.format))
      throw new TypeError(`format: expected "msgpack" or "json", received ${JSON.stringify(options.format)}`);
    const closing = new AbortController();
    const { token = null, timeoutMs = 60_000, fetch = globalThis.fetch } = options;
    const send = sendByFetch({
      base,
      token: token === '' ? null : token,
      timeoutMs,
      closed: closing.signal,
      fetch: (...call) => fetch(...call),
    });
    super(send);
    this.#send = send;
    this.#closing = closing;
    this.#options = options;
    this.#base = base;
  }

  /** The result of each frame. Boxes in source pixels, times in the unit of their names. */
  results(options: ResultOptions = {}): FeedSubscription<DetectionsMessage> {
    const { onlyChanges = false, movedPx } = options;
    return this.#subscribe<DetectionsMessage>(options, {
      topic: 'detections',
      types: ['detections'],
      settings: {
        format: this.#format,
        ...(onlyChanges ? { detections: 'changes' as const } : {}),
        ...(movedPx === undefined ? {} : { movedPx }),
      },
    });
  }

  /** The report of all streams and of the host, once a second. */
  stats(options: FeedOptions = {}): FeedSubscription<StatsMessage> {
    return this.#subscribe<StatsMessage>(options, { topic: 'stats', types: ['stats'], settings: {} });
  }

  /** What an operator should know. `recentEvents` returns those from before. */
  events(options: FeedOptions = {}): FeedSubscription<EventMessage> {
    return this.#subscribe<EventMessage>(options, { topic: 'events', types: ['event'], settings: {} });
  }

  /** Small pictures (JPEG) with the detections of the same frame. The host makes them only of streams that somebody watches. */
  previews(options: PreviewOptions = {}): FeedSubscription<Preview> {
    return this.#previews<Preview>(options, ['preview']);
  }

  /** As `previews`; during a roll-out also the boxes of both versions, of frames that both inferred. */
  comparisons(options: PreviewOptions = {}): FeedSubscription<Preview | ShadowMessage> {
    return this.#previews<Preview | ShadowMessage>(options, ['preview', 'shadow']);
  }

  /** Connects at once instead of waiting for the next attempt: when a browser is online again, for example. */
  reconnect(): void {
    for (const connection of this.#connections) connection.retryNow();
  }

  /** Ends all subscriptions and requests, and closes the connections. Later requests are refused. Idempotent. */
  close(): void {
    this.#closing.abort(new TypeError('the client was closed'));
    for (const connection of [...this.#connections]) connection.close();
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  get #format(): FeedFormat {
    return this.#options.format ?? 'msgpack';
  }

  #previews<T extends Preview | ShadowMessage>(
    options: PreviewOptions,
    types: readonly T['type'][],
  ): FeedSubscription<T> {
    const { maxFps } = options;
    const settings = { format: this.#format, ...(maxFps === undefined ? {} : { previewFps: maxFps }) };
    return this.#subscribe<T>(options, { topic: 'preview', types, settings });
  }

  #subscribe<T extends FeedMessage>(
    { streams, signal, queueSize = DEFAULT_QUEUE_SIZE }: FeedOptions,
    { topic, types, settings }: Pick<SubscriptionOptions<T>, 'topic' | 'types' | 'settings'>,
  ): FeedSubscription<T> {
    if (streams !== undefined && !Array.isArray(streams))
      throw new TypeError(`streams: expected a list of ids, received ${JSON.stringify(streams)}`);
    if (!Number.isSafeInteger(queueSize) || queueSize < 1)
      throw new TypeError(`queueSize: expected a whole number from 1, received ${JSON.stringify(queueSize)}`);
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new TypeError('signal: expected an AbortSignal');
    return new FeedSubscription<T>({
      topic,
      types,
      settings: { ...settings, ...(streams === undefined ? {} : { streams: [...streams] }) },
      queueSize,
      signal,
      onStart: (subscriber) => {
        if (this.#closing.signal.aborted) subscriber.end(null);
        else this.#connectionFor(topic).add(subscriber);
      },
    });
  }

  #connectionFor(topic: Topic): FeedConnection {
    for (const connection of this.#connections) if (!connection.has(topic)) return connection;
    const { WebSocket = globalSocket(), retryMs = [500, 15_000], silenceMs = 8_000, onState, token } = this.#options;
    const url = new URL('ws', this.#base);
    url.protocol = this.#base.protocol.replace('http', 'ws');
    // Browsers cannot set a header.
    if (token !== undefined && token !== null && token !== '') url.searchParams.set('token', token);
    const connection = new FeedConnection({
      url: url.href,
      WebSocket,
      retryMs,
      silenceMs,
      onState: (state) => onState?.(state),
      findRefusal: () => this.#send({ method: 'OPTIONS', path: '/ws' }).then(() => null, refusalOf),
      findStreams: () =>
        this.streams.list().then(
          ({ streams }) => streams.map(({ id }) => id),
          () => null,
        ),
      onClosed: (closed) => this.#connections.delete(closed),
    });
    this.#connections.add(connection);
    return connection;
  }
}

const FORMATS: ReadonlySet<string> = new Set<FeedFormat>(['msgpack', 'json']);

/** A gateway behind a proxy can have a path of its own. @throws `TypeError` */
function baseOf(url: unknown): URL {
  const text = String(url);
  const base = URL.canParse(text) ? new URL(text.endsWith('/') ? text : `${text}/`) : null;
  if (base !== null && /^https?:$/.test(base.protocol)) return base;
  const received = url === undefined ? 'nothing' : JSON.stringify(url);
  throw new TypeError(`url: expected an address such as http://127.0.0.1:8080, received ${received}`);
}

/** Errors that the same request would meet again. */
const REFUSALS: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'FORBIDDEN', 'ORIGIN_REFUSED']);

function refusalOf(error: unknown): SightlineError | null {
  return error instanceof SightlineError && REFUSALS.has(error.code) ? error : null;
}

/** @throws `TypeError` where there is none. */
function globalSocket(): SocketConstructor {
  const { WebSocket } = globalThis as { readonly WebSocket?: SocketConstructor };
  if (WebSocket !== undefined) return WebSocket;
  throw new TypeError('WebSocket: expected a constructor in the options, since this version of Node.js has none');
}
