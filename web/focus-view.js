/** @import { StreamActions } from './card.js' */
/** @import { EventMessage, Preview, StreamReport } from './lib/client/index.js' */

import { StreamCard } from './card.js';
import { StreamChart } from './chart.js';
import { element } from './element.js';
import { EventsLog } from './events-log.js';
import { gateway } from './gateway.js';
import { History } from './history.js';
import { SettingsForm } from './settings-form.js';

const HOUR_S = 3600;
/** The gateway adds a point every ten seconds. */
const REFRESH_MS = 10_000;
/** One point more than an hour has, for gaps. */
const POINTS = 400;

/**
 * What is built for one camera.
 *
 * @typedef {object} Opened
 * @property {StreamCard} card
 * @property {SettingsForm} settings
 */

/** The page of one camera: its card, the last hour, its settings, its events. Hidden until one is chosen. */
export class FocusView {
  #node;
  #onError;
  /** @type {string | null} */
  #wanted = null;
  /** @type {string | null} */
  #id = null;
  #charts = [new StreamChart('fps', HOUR_S), new StreamChart('latency', HOUR_S)];
  #history = new History(POINTS);
  /** @type {EventsLog | null} */
  #events = null;
  /** @type {Opened | null} */
  #opened = null;
  /**
   * Those that were left with changes not applied, by stream: they are shown again with them.
   *
   * @type {Map<string, Opened>}
   */
  #drafts = new Map();
  #actions;
  /** @type {StreamReport['target']} */
  #target = { fps: null, latencyMs: null };
  #timer = 0;

  /**
   * @param {HTMLElement} node
   * @param {StreamActions} actions
   * @param {(error: unknown) => void} onError
   */
  constructor(node, actions, onError) {
    this.#node = node;
    this.#actions = actions;
    this.#onError = onError;
    // The browser asks whether to leave.
    window.addEventListener('beforeunload', (event) => {
      if (this.#opened?.settings.isEdited === true || this.#drafts.size > 0) event.preventDefault();
    });
  }

  /** @param {string | null} id of the stream, shown as soon as it is known; null hides the view */
  show(id) {
    this.#wanted = id;
    if (id !== this.#id) this.#open(null);
  }

  /** @param {string | null} id */
  #open(id) {
    this.#leave();
    this.#id = id;
    this.#node.hidden = id === null;
    clearInterval(this.#timer);
    if (id === null) return;
    const events = new EventsLog({ stream: id, onError: this.#onError });
    const draft = this.#drafts.get(id);
    this.#drafts.delete(id);
    const card = draft?.card ?? new StreamCard(id, this.#actions);
    const settings = draft?.settings ?? new SettingsForm(id, card.picture);
    this.#opened = { card, settings };
    this.#events = events;
    this.#history = new History(POINTS);
    this.#node.replaceChildren(
      card.node,
      element(
        'section',
        { class: 'focus-part focus-hour', 'aria-label': 'Last hour' },
        element('h2', {}, 'Last hour'),
        element('div', { class: 'charts' }, ...this.#charts.map(({ node }) => node)),
      ),
      element(
        'section',
        { class: 'focus-part focus-settings', 'data-needs': 'operator' },
        element('h2', {}, 'Settings'),
        settings.node,
      ),
      events.node,
    );
    for (const chart of this.#charts) chart.build();
    events.load();
    this.#loadHour();
    if (draft === undefined) settings.load();
    else settings.remind();
    this.#timer = setInterval(() => {
      if (!document.hidden) this.#loadHour();
    }, REFRESH_MS);
  }

  #leave() {
    if (this.#id === null || this.#opened === null) return;
    const { card, settings } = this.#opened;
    if (settings.isEdited) this.#drafts.set(this.#id, this.#opened);
    else card.destroy();
    settings.close();
    this.#opened = null;
  }

  /** Fetches events and charts, as after a loss of the connection. */
  reload() {
    if (this.#id === null) return;
    this.#events?.load();
    this.#opened?.card.forgetHistory();
    this.#loadHour();
  }

  /** @param {Preview} message */
  showPreview(message) {
    if (message.stream === this.#id) this.#opened?.card.showPreview(message);
  }

  /**
   * @param {number} timeMs
   * @param {readonly StreamReport[]} streams
   */
  update(timeMs, streams) {
    for (const [id, { card }] of this.#drafts)
      if (!streams.some((stream) => stream.id === id)) {
        card.destroy();
        this.#drafts.delete(id);
      }
    const report = streams.find(({ id }) => id === this.#wanted);
    if (report !== undefined) this.#target = report.target;
    const id = report?.id ?? null;
    if (id !== this.#id) this.#open(id);
    if (report !== undefined) this.#opened?.card.update(timeMs, report);
  }

  /** @param {EventMessage} event */
  addEvent(event) {
    if (this.#id !== null) this.#events?.add(event);
  }

  async #loadHour() {
    const id = this.#id;
    if (id === null) return;
    try {
      const reply = await gateway.streams.history(id, HOUR_S);
      if (id !== this.#id) return;
      this.#history = new History(POINTS);
      this.#history.load(reply);
      this.#charts[0].update(this.#history, this.#target.fps);
      this.#charts[1].update(this.#history, this.#target.latencyMs);
    } catch {
      // The page already shows that the connection is lost; the next refresh tries again.
    }
  }
}
