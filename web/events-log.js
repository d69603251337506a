/** @import { EventKind, EventMessage } from '../src/protocol/feed.ts' */

import { element } from './element.js';
import { formatTime } from './format.js';

const MAX_EVENTS = 200;
/** @type {Partial<Record<EventKind, string>>} */
const TONES = {
  'target-missed': 'bad',
  'sink-failed': 'bad',
  'stream-warning': 'warn',
  'engine-failed': 'bad',
  'engine-restarted': 'warn',
  'lane-restarted': 'warn',
  'target-met': 'good',
  'sink-recovered': 'good',
  'disk-stalled': 'bad',
  'disk-answered': 'good',
  'host-joined': 'good',
  'host-lost': 'bad',
  'stream-reduced': 'warn',
  'stream-restored': 'good',
  'stream-refused': 'bad',
  'fleet-full': 'warn',
  'fleet-state-lost': 'warn',
  'control-unsuitable': 'warn',
  'rollout-held': 'warn',
  'rollout-promoted': 'good',
  'rollout-rolled-back': 'bad',
  'rollout-aborted': 'warn',
  'rollout-undone': 'warn',
  'rollout-not-loaded': 'bad',
};

/** The list of events, newest first. */
export class EventsLog {
  #list = element('ol', { class: 'events', role: 'log', 'aria-label': 'Events', tabindex: 0 });
  #emptyRow = element('li', { class: 'none' }, 'No events yet.');
  /** @type {Set<string | undefined>} */
  #known = new Set();
  node = element('section', { class: 'panel-section panel-events' }, element('h2', {}, 'Events'), this.#list);

  constructor() {
    this.#list.append(this.#emptyRow);
  }

  /**
   * Adds an event. Ignores one that is already listed, which happens after a reconnect.
   *
   * @param {EventMessage} event
   */
  add(event) {
    const key = `${event.timeMs} ${event.kind} ${event.stream ?? ''} ${event.message}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#emptyRow.remove();
    const [subject, text] = subjectAndText(event);
    const item = element(
      'li',
      { 'data-tone': TONES[event.kind] ?? 'idle' },
      element('time', { datetime: new Date(event.timeMs).toISOString() }, formatTime(event.timeMs)),
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
    while (this.#list.children.length > MAX_EVENTS) {
      const oldest = /** @type {HTMLElement} */ (this.#list.lastElementChild);
      this.#known.delete(oldest.dataset.key);
      oldest.remove();
    }
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
