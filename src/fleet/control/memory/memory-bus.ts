import { Incidents } from '../../../base/flow/incidents.ts';
import { Listeners } from '../../../base/flow/listeners.ts';
import type { BusTopic } from '../../../wire/protocol/fleet.ts';
import type { BusMessage, FleetBus } from '../control-plane.ts';

/**
 * The bus within one process. Listeners are called after `publish` has returned, as over a network, and receive the message
 * object itself, which they must not change.
 */
export class MemoryBus implements FleetBus {
  /** By topic and stream; the key without a stream has the listeners to all streams. */
  readonly #listeners = new Map<string, Listeners<BusMessage>>();
  readonly #incidents: Incidents;
  /** Nothing is ever dropped within one process. */
  readonly droppedCount = 0;

  /** @param incidents - counts exceptions in listeners. */
  constructor(incidents: Incidents = new Incidents()) {
    this.#incidents = incidents;
  }

  publish(message: BusMessage): void {
    queueMicrotask(() => {
      if (message.stream !== null) this.#listeners.get(key(message.topic, message.stream))?.emit(message);
      this.#listeners.get(key(message.topic, null))?.emit(message);
    });
  }

  subscribe(topic: BusTopic, stream: string | null, listener: (message: BusMessage) => void): () => void {
    const at = key(topic, stream);
    const listeners = this.#listeners.get(at) ?? new Listeners<BusMessage>('bus messages', this.#incidents);
    this.#listeners.set(at, listeners);
    const remove = listeners.add(listener);
    return () => {
      remove();
      if (listeners.size === 0 && this.#listeners.get(at) === listeners) this.#listeners.delete(at);
    };
  }

  async audience(topic: BusTopic, streams: readonly string[]): Promise<ReadonlySet<string>> {
    if (this.#listeners.has(key(topic, null))) return new Set(streams);
    return new Set(streams.filter((stream) => this.#listeners.has(key(topic, stream))));
  }
}

function key(topic: BusTopic, stream: string | null): string {
  return `${topic}:${stream ?? ''}`;
}
