/** @import { EventMessage, StreamReport } from './lib/client/index.js' */
/** @import { PictureView } from './overlay.js' */

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

/** What is known about one stream besides its card: the last hour, its settings, its events. Hidden until one is chosen. */
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
  /** @type {SettingsForm | null} */
  #settings = null;
  /**
   * Forms that were left with changes not applied, by stream: they are shown again with them.
   *
   * @type {Map<string, SettingsForm>}
   */
  #drafts = new Map();
  #pictureOf;
  /** @type {StreamReport['target']} */
  #target = { fps: null, latencyMs: null };
  #timer = 0;

  /**
   * @param {HTMLElement} node
   * @param {(id: string) => PictureView | null} pictureOf returns the picture of a stream
   * @param {(error: unknown) => void} onError
   */
  constructor(node, pictureOf, onError) {
    this.#node = node;
    this.#pictureOf = pictureOf;
    this.#onError = onError;
    // The browser asks whether to leave.
    window.addEventListener('beforeunload', (event) => {
      if (this.#settings?.isEdited === true || this.#drafts.size > 0) event.preventDefault();
    });
  }

  /** @param {string | null} id of the stream, shown as soon as it is known; null hides the view */
  show(id) {
    this.#wanted = id;
    if (id !== this.#id) this.#open(null);
  }

  /** @param {string | null} id */
  #open(id) {
    if (this.#id !== null && this.#settings?.isEdited === true) this.#drafts.set(this.#id, this.#settings);
    this.#id = id;
    this.#node.hidden = id === null;
    clearInterval(this.#timer);
    this.#settings?.close();
    this.#settings = null;
    if (id === null) return;
    const events = new EventsLog({ stream: id, onError: this.#onError });
    const draft = this.#drafts.get(id);
    this.#drafts.delete(id);
    const settings = draft ?? new SettingsForm(id, this.#pictureOf(id));
    this.#settings = settings;
    this.#events = events;
    this.#history = new History(POINTS);
    this.#node.replaceChildren(
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
    for (const chart of this.#charts) chart.build(false);
    events.load();
    this.#loadHour();
    if (draft === undefined) settings.load();
    else draft.remind();
    this.#timer = setInterval(() => {
      if (!document.hidden) this.#loadHour();
    }, REFRESH_MS);
  }

  /** Fetches events and charts, as after a loss of the connection. */
  reload() {
    if (this.#id === null) return;
    this.#events?.load();
    this.#loadHour();
  }

  /** @param {readonly StreamReport[]} streams */
  update(streams) {
    for (const id of this.#drafts.keys()) if (!streams.some((stream) => stream.id === id)) this.#drafts.delete(id);
    const report = streams.find(({ id }) => id === this.#wanted);
    if (report !== undefined) this.#target = report.target;
    const id = report?.id ?? null;
    if (id !== this.#id) this.#open(id);
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
