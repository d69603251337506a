import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../core/clock.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { type ClientMessage, clientMessage, type HelloMessage, type Topic } from '../protocol/feed.ts';
import type { Incidents } from '../telemetry/incidents.ts';
import { encode } from './feed-encoding.ts';
import { Outbox } from './outbox.ts';
import { Subscription } from './subscription.ts';

/** A dashboard that scrolls says a few messages a second; a loop that went wild says thousands. */
const MAX_MESSAGES_PER_WINDOW = 200;
const RATE_WINDOW_MS = 10_000;
/** Mistakes are answered; a client that makes only mistakes is not one. */
const MAX_INVALID_MESSAGES = 20;
/** RFC 6455, 7.4.1: policy violation. */
const CLOSE_POLICY = 1008;

export interface FeedClientOptions {
  readonly hello: HelloMessage;
  readonly capBytes: number;
  readonly clock: Clock;
  /** Counts messages of the client that are refused, and exceptions. */
  readonly incidents: Incidents;
  /** The client has just subscribed to or left these topics. */
  readonly onChange: (client: FeedClient, change: ClientMessage) => void;
}

/** One WebSocket of the feed: reads what the client wants and hands it what it can take. */
export class FeedClient {
  readonly subscription = new Subscription();
  readonly outbox: Outbox;
  readonly #socket: WebSocket;
  readonly #options: FeedClientOptions;
  #windowStartMs: number;
  #messagesInWindow = 0;
  #invalidMessages = 0;
  #isAlive = true;

  constructor(socket: WebSocket, options: FeedClientOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#windowStartMs = options.clock.now();
    const { incidents } = options;
    this.outbox = new Outbox(socket, options.capBytes, incidents);
    socket.on(
      'message',
      incidents.guard('the feed', (data: RawData, isBinary: boolean) => this.#receive(data, isBinary)),
    );
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.send(encode(options.hello), { binary: false });
  }

  offer(topic: Topic, stream: string, render: () => Buffer): void {
    this.outbox.offer(topic, stream, render);
  }

  /** Ends a client that showed no life since the last call, and asks the others for a sign. */
  checkAlive(): void {
    if (!this.#isAlive) {
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #receive(data: RawData, isBinary: boolean): void {
    // A socket that is closing still delivers what it had read.
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
      ? { reason: 'json' as const, complaint: 'message: expected JSON text, received a binary frame.' }
      : parse(data.toString());
    if ('complaint' in message) this.#countInvalid(message);
    else this.#apply(message);
  }

  #apply(message: ClientMessage): void {
    if (message.type === 'subscribe') this.subscription.add(message.topics, message.streams);
    else {
      this.subscription.remove(message.topics);
      for (const topic of message.topics) this.outbox.forget(topic);
    }
    this.#options.onChange(this, message);
  }

  #countInvalid({ reason, complaint }: Complaint): void {
    this.#options.incidents.refuse('websocket', reason, () => complaint);
    this.#refuse(complaint);
    this.#invalidMessages += 1;
    if (this.#invalidMessages >= MAX_INVALID_MESSAGES) this.close(CLOSE_POLICY, 'too many invalid messages');
  }

  /** Errors go past the outbox: each answers one message of the client, and those are limited. */
  #refuse(complaint: string): void {
    const error = new SightlineError('PROTOCOL_INVALID', complaint);
    this.#socket.send(encode({ type: 'error', error: error.toWire() }), { binary: false });
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

interface Complaint {
  readonly reason: 'json' | 'schema';
  readonly complaint: string;
}

/** Mistakes that are named in one answer: a message of 64 KiB has room for thousands. */
const MOST_COMPLAINTS = 5;

/** Returns the message, or the complaint about it. */
function parse(text: string): ClientMessage | Complaint {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const complaint = `message: expected JSON, received text that is none (${(error as Error).message}).`;
    return { reason: 'json', complaint };
  }
  const result = clientMessage.safeParse(json);
  if (result.success) return result.data;
  const complaints = result.error.issues
    .slice(0, MOST_COMPLAINTS)
    .map(({ path, message }) => `${['message', ...path].join('.')}: ${message}`);
  const example = '{"type":"subscribe","topics":["stats"]}';
  return { reason: 'schema', complaint: `${complaints.join('; ')}. Example: ${example}` };
}
