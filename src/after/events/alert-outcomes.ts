import type { AlertDelivery } from '../../wire/protocol/alert-delivery.ts';

/** Events whose alerts are remembered. */
const MOST_EVENTS = 2000;

type Outcome = Omit<AlertDelivery, 'channel'>;

/** What became of the alerts of the newest events in each channel. In memory: the ledger counts all. */
export class AlertOutcomes {
  /** By event and channel. */
  readonly #events = new Map<string, Map<string, Outcome>>();
  /** The events that a message tells of, by its id. */
  readonly #messages = new Map<string, readonly string[]>();

  /** An event is told by channels, or not. */
  set(event: string, channels: readonly string[], outcome: Outcome): void {
    const known = this.#events.get(event) ?? new Map<string, Outcome>();
    for (const channel of channels) known.set(channel, outcome);
    this.#events.set(event, known);
    for (const oldest of this.#events.keys()) {
      if (this.#events.size <= MOST_EVENTS) break;
      this.#events.delete(oldest);
    }
  }

  /** A message about several events has an id of its own. */
  join(message: string, events: readonly string[]): void {
    this.#messages.set(message, events);
    for (const oldest of this.#messages.keys()) {
      if (this.#messages.size <= MOST_EVENTS) break;
      this.#messages.delete(oldest);
    }
  }

  /** A channel has tried to deliver a message. */
  onDelivery(channel: string, message: string, outcome: Outcome): void {
    for (const event of this.#messages.get(message) ?? [message])
      if (this.#events.get(event)?.has(channel) === true) this.#events.get(event)!.set(channel, outcome);
  }

  /** Returns null if nothing is known of an event. */
  of(event: string): readonly AlertDelivery[] | null {
    const known = this.#events.get(event);
    return known === undefined ? null : [...known].map(([channel, outcome]) => ({ channel, ...outcome }));
  }
}
