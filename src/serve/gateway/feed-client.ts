import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../base/core/clock.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { nestingFault } from '../../settings/config/nesting-fault.ts';
import {
  type ClientMessage,
  clientMessage,
  type ErrorMessage,
  type HelloMessage,
  type Topic,
} from '../../wire/protocol/feed.ts';
import type { Identity } from './access/token-table.ts';
import { type EncodedMessage, encodeMessage } from './feed-encoding.ts';
import { Outbox } from './outbox.ts';
import { Subscription } from './subscription.ts';

/** A scrolling dashboard sends a few messages per second; a runaway loop sends thousands. */
const MAX_MESSAGES_PER_WINDOW = 200;
const RATE_WINDOW_MS = 10_000;
/** Each invalid message is answered with an error; after this many the connection is closed. */
const MAX_INVALID_MESSAGES = 20;
/** RFC 6455, 7.4.1: policy violation. */
const CLOSE_POLICY = 1008;

export interface FeedClientOptions {
  /** Who the client is. */
  readonly identity: Identity;
  readonly hello: HelloMessage;
  readonly capBytes: number;
  readonly clock: Clock;
  /** Counts refused messages and exceptions. */
  readonly incidents: Incidents;
  /** Called after the client has subscribed to or unsubscribed from topics. */
  readonly onChange: (client: FeedClient, change: ClientMessage) => void;
}

/** One WebSocket of the feed: tracks the client's subscriptions and sends what it can keep up with. */
export class FeedClient {
  readonly subscription: Subscription;
  readonly outbox: Outbox;
  readonly identity: Identity;
  readonly #socket: WebSocket;
  readonly #options: FeedClientOptions;
  #windowStartMs: number;
  #messagesInWindow = 0;
  #invalidMessages = 0;
  #isAlive = true;

  constructor(socket: WebSocket, options: FeedClientOptions) {
    this.#socket = socket;
    this.#options = options;
    this.identity = options.identity;
    this.#windowStartMs = options.clock.now();
    const { incidents } = options;
    this.subscription = new Subscription(options.clock, options.identity.streams);
    this.outbox = new Outbox(socket, options.capBytes, incidents);
    socket.on(
      'message',
      incidents.guard('the feed', (data: RawData, isBinary: boolean) => this.#receive(data, isBinary)),
    );
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    this.#sendNow(options.hello);
  }

  offer(topic: Topic, stream: string, render: () => EncodedMessage): void {
    this.outbox.offer(topic, stream, render);
  }

  /** Terminates the connection if nothing arrived since the last call; otherwise sends a ping. */
  checkAlive(): void {
    if (!this.#isAlive) {
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** Whether the connection ends already. Nothing more is sent then. */
  get isClosing(): boolean {
    return this.#socket.readyState !== this.#socket.OPEN;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  /** Resolves when the socket closes; never if it has closed already. */
  whenClosed(): Promise<void> {
    return new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  #receive(data: RawData, isBinary: boolean): void {
    // A closing socket still delivers data that it has already read.
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#isAlive = true;
    if (this.#isTooFast()) {
      this.#options.incidents.refuse('websocket', 'rate', () => 'a client sends too many messages');
      const limit = `${MAX_MESSAGES_PER_WINDOW} messages in ${RATE_WINDOW_MS / 1000} s`;
      this.#refuse(
        `message: expected at most ${limit}, received more. The connection is closed; subscribe less often.`,
      );
      this.close(CLOSE_POLICY, 'too many messages');
      return;
    }
    const message = isBinary
      ? { reason: 'json' as const, problem: 'message: expected JSON text, received a binary frame.' }
      : parse(data.toString());
    if ('problem' in message) this.#countInvalid(message);
    else this.#apply(message);
  }

  #apply(message: ClientMessage): void {
    if (message.type === 'subscribe') this.subscription.add(message);
    else {
      this.subscription.remove(message.topics);
      for (const topic of message.topics) this.outbox.forget(topic);
    }
    this.#options.onChange(this, message);
  }

  #countInvalid({ reason, problem }: Problem): void {
    this.#options.incidents.refuse('websocket', reason, () => problem);
    this.#refuse(problem);
    this.#invalidMessages += 1;
    if (this.#invalidMessages >= MAX_INVALID_MESSAGES) this.close(CLOSE_POLICY, 'too many invalid messages');
  }

  /** Errors bypass the outbox: each answers one message of the client, and the rate of those is limited. */
  #refuse(problem: string): void {
    const error = new SightlineError('PROTOCOL_INVALID', problem);
    this.#sendNow({ type: 'error', error: error.toWire() });
  }

  /** `hello` and `error` are always JSON: they belong to no subscription. */
  #sendNow(message: HelloMessage | ErrorMessage): void {
    const { bytes, isBinary } = encodeMessage(message, 'json');
    this.#socket.send(bytes, { binary: isBinary });
  }

  #isTooFast(): boolean {
    const now = this.#options.clock.now();
    if (now - this.#windowStartMs >= RATE_WINDOW_MS) {
      this.#windowStartMs = now;
      this.#messagesInWindow = 0;
    }
    this.#messagesInWindow += 1;
    return this.#messagesInWindow > MAX_MESSAGES_PER_WINDOW;
  }
}

interface Problem {
  readonly reason: 'json' | 'schema';
  readonly problem: string;
}

/** Maximum number of mistakes in one answer: a message of 64 KiB can contain thousands. */
const MAX_PROBLEMS = 5;

/** Returns the message, or what is wrong with it. */
function parse(text: string): ClientMessage | Problem {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const problem = `message: expected JSON, received other text (${(error as Error).message}).`;
    return { reason: 'json', problem };
  }
  const nesting = nestingFault(json);
  if (nesting !== null) return { reason: 'json', problem: `message: expected an object, received ${nesting}.` };
  const result = clientMessage.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues
    .slice(0, MAX_PROBLEMS)
    .map(({ path, message }) => `${['message', ...path].join('.')}: ${message}`);
  const example = '{"type":"subscribe","topics":["stats"]}';
  return { reason: 'schema', problem: `${problems.join('; ')}. Example: ${example}` };
}
