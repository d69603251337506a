import type { WebSocket } from 'ws';
import type { Topic } from '../protocol/feed.ts';
import type { Incidents } from '../telemetry/incidents.ts';

/** Events are each worth telling, but a client that is this far behind has lost the thread anyway. */
const MAX_WAITING_EVENTS = 256;

/** Counts of one client or of the whole feed, by topic. */
export type TopicCounts = Record<Topic, number>;

export function noCounts(): TopicCounts {
  return { stats: 0, detections: 0, preview: 0, events: 0 };
}

interface Waiting {
  readonly topic: Topic;
  /** Called when the message goes, so that `stats` can tell the drop count of that moment. */
  readonly render: () => Buffer;
}

/**
 * What waits for one client. `ws` queues without limit, so nothing is handed to it once the socket holds `capBytes`:
 * from then on one slot for each topic and stream keeps the newest message, and what it replaces counts as dropped.
 * Waiting bytes are therefore bounded by the cap, one message per slot and the events' bound, however slow the client is.
 */
export class Outbox {
  readonly dropped: TopicCounts = noCounts();
  readonly sent: TopicCounts = noCounts();
  readonly #socket: WebSocket;
  readonly #capBytes: number;
  readonly #incidents: Incidents;
  readonly #events: Waiting[] = [];
  readonly #slots = new Map<string, Waiting>();

  /** @param incidents - counts messages that cannot be made. */
  constructor(socket: WebSocket, capBytes: number, incidents: Incidents) {
    this.#socket = socket;
    this.#capBytes = capBytes;
    this.#incidents = incidents;
  }

  get droppedTotal(): number {
    return this.dropped.stats + this.dropped.detections + this.dropped.preview + this.dropped.events;
  }

  /** Sends at once where the client keeps up, else keeps the newest. `stream` is empty where the topic has no streams. */
  offer(topic: Topic, stream: string, render: () => Buffer): void {
    if (topic === 'events') this.#offerEvent({ topic, render });
    else {
      const slot = `${topic}/${stream}`;
      // Replacing keeps the slot's place in the queue, so that a busy stream cannot push itself behind for ever.
      if (this.#slots.has(slot)) this.dropped[topic] += 1;
      this.#slots.set(slot, { topic, render });
    }
    this.flush();
  }

  /** Drops what waits for a topic that the client no longer wants; that is not a loss and is not counted. */
  forget(topic: Topic): void {
    if (topic === 'events') this.#events.length = 0;
    for (const [slot, waiting] of this.#slots) if (waiting.topic === topic) this.#slots.delete(slot);
  }

  /** Hands over what fits. Called again whenever the socket has taken bytes. */
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
    let bytes: Buffer;
    try {
      bytes = render();
    } catch (error) {
      // It will not get better by waiting; what waits behind it must not wait for ever.
      this.#incidents.catch('a message of the feed', error);
      this.dropped[topic] += 1;
      return true;
    }
    // A message larger than the whole cap still goes, alone; it would never go otherwise.
    if (bufferedAmount > 0 && bufferedAmount + bytes.length > this.#capBytes) return false;
    this.sent[topic] += 1;
    this.#socket.send(
      bytes,
      { binary: false },
      this.#incidents.guard('the feed', () => this.flush()),
    );
    return true;
  }
}
