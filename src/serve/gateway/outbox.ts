import type { WebSocket } from 'ws';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { Topic } from '../../wire/protocol/feed.ts';
import type { EncodedMessage } from './feed-encoding.ts';

/** Events are queued and not replaced. Beyond this number the oldest is dropped. */
const MAX_WAITING_EVENTS = 256;

/** Counts of one client or of the whole feed, by topic. */
export type TopicCounts = Record<Topic, number>;

export function noCounts(): TopicCounts {
  return { stats: 0, detections: 0, preview: 0, events: 0 };
}

interface Waiting {
  readonly topic: Topic;
  /** Called when the message is sent, so that `stats` contains the current drop count. */
  readonly render: () => EncodedMessage;
}

/**
 * The messages that wait for one client. `ws` queues without limit, so nothing is passed to it once the socket has `capBytes`
 * buffered. From then on one slot per topic and stream keeps the newest message, and a replaced message counts as dropped.
 * Memory is therefore bounded by the cap, one message per slot and the bound for events, however slow the client is.
 */
export class Outbox {
  readonly dropped: TopicCounts = noCounts();
  readonly sent: TopicCounts = noCounts();
  readonly #socket: WebSocket;
  readonly #capBytes: number;
  readonly #incidents: Incidents;
  readonly #events: Waiting[] = [];
  readonly #slots = new Map<string, Waiting>();

  /** @param incidents - counts messages that cannot be rendered. */
  constructor(socket: WebSocket, capBytes: number, incidents: Incidents) {
    this.#socket = socket;
    this.#capBytes = capBytes;
    this.#incidents = incidents;
  }

  get droppedTotal(): number {
    return this.dropped.stats + this.dropped.detections + this.dropped.preview + this.dropped.events;
  }

  /** Sends at once if the client keeps up, else keeps the newest. `stream` is empty for a topic without streams. */
  offer(topic: Topic, stream: string, render: () => EncodedMessage): void {
    if (topic === 'events') this.#offerEvent({ topic, render });
    else {
      const slot = `${topic}/${stream}`;
      // Replacing keeps the slot's position in the queue, so that a busy stream is not delayed for ever.
      if (this.#slots.has(slot)) this.dropped[topic] += 1;
      this.#slots.set(slot, { topic, render });
    }
    this.flush();
  }

  /** Discards the messages of a topic that the client has unsubscribed from; they do not count as dropped. */
  forget(topic: Topic): void {
    if (topic === 'events') this.#events.length = 0;
    for (const [slot, waiting] of this.#slots) if (waiting.topic === topic) this.#slots.delete(slot);
  }

  /** Sends as much as fits under the cap. Called again whenever the socket has written bytes. */
  flush(): void {
    while (this.#events.length > 0 && this.#send(this.#events[0]!)) this.#events.shift();
    if (this.#events.length > 0) return;
    for (const [slot, waiting] of this.#slots) {
      if (!this.#send(waiting)) return;
      this.#slots.delete(slot);
    }
  }

  #offerEvent(event: Waiting): void {
    this.#events.push(event);
    if (this.#events.length <= MAX_WAITING_EVENTS) return;
    this.#events.shift();
    this.dropped.events += 1;
  }

  #send({ topic, render }: Waiting): boolean {
    const { bufferedAmount } = this.#socket;
    if (this.#socket.readyState !== this.#socket.OPEN || bufferedAmount >= this.#capBytes) return false;
    let message: EncodedMessage;
    try {
      message = render();
    } catch (error) {
      // Rendering would fail again, and the messages behind it would wait for ever: drop it.
      this.#incidents.catch('a message of the feed', error);
      this.dropped[topic] += 1;
      return true;
    }
    // A message larger than the cap is sent when the buffer is empty; otherwise it would never be sent.
    if (bufferedAmount > 0 && bufferedAmount + message.bytes.length > this.#capBytes) return false;
    this.sent[topic] += 1;
    this.#socket.send(
      message.bytes,
      { binary: message.isBinary },
      this.#incidents.guard('the feed', () => this.flush()),
    );
    return true;
  }
}
