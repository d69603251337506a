/** @import { AlertWatch } from './alert-watch.js' */
/** @import { EventMessage, Preview, StatsMessage, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent, Wanted } from './rule-events.js' */

import { isOfMachine } from './alert-watch.js';
import { alertsPanel } from './alerts-panel.js';
import { EventAlerts } from './event-alerts.js';
import { EventClipView } from './event-clip.js';
import { eventDetail } from './event-detail.js';
import { eventPicture, pictureNote } from './event-picture.js';
import { eventTitle, lastedText, whenText } from './event-text.js';
import { EventsLog } from './events-log.js';
import { formatMinute, formatNumber } from './format.js';
import { PAGE_URL } from './gateway.js';
import { dayOf, HourBars } from './hour-bars.js';
import { html, nothing, render, repeat } from './html.js';
import { EventList, eventById, grouped } from './rule-events.js';
import { SeenAgain } from './seen-again.js';

/** Drawn at most so often: a storm brings hundreds of events in a second. */
const DRAW_MS = 200;
const HOUR_MS = 3_600_000;
/** The event that is open takes the place of the list. */
const NARROW = matchMedia('(max-width: 1100px)');
/** What the page shows, by the word `show` in its address. */
const VIEWS = { events: 'Events', alerts: 'Alerts', log: 'Log' };
/** Conditions that the address keeps, in the order in which they are shown. */
const FILTERS = /** @type {const} */ ({
  stream: ['Camera', 'All cameras'],
  label: ['Label', 'All labels'],
  zone: ['Zone or line', 'All zones and lines'],
  rule: ['Rule', 'All rules'],
});

/** What happened: the events of rules with their pictures and filters, the ledger of alerts, and the log of the host. */
export class EventsPage {
  #node;
  #watch;
  #onError;
  #list;
  #bars;
  #log;
  #clip;
  #again;
  #alerts;
  #params = new URLSearchParams();
  #isShown = false;
  /** @type {StatsMessage | null} */
  #newest = null;
  /** The event that is open, with all its records. @type {import('./event-detail.js').Shown | null} */
  #opened = null;
  /** The card that Tab goes to. */
  #stop = '';
  #timer = 0;

