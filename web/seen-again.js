/** @import { SimilarObject, SimilarReply } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { whenText } from './event-text.js';
import { gateway } from './gateway.js';
import { html } from './html.js';

/** Most that are listed. */
const MOST = 5;

/** Where the object of the event that is open was seen again: what looks most like it, if its embedding is kept. */
export class SeenAgain {
  #onChange;
  #onError;
  /** What was asked about: an event, as it began or as it ended. */
  #asked = '';
  /** @type {SimilarReply | null} */
  #found = null;
  /** Those of which there is a recording. @type {Set<SimilarObject>} */
  #recorded = new Set();

  /**
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Looks once, and again when the event is over. @param {KnownEvent} event */
  show({ id, phase, trackId }) {
    const asked = trackId === undefined ? '' : `${id} ${phase === 'end'}`;
    if (asked === this.#asked) return;
    if (!this.#asked.startsWith(`${id} `)) this.#found = null;
    this.#asked = asked;
    if (asked !== '') this.#ask(id, asked);
  }

  /** @param {string} event @param {string} asked */
  async #ask(event, asked) {
    try {
      const found = await gateway.similar({ event, limit: MOST });
      const recorded = new Set();
      const isRecorded = async (/** @type {SimilarObject} */ each) => {
        const { spans } = await gateway.recordings({ stream: each.stream, fromMs: each.bestMs, toMs: each.bestMs + 1 });
        if (spans.length > 0) recorded.add(each);
      };
      await Promise.all(found.objects.filter((each) => each.event === null).map(isRecorded));
      if (asked !== this.#asked) return;
      [this.#found, this.#recorded] = [found, recorded];
      this.#onChange();
    } catch (error) {
      this.#onError(error);
    }
  }

  /** What is known, for the list of facts; null if no embedding of the object is kept. */
  get facts() {
    if (this.#found === null || this.#found.of === null) return null;
    const { objects } = this.#found;
    const nowMs = Date.now();
    if (objects.length === 0) return 'Nothing that looks like it.';
    return html`<ol class="seen-again" aria-label="Objects that look like it, the most similar first">${objects.map(
      (each) => {
        const { stream, label, trackId, bestMs, similarity } = each;
        const href = this.#hrefOf(each);
        const text = `${label} ${trackId} on ${stream}, ${whenText(bestMs, nowMs)}`;
        return html`<li>${href === null ? text : html`<a class="fact-link" href=${href}>${text}</a>`} <small>similarity ${similarity.toFixed(2)}</small></li>`;
      },
    )}</ol>`;
  }

  /** Its event, or else its recording. @param {SimilarObject} object */
  #hrefOf(object) {
    const { stream, event, bestMs } = object;
    if (event !== null) return `#events?${new URLSearchParams({ event })}`;
    return this.#recorded.has(object) ? `#stream=${encodeURIComponent(stream)}@${bestMs}` : null;
  }
}
