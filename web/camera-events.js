/** @import { EventMessage } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { element } from './element.js';
import { eventTitle, lastedText, whenText } from './event-text.js';
import { EventsLog } from './events-log.js';
import { html, nothing, render, repeat } from './html.js';
import { EventList } from './rule-events.js';

/** Events beside the picture; the page of events has all. */
const MOST = 20;

/** What happened on one camera: the events of its rules, and what the host says of it. */
export class CameraEvents {
  #id;
  #list;
  #log;
  #rules = element('section', { class: 'camera-rules', 'aria-label': 'Events of rules' });
  node = element('div', { class: 'camera-events' }, this.#rules);

  /**
   * @param {string} id of the stream
   * @param {(error: unknown) => void} onError
   */
  constructor(id, onError) {
    this.#id = id;
    this.#list = new EventList('last', () => this.#draw(), onError);
    this.#log = new EventsLog({ stream: id, onError });
    this.node.append(this.#log.node);
  }

  load() {
    this.#list.load({ stream: this.#id });
    this.#log.load();
  }

  /** @param {EventMessage} event */
  add(event) {
    this.#list.add(event);
    this.#log.add(event);
  }

  #draw() {
    const events = this.#list.events.slice(0, MOST);
    const nowMs = Date.now();
    render(
      events.length === 0
        ? nothing
        : html`<header><h2>Events of rules</h2> <a class="more" href="#events?${new URLSearchParams({ stream: this.#id })}">All of this camera</a></header>
          <ul>${repeat(
            events,
            ({ id }) => id,
            (event) => row(event, nowMs),
          )}</ul>`,
      this.#rules,
    );
  }
}

/**
 * @param {KnownEvent} event
 * @param {number} nowMs
 */
function row(event, nowMs) {
  const { id, stream, rule, raisedMs, endedMs } = event;
  const lasted = endedMs === null ? '' : lastedText(event, nowMs);
  return html`<li><a class="camera-rule" href="#events?${new URLSearchParams({ stream, event: id })}" data-open=${endedMs === null || nothing}>
    <b>${eventTitle(event)}</b> ${endedMs === null ? html`<span class="open-pill">Open</span>` : nothing}
    <span>${whenText(raisedMs, nowMs)}, ${rule}${lasted === '' ? '' : `, ${lasted}`}</span>
  </a></li>`;
}
