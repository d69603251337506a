import { element } from './element.js';
import { formatTime } from './format.js';

const MOST = 200;
const TONES = {
  'target-missed': 'bad',
  'sink-failed': 'bad',
  'stream-warning': 'warn',
  'engine-failed': 'bad',
  'engine-restarted': 'warn',
  'lane-restarted': 'warn',
  'target-met': 'good',
  'sink-recovered': 'good',
  'host-joined': 'good',
  'host-lost': 'bad',
  'stream-reduced': 'warn',
  'stream-restored': 'good',
  'stream-refused': 'bad',
  'fleet-full': 'warn',
};

/** What happened, newest first. */
export class EventsLog {
  #list = element('ol', { class: 'events', role: 'log', 'aria-label': 'Events', tabindex: 0 });
  #none = element('li', { class: 'none' }, 'Nothing has happened yet.');
  #known = new Set();
  node = element('section', { class: 'panel-section panel-events' }, element('h2', {}, 'Events'), this.#list);

  constructor() {
    this.#list.append(this.#none);
  }

  /** Takes one event; one that the list already has, from before a reconnect, is left out. */
  add(event) {
    const key = `${event.timeMs} ${event.kind} ${event.stream ?? ''} ${event.message}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#none.remove();
    const subject = event.stream ?? event.host;
    const item = element(
      'li',
      { 'data-tone': TONES[event.kind] ?? 'idle' },
      element('time', { datetime: new Date(event.timeMs).toISOString() }, formatTime(event.timeMs)),
      element(
        'span',
        { class: 'event-text' },
        ...(subject === undefined ? [] : [element('b', {}, subject), ' ']),
        event.message,
      ),
    );
    item.title = event.kind;
    item.dataset.key = key;
    this.#list.prepend(item);
    while (this.#list.children.length > MOST) {
      this.#known.delete(this.#list.lastElementChild.dataset.key);
      this.#list.lastElementChild.remove();
    }
  }
}
