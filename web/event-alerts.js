/** @import { AlertDelivery } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { formatMinute, formatTime } from './format.js';
import { gateway } from './gateway.js';
import { html } from './html.js';

/** What is not settled is asked for again after so long; what is, never. */
const AGAIN_MS = 3_000;
const OPEN = new Set(['waiting', 'retried']);

/** What became of the alerts of the event that is open. */
export class EventAlerts {
  #onChange;
  #onError;
  #event = '';
  /** @type {readonly AlertDelivery[] | null | undefined} */
  #deliveries;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;

  /**
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Looks once, and again while something is not settled. @param {KnownEvent} event */
  show({ id }) {
    if (id !== this.#event) [this.#event, this.#deliveries, this.#askedMs] = [id, undefined, Number.NEGATIVE_INFINITY];
    const isOpen = this.#deliveries === undefined || this.#deliveries?.some(({ state }) => OPEN.has(state)) === true;
    if (isOpen && !this.#isAsking && performance.now() - this.#askedMs > AGAIN_MS) this.#ask(id);
  }

  /** @param {string} id */
  async #ask(id) {
    this.#isAsking = true;
    this.#askedMs = performance.now();
    try {
      const { deliveries } = await gateway.alertsOf(id);
      if (id === this.#event) this.#deliveries = deliveries;
    } catch (error) {
      this.#onError(error);
    }
    this.#isAsking = false;
    this.#onChange();
  }

  /** One sentence for each channel. @param {readonly string[]} channels that the alerts name now */
  facts(channels) {
    const deliveries = this.#deliveries;
    if (deliveries === undefined) return '';
    if (deliveries !== null && deliveries.length > 0)
      return html`<ul class="event-alerts">${deliveries.map(
        (delivery) => html`<li data-state=${delivery.state}>${deliveryText(delivery)}</li>`,
      )}</ul>`;
    if (channels.length === 0) return 'Nobody: no alert names this rule.';
    return `Not known any more: ${channels.join(', ')} should have it, but the host has been started since, or another host sent it.`;
  }
}

/**
 * Whether an alert was sent, when, and what answered: `Sent to webhook-1 at 21:03:42, answered 200.`
 *
 * @param {AlertDelivery} delivery
 */
export function deliveryText({ channel, state, atMs, answer, attempt, mostAttempts, nextMs, withMs, hold, untilMs }) {
  const at = formatTime(atMs);
  switch (state) {
    case 'sent':
      return `Sent to ${channel} at ${at}${answer === undefined ? '' : `, ${answer}`}.`;
    case 'retried': {
      const next = (attempt ?? 0) + 1;
      const tries = mostAttempts === undefined ? `Try ${next}` : `Try ${next} of ${mostAttempts}`;
      return `${channel} did not take it at ${at}: ${answer}. ${tries}${nextMs === undefined ? '' : ` at ${formatTime(nextMs)}`}.`;
    }
    case 'failed':
      return `Not sent to ${channel}: given up at ${at}, ${answer}.`;
    case 'held':
      return `Not sent to ${channel}: ${withMs === undefined ? 'held back' : `sent with the alert of ${formatTime(withMs)}`}, one in ${hold}.`;
    case 'quiet':
      return `Not sent to ${channel}: quiet${untilMs === undefined ? ' times' : ` until ${formatMinute(untilMs)}`}.`;
    default:
      return `Waits to be sent to ${channel} since ${at}.`;
  }
}