  /**
   * @param {HTMLElement} node
   * @param {AlertWatch} watch
   * @param {(error: unknown) => void} onError
   */
  constructor(node, watch, onError) {
    this.#node = node;
    this.#watch = watch;
    this.#onError = onError;
    this.#list = new EventList('last', () => this.drawSoon(), onError);
    this.#bars = new HourBars(() => this.drawSoon(), onError);
    this.#log = new EventsLog({ onError });
    this.#clip = new EventClipView(() => this.drawSoon(), onError);
    this.#alerts = new EventAlerts(() => this.drawSoon(), onError);
    this.#again = new SeenAgain(() => this.drawSoon(), onError);
    this.#log.load();
    // What had the focus may be gone, as the link to an older event beside the oldest one.
    addEventListener('keydown', (event) => {
      if (this.#isShown && document.querySelector('dialog[open]') === null) this.#onKey(event);
    });
  }

  /** @param {string} query of the address */
  show(query) {
    const before = this.#params;
    this.#params = new URLSearchParams(query);
    this.#isShown = true;
    const wanted = this.#wanted();
    if (JSON.stringify(wanted) !== JSON.stringify(this.#wanted(before)) || !this.#list.hasAsked)
      this.#list.load(wanted);
    const [closed, opened] = [before.get('event'), this.#params.get('event')];
    this.#open(opened);
    this.#draw();
    // What had the focus is gone.
    if (opened === null && closed !== null) this.#focus(`.event-card[data-event="${CSS.escape(closed)}"]`);
    else if (opened !== null && opened !== closed && NARROW.matches) this.#focus('#event-close');
  }

  /** @param {string} selector */
  #focus(selector) {
    /** @type {HTMLElement | null} */ (this.#node.querySelector(selector))?.focus();
  }

  hide() {
    this.#isShown = false;
  }

  /** Fetches everything, as after a loss of the connection. */
  reload() {
    this.#log.load();
    this.#list.load(this.#wanted());
    this.#bars.forget();
    const open = this.#params.get('event');
    this.#opened = null;
    if (this.#isShown) this.#open(open);
  }

  /** @param {StatsMessage} message */
  update(message) {
    this.#newest = message;
    this.drawSoon();
  }

  /** @param {EventMessage} message */
  addEvent(message) {
    this.#log.add(message);
    this.#list.add(message);
    const open = this.#opened?.event.id;
    if (open !== undefined && message.rule?.id === open) this.#fetch(open);
  }

  drawSoon() {
    if (!this.#isShown || this.#timer !== 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (this.#isShown) this.#draw();
    }, DRAW_MS);
  }

  /** @returns {Wanted} */
  #wanted(params = this.#params) {
    const named = Object.keys(FILTERS).flatMap((key) => (params.has(key) ? [[key, params.get(key)]] : []));
    const dayMs = dayIn(params);
    if (dayMs === null) return Object.fromEntries(named);
    const { fromMs, toMs } = dayOf(dayMs);
    const hour = hourIn(params);
    const beganMs = fromMs + HOUR_MS * (hour ?? 0);
    return { ...Object.fromEntries(named), fromMs: beganMs, toMs: hour === undefined ? toMs : beganMs + HOUR_MS };
  }

  /** @param {string | null} id of the event that is shown large */
  #open(id) {
    if (id === null) this.#opened = null;
    else if (this.#opened?.event.id !== id) {
      const event = this.#list.events.find((each) => each.id === id);
      this.#opened = event === undefined ? null : { event, life: [event] };
      this.#fetch(id);
    }
  }

  /** @param {string} id */
  async #fetch(id) {
    try {
      const found = await eventById(id);
      if (this.#params.get('event') !== id) return;
      this.#opened = found;
      if (found === null) this.#onError(new Error('This event is no longer known.'));
      this.#draw();
    } catch (error) {
      this.#onError(error);
    }
  }

  /**
   * The address with other conditions.
   *
   * @param {Readonly<Record<string, string | null>>} changes null: none
   */
  #href(changes) {
    const params = new URLSearchParams(this.#params);
    for (const [key, value] of Object.entries(changes))
      if (value === null || value === '') params.delete(key);
      else params.set(key, value);
    return params.size === 0 ? '#events' : `#events?${params}`;
  }

  /** Changes the conditions; the way back leads to the page before, not through each of them. @param {Readonly<Record<string, string | null>>} changes */
  #filter(changes) {
    location.replace(this.#href({ event: null, ...changes }));
  }

  #draw() {
    const view = this.#view;
    const streams = this.#newest?.streams ?? [];
    render(
      html`<header class="events-head">
          <h2>${this.#title()}</h2>
          <nav class="switch" aria-label="Events, alerts, log">${Object.entries(VIEWS).map(
            ([name, text]) =>
              html`<a href=${name === 'events' ? '#events' : `#events?show=${name}`} aria-current=${name === view ? 'page' : nothing}>${text}</a>`,
          )}</nav>
        </header>
        ${view === 'log' ? this.#log.node : nothing}
        ${view !== 'alerts' || this.#newest === null ? nothing : alertsPanel(this.#watch.alerts, this.#newest.host)}
        ${view === 'events' ? this.#events(streams) : nothing}`,
      this.#node,
    );
  }

  get #view() {
    const name = this.#params.get('show') ?? 'events';
    return Object.hasOwn(VIEWS, name) ? name : 'events';
  }

