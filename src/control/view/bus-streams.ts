import type { BusTopic } from '../../protocol/fleet.ts';
import type { BusMessage, FleetBus } from '../control-plane.ts';

/** Keeps subscriptions to one topic for a changing set of streams. */
export class BusStreams {
  readonly #bus: FleetBus;
  readonly #topic: BusTopic;
  readonly #listener: (message: BusMessage) => void;
  readonly #open = new Map<string, () => void>();

  constructor(bus: FleetBus, topic: BusTopic, listener: (message: BusMessage) => void) {
    this.#bus = bus;
    this.#topic = topic;
    this.#listener = listener;
  }

  /** Subscribes to these streams and unsubscribes from all others. */
  setStreams(streamIds: ReadonlySet<string>): void {
    for (const [id, unsubscribe] of this.#open) {
      if (streamIds.has(id)) continue;
      unsubscribe();
      this.#open.delete(id);
    }
    for (const id of streamIds) {
      if (!this.#open.has(id)) this.#open.set(id, this.#bus.subscribe(this.#topic, id, this.#listener));
    }
  }
}
