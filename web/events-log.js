/** @import { EventMessage } from './lib/client/index.js' */

import { element } from './element.js';
import { CHOICES, TONES } from './event-kinds.js';
import { formatDate } from './format.js';
import { gateway } from './gateway.js';

const MAX_EVENTS = 200;
/** Share of the list that one kind keeps when it is full, as in the answers of the gateway. */
const SHARE_OF_KIND = 1 / 4;
/** After the last key, before the gateway is asked. */
const SEARCH_DELAY_MS = 250;
const DAY_MS = 86_400_000;
/** @type {readonly { label: string, sinceMs: () => number }[]} */
const SPANS = [
  { label: 'Any time', sinceMs: () => 0 },
  { label: 'Last hour', sinceMs: () => Date.now() - DAY_MS / 24 },
  { label: 'Last day', sinceMs: () => Date.now() - DAY_MS },
];

/** The list of events, newest first, with a search. */
export class EventsLog {
  #stream;
  #onError;
  #list = element('ol', { class: 'events', 'aria-live': 'polite', 'aria-label': 'Events', tabindex: 0 });
  #emptyRow = element('li', { class: 'none' }, 'No events yet.');
  #text = element('input', { type: 'search', placeholder: 'Find', 'aria-label': 'Find events', autocomplete: 'off' });
  #kinds = choice(
    'Kind',
    CHOICES.map(({ label }) => label),
  );
  #span = choice(
    'Time',
    SPANS.map(({ label }) => label),
  );
  #timer = 0;
  #searches = 0;
  /** @type {Set<string | undefined>} */
  #known = new Set();
  node = element(
    'section',
    { class: 'panel-section panel-events' },
    element('h2', {}, 'Events'),
    element('div', { class: 'events-search' }, this.#text, this.#kinds, this.#span),
    this.#list,
  );

  /**
   * @param {object} options
   * @param {string} [options.stream] only events of this one
   * @param {(error: unknown) => void} options.onError
   */
  constructor({ stream, onError }) {
    this.#stream = stream;
    this.#onError = onError;
    this.#list.append(this.#emptyRow);
    this.#text.addEventListener('input', () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), SEARCH_DELAY_MS);
    });
    for (const select of [this.#kinds, this.#span]) select.addEventListener('change', () => this.#search());
  }

  /** Adds what the gateway knows: events from before the page was opened or while it was disconnected. */
  async load() {
    this.#searches += 1;
    const search = this.#searches;
    const { kinds, text, sinceMs } = this.#wanted;
    try {
      const found = await gateway.recentEvents({
        ...(this.#stream === undefined ? {} : { stream: this.#stream }),
        ...(kinds.length === 0 ? {} : { kinds }),
        ...(text === '' ? {} : { text }),
        ...(sinceMs === 0 ? {} : { sinceMs: Math.floor(sinceMs) }),
      });
      // A slow answer must not replace that of a later search.
      if (search !== this.#searches) return;
      for (const event of found) this.add(event);
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Shows only the events that match the search. */
  #search() {
    this.#known.clear();
    this.#emptyRow.textContent = this.#isFiltered ? 'No event matches.' : 'No events yet.';
    this.#list.replaceChildren(this.#emptyRow);
    this.load();
  }

  get #wanted() {
    const { kinds } = CHOICES[this.#kinds.selectedIndex];
    return { kinds, text: this.#text.value.trim(), sinceMs: SPANS[this.#span.selectedIndex].sinceMs() };
  }

  get #isFiltered() {
    return this.#text.value.trim() !== '' || this.#kinds.selectedIndex > 0 || this.#span.selectedIndex > 0;
  }

  /**
   * Adds an event that matches the search. Ignores one that is already listed, which happens after a reconnect.
   *
   * @param {EventMessage} event
   */
  add(event) {
    if (!this.#isWanted(event)) return;
    const key = `${event.timeMs} ${event.kind} ${event.stream ?? ''} ${event.message}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#emptyRow.remove();
    const [subject, text] = subjectAndText(event);
    const item = element(
      'li',
      { 'data-tone': TONES[event.kind] ?? 'idle', 'data-kind': event.kind },
      element('time', { datetime: new Date(event.timeMs).toISOString() }, formatDate(event.timeMs)),
      element(
        'span',
        { class: 'event-text' },
        ...(subject === undefined ? [] : [element('b', {}, subject), ' ']),
        text,
      ),
    );
    item.title = event.kind;
    item.dataset.key = key;
    item.dataset.timeMs = String(event.timeMs);
    this.#place(item, event.timeMs);
    while (this.#list.children.length > MAX_EVENTS) this.#removeOne();
  }

  /** @param {EventMessage} event */
  #isWanted({ stream, kind, host, message, timeMs }) {
    if (this.#stream !== undefined && stream !== this.#stream) return false;
    const { kinds, text, sinceMs } = this.#wanted;
    if (kinds.length > 0 && !kinds.includes(kind)) return false;
    if (timeMs < sinceMs) return false;
    return `${stream ?? ''} ${kind} ${host ?? ''} ${message}`.toLowerCase().includes(text.toLowerCase());
  }

  /** Removes the oldest event of the most frequent kind if that has more than its share, else the oldest of all. */
  #removeOne() {
    const rows = /** @type {HTMLElement[]} */ ([...this.#list.children]);
    /** @type {Map<string | undefined, HTMLElement[]>} */
    const byKind = new Map();
    for (const row of rows) byKind.set(row.dataset.kind, [...(byKind.get(row.dataset.kind) ?? []), row]);
    const most = [...byKind.values()].reduce((a, b) => (b.length > a.length ? b : a));
    const row = most.length > SHARE_OF_KIND * MAX_EVENTS ? most[most.length - 1] : rows[rows.length - 1];
    this.#known.delete(row.dataset.key);
    row.remove();
  }

  /**
   * Events from before a reconnect arrive after newer ones.
   *
   * @param {HTMLElement} item
   * @param {number} timeMs
   */
  #place(item, timeMs) {
    const rows = /** @type {HTMLElement[]} */ ([...this.#list.children]);
    const below = rows.find((row) => !(Number(row.dataset.timeMs) > timeMs)) ?? null;
    this.#list.insertBefore(item, below);
  }
}

/**
 * @param {string} label for screen readers
 * @param {readonly string[]} options
 */
function choice(label, options) {
  return element('select', { 'aria-label': label }, ...options.map((text) => element('option', {}, text)));
}

/**
 * Separates what an event is about from its message, which often begins with the same name: "gate is running".
 *
 * @param {EventMessage} event
 * @returns {[subject: string | undefined, text: string]}
 */
function subjectAndText({ stream, host, message }) {
  const subject = stream ?? host;
  const repeats = subject !== undefined && (message.startsWith(`${subject} `) || message.startsWith(`${subject}: `));
  return [subject, repeats ? message.slice(subject.length).replace(/^:? /, '') : message];
}