  #title() {
    const { alerts, active, open } = this.#watch;
    if (alerts.length === 0) return open.length === 0 ? 'No event open' : `${formatNumber(open.length, 'event')} open`;
    if (active.length === 0) return 'No alert open';
    const isOpen = active.every(({ endedMs }) => endedMs === null);
    return isOpen ? `${formatNumber(active.length, 'alert')} open` : formatNumber(active.length, 'new alert');
  }

  /** @param {readonly StreamReport[]} streams */
  #events(streams) {
    const reports = new Map(streams.map((report) => [report.id, report]));
    const stream = this.#params.get('stream') ?? undefined;
    const dayMs = dayIn(this.#params) ?? Date.now();
    const hour = hourIn(this.#params);
    this.#bars.show(stream, dayMs);
    const day = dayText(dayMs);
    const title = `Counts by hour, ${day === dayText(Date.now()) ? 'today' : day}`;
    const hrefOf = (/** @type {number} */ i) => this.#href({ event: null, day, hour: i === hour ? null : String(i) });
    return html`<div class="events-body" data-detail=${this.#opened !== null || nothing}>
      <div class="events-main">
        ${this.#filters(streams, day)}
        ${this.#bars.template(title, reports.get(stream ?? ''), { chosen: hour, hrefOf })}
        ${this.#cards(reports)}
      </div>
      ${this.#opened === null ? nothing : this.#detail(this.#opened, reports)}
    </div>`;
  }

  /**
   * @param {readonly StreamReport[]} streams
   * @param {string} day
   */
  #filters(streams, day) {
    const { rules } = this.#watch;
    const chosen = this.#params.get('stream');
    const ofStream = streams.filter(({ id }) => chosen === null || id === chosen);
    const known = rules.filter((each) => chosen === null || each.stream === chosen).map(({ rule }) => rule);
    const { events } = this.#list;
    const options = {
      stream: streams.map(({ id }) => id),
      label: [
        ...known.flatMap(({ labels }) => /** @type {string[]} */ (labels ?? [])),
        ...events.flatMap(({ label }) => label ?? []),
      ],
      zone: ofStream.flatMap(({ zones, lines }) => [...zones, ...lines].map(({ id }) => id)),
      rule: [...known.map(({ id }) => id), ...events.map(({ rule }) => rule)],
    };
    const hour = hourIn(this.#params);
    const hasDay = this.#params.has('day');
    const csv = new URLSearchParams({ format: 'csv', phase: 'last' });
    const { fromMs, toMs, ...same } = this.#wanted();
    for (const [key, value] of Object.entries({ ...same, from: fromMs, to: toMs }))
      if (value !== undefined) csv.set(key, String(value));
    const begin = dayOf(dayIn(this.#params) ?? Date.now()).fromMs;
    const hourText =
      hour === undefined
        ? ''
        : `${formatMinute(begin + hour * HOUR_MS)} to ${formatMinute(begin + (hour + 1) * HOUR_MS)}`;
    return html`<div class="event-filters" role="group" aria-label="Which events">
      ${Object.entries(FILTERS).map(([key, [label, all]]) => {
        const value = this.#params.get(key) ?? '';
        const names = [...new Set([...options[/** @type {keyof typeof FILTERS} */ (key)], value])]
          .filter(Boolean)
          .sort();
        return html`<select aria-label=${label} data-filter=${key} data-chosen=${value !== '' || nothing}
          @change=${(/** @type {Event} */ { target }) => this.#filter({ [key]: /** @type {HTMLSelectElement} */ (target).value, ...(key === 'stream' ? { zone: null, rule: null } : {}) })}>
          <option value="" .selected=${value === ''}>${all}</option>
          ${names.map((name) => html`<option value=${name} .selected=${name === value}>${name}</option>`)}
        </select>`;
      })}
      <span class="event-day">
        <button type="button" class="button" aria-label="The day before" @click=${() => this.#filter({ day: dayBeside(day, -1), hour: null })}>\u2039</button>
        <input type="date" aria-label="Day" .value=${day} max=${dayText(Date.now())} data-chosen=${hasDay || nothing}
          @change=${(/** @type {Event} */ { target }) => this.#filter({ day: /** @type {HTMLInputElement} */ (target).value, hour: null })}>
        <button type="button" class="button" aria-label="The day after" ?disabled=${day === dayText(Date.now())} @click=${() => this.#filter({ day: dayBeside(day, 1), hour: null })}>\u203a</button>
      </span>
      <button type="button" class="button" aria-pressed=${hasDay} @click=${() => this.#filter({ day: hasDay ? null : day, hour: null })}>Only this day</button>
      ${hour === undefined ? nothing : html`<button type="button" class="button" aria-pressed="true" aria-label="Not only ${hourText}" @click=${() => this.#filter({ hour: null })}>${hourText} \u00d7</button>`}
      ${[...this.#params.keys()].some((key) => key in FILTERS || key === 'day') ? html`<a class="button" href="#events">Show all</a>` : nothing}
      <a class="button event-csv" href="${PAGE_URL}api/events?${csv}" download="events.csv">CSV</a>
    </div>`;
  }

  /** @param {ReadonlyMap<string, StreamReport>} reports */
  #cards(reports) {
    const { events, isLoading, hasOlder } = this.#list;
    const nowMs = Date.now();
    const groups = this.#params.has('rule') ? events.map((event) => [event]) : grouped(events);
    // What lasts stands above what is over.
    const isOpen = (/** @type {KnownEvent[]} */ group) => group.some(({ endedMs }) => endedMs === null);
    const sorted = [...groups.filter(isOpen), ...groups.filter((group) => !isOpen(group))];
    const stop = groups.some(([{ id }]) => id === this.#stop) ? this.#stop : sorted[0]?.[0].id;
    return html`${events.length > 0 || isLoading ? nothing : this.#emptyText()}
      <ul class="event-cards" aria-label="Events, the newest first" aria-busy=${isLoading}
        @focusin=${(/** @type {FocusEvent} */ { target }) => {
          this.#stop = /** @type {HTMLElement} */ (target).dataset.event ?? this.#stop;
        }}>${repeat(
          sorted,
          (group) => group[group.length - 1].id,
          (group) => this.#card(group, reports, stop, nowMs),
        )}</ul>
      ${hasOlder ? html`<button type="button" class="button events-older" aria-disabled=${isLoading || nothing} @click=${() => this.#list.loadOlder()}>Older events</button>` : nothing}`;
  }

  /**
   * @param {readonly KnownEvent[]} group events of a storm, or a single one
   * @param {ReadonlyMap<string, StreamReport>} reports
   * @param {string} stop
   * @param {number} nowMs
   */
  #card(group, reports, stop, nowMs) {
    const [event] = group;
    const { id, stream, rule, raisedMs } = event;
    const isOne = group.length === 1;
    const isOpen = group.some(({ endedMs }) => endedMs === null);
    const isAlert = isOpen && this.#watch.isAlert(event);
    const href = this.#href(isOne ? { event: id } : { stream, rule, event: null });
    const note = pictureNote(event);
    const lasted = isOne ? lastedText(event, nowMs) : `since ${whenText(group[group.length - 1].raisedMs, nowMs)}`;
    return html`<li><a class="event-card" href=${href} data-event=${id} data-open=${isOpen || nothing}
      tabindex=${id === stop ? 0 : -1} aria-current=${id === this.#opened?.event.id ? 'true' : nothing}>
      ${eventPicture(event, reports.get(stream), isAlert)}
      ${note === '' ? nothing : html`<span class="picture-note">${note}</span>`}
      ${isOpen ? html`<span class="open-pill" data-alert=${isAlert || nothing} data-machine=${isOfMachine(event) || nothing}>Open</span>` : nothing}
      <b>${isOne ? '' : `${group.length} \u00d7 `}${eventTitle(event)}</b>
      <span>${stream}, ${whenText(raisedMs, nowMs)}</span>
      <span>${rule}${lasted === '' ? '' : `, ${lasted}`}</span>
    </a></li>`;
  }

  #emptyText() {
    if (Object.keys(this.#wanted()).length > 0)
      return html`<p class="empty">No event matches. <a href="#events">Show all</a></p>`;
    if (!this.#watch.isKnown || this.#watch.rules.length > 0)
      return html`<p class="empty">No events yet. They appear here as soon as a rule is met.</p>`;
    return html`<p class="empty">No rules yet: open a camera, draw a zone or a line, and add a rule to it. Its events appear here.</p>`;
  }

  /**
   * @param {import('./event-detail.js').Shown} shown
   * @param {ReadonlyMap<string, StreamReport>} reports
   */
  #detail(shown, reports) {
    const { events } = this.#list;
    const at = events.findIndex(({ id }) => id === shown.event.id);
    const link = (/** @type {KnownEvent | undefined} */ event) =>
      event === undefined || at < 0 ? null : this.#href({ event: event.id });
    const links = { close: this.#href({ event: null }), newer: link(events[at - 1]), older: link(events[at + 1]) };
    return eventDetail(shown, this.#watch, reports.get(shown.event.stream), links, {
      clip: this.#clip,
      again: this.#again,
      alerts: this.#alerts,
    });
  }

  /** Arrows move between the cards; Escape closes the event that is open. @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === 'Escape' && this.#opened !== null) location.hash = this.#href({ event: null });
    const card = /** @type {HTMLElement} */ (event.target).closest('.event-card');
    if (card === null) return;
    const cards = /** @type {HTMLElement[]} */ ([...this.#node.querySelectorAll('.event-card')]);
    const at = cards.indexOf(/** @type {HTMLElement} */ (card));
    const columns = cards.filter(({ offsetTop }) => offsetTop === cards[0].offsetTop).length;
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns,
      ArrowUp: at - columns,
      Home: 0,
      End: cards.length - 1,
    }[event.key];
    if (to === undefined || cards[to] === undefined) return;
    event.preventDefault();
    cards[to].focus();
  }
}

/** The local day of a time, as addresses and fields have it: `2026-11-29`. @param {number} timeMs */
function dayText(timeMs) {
  const day = new Date(timeMs);
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((part) => String(part).padStart(2, '0')).join('-');
}

/** @param {string} day @param {number} days */
function dayBeside(day, days) {
  const beside = new Date(`${day}T12:00:00`);
  beside.setDate(beside.getDate() + days);
  return dayText(beside.getTime());
}

/** A time within the day that an address names; null if it names none. @param {URLSearchParams} params */
function dayIn(params) {
  const timeMs = Date.parse(`${params.get('day')}T12:00:00`);
  return Number.isNaN(timeMs) ? null : timeMs;
}

/** @param {URLSearchParams} params */
function hourIn(params) {
  const text = params.get('hour');
  return text !== null && /^\d{1,2}$/.test(text) && params.has('day') ? Number(text) : undefined;
}
