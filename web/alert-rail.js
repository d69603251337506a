/** @import { StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { AlertWatch, isOfMachine } from './alert-watch.js';
import { eventPicture, eventPictures } from './event-picture.js';
import { durationText, eventTitle, whenText } from './event-text.js';
import { html, nothing, render, repeat } from './html.js';
import { grouped } from './rule-events.js';

/** Lines beside the wall. */
const MOST = 12;
/** Drawn at most so often: a storm brings hundreds of events in a second. */
const DRAW_MS = 200;

/** The newest alerts beside the wall, a storm as one line; events of rules if nobody is told of any. */
export class AlertRail {
  #node;
  #onChange;
  /** @type {readonly StreamReport[]} */
  #streams = [];
  #timer = 0;
  watch;

  /**
   * @param {HTMLElement} node
   * @param {object} calls
   * @param {() => void} calls.onChange alerts have come or gone
   * @param {(error: unknown) => void} calls.onError
   */
  constructor(node, { onChange, onError }) {
    this.#node = node;
    this.#onChange = onChange;
    this.watch = new AlertWatch(() => this.#drawSoon(), onError);
    eventPictures.listeners.add(() => this.#drawSoon());
  }

  /** What to look at, by stream. @returns {Map<string, string>} */
  get titles() {
    return new Map(this.watch.active.toReversed().map((event) => [event.stream, eventTitle(event)]));
  }

  /** @param {readonly StreamReport[]} streams */
  update(streams) {
    this.#streams = streams;
    this.watch.update(streams);
    this.#draw();
  }

  #drawSoon() {
    if (this.#timer !== 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#draw();
      this.#onChange();
    }, DRAW_MS);
  }

  #draw() {
    const { active, recent, alerts, rules } = this.watch;
    const isHidden = recent.length === 0 && rules.length === 0;
    if (isHidden !== this.#node.hidden) {
      this.#node.hidden = isHidden;
      // The wall has another width now.
      dispatchEvent(new Event('resize'));
    }
    const isActive = new Set(active.map(({ id }) => id));
    const now = grouped(active);
    const others = grouped(recent.filter(({ id }) => !isActive.has(id)));
    // What lasts stands above what is over.
    const isOpen = (/** @type {KnownEvent[]} */ group) => group.some(({ endedMs }) => endedMs === null);
    const earlier = [...others.filter(isOpen), ...others.filter((group) => !isOpen(group))];
    const reports = new Map(this.#streams.map((report) => [report.id, report]));
    const none = earlier.length === 0 ? 'None yet.' : alerts.length === 0 ? 'The newest:' : 'None now. Earlier:';
    render(
      html`<header><h2>${alerts.length === 0 ? 'Events' : 'Alerts'}</h2> <a href="#events">All events</a></header>
        ${now.length > 0 ? nothing : html`<p class="none">${none}</p>`}
        <ul>${repeat(
          [...now, ...earlier].slice(0, MOST),
          (group) => group[group.length - 1].id,
          (group, i) => line(group, reports, isActive, i === 0),
        )}</ul>`,
      this.#node,
    );
  }
}

/**
 * @param {readonly KnownEvent[]} group
 * @param {ReadonlyMap<string, StreamReport>} reports
 * @param {ReadonlySet<string>} isActive
 * @param {boolean} isFirst
 */
function line(group, reports, isActive, isFirst) {
  const [event] = group;
  const { id, stream, rule, raisedMs, endedMs } = event;
  const isAlert = isActive.has(id);
  const nowMs = Date.now();
  const isOne = group.length === 1;
  const stateText = endedMs === null ? `Open, ${durationText(event, nowMs)}` : isAlert ? 'Over' : '';
  const only = isOne ? { event: id } : { stream, rule };
  return html`<li data-alert=${isAlert || nothing} data-machine=${isOfMachine(event) || nothing} data-large=${(isAlert && isFirst) || nothing}>
    <a href="#events?${new URLSearchParams(only)}">
      ${eventPicture(event, reports.get(stream), isAlert)}
      <span class="rail-text"><b>${isOne ? '' : `${group.length} \u00d7 `}${eventTitle(event)}</b>
        <span>${stream}, ${whenText(raisedMs, nowMs)}</span>
        ${stateText === '' ? nothing : html`<span class="rail-state">${stateText}</span>`}</span>
    </a>
    ${isOne && event.clip !== undefined && endedMs !== null ? html`<a class="rail-clip" href=".${event.clip}" target="_blank">Clip</a>` : nothing}
  </li>`;
}
