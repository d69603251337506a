/** @import { EventMessage, PipelineReport, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent, Wanted } from './rule-events.js' */

import { agoText, eventTitle } from './event-text.js';
import { formatNumber } from './format.js';
import { EventList } from './rule-events.js';
import { troubleOf } from './trouble.js';

const DAY_MS = 86_400_000;
/** An alert that is over stays in sight for this long: what crosses a line is over at once. */
const NEW_MS = 60_000;
/** Longest list of rules that a search takes. */
const MOST_RULES_CHARS = 1000;

/**
 * What the page needs of the settings of a pipeline.
 *
 * @typedef {{ id: string, kind: string, [key: string]: unknown }} Rule
 * @typedef {{ on: string[], streams?: string[], to: string[], hold: string, group: string, quiet?: { on: string[], timeZone?: string } }} Alert
 * @typedef {{ id: string, events?: Rule[], zones?: { id: string, scale?: object }[] }} Stream
 * @typedef {{ alerts?: Alert[], streams?: Stream[] }} Settings
 *
 * A rule of a stream; `isMetric`: its zone has a scale.
 *
 * @typedef {{ stream: string, rule: Rule, isMetric: boolean }} KnownRule
 */

/** Whether it is the machine that falls short: nobody has to act at once. @param {Pick<KnownEvent, 'kind' | 'sign'>} event */
export const isOfMachine = ({ kind, sign }) => kind === 'stream' && sign === 'target-missed';

/** Alerts that are open, and the newest events: of the rules that people are told of, or of all if nobody is told of any. */
export class AlertWatch {
  #onChange;
  #recent;
  #open;
  /** Streams that show something now. @type {ReadonlySet<string>} */
  #seeing = new Set();
  /** @type {Alert[]} */
  alerts = [];
  /** Rules of all streams. @type {KnownRule[]} */
  rules = [];
  /** Whether the settings are known. */
  isKnown = false;

  /**
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#recent = new EventList('last', onChange, onError);
    this.#open = new EventList('open', onChange, onError);
  }

  /** Takes the settings, and asks for events. @param {PipelineReport} pipeline */
  load({ effective }) {
    const { alerts = [], streams = [] } = /** @type {Settings} */ (effective);
    this.alerts = alerts;
    this.rules = streams.flatMap(({ id: stream, events = [], zones = [] }) =>
      events.map((rule) => {
        const isMetric = zones.some(({ id, scale }) => id === rule.zone && scale !== undefined);
        return { stream, rule, isMetric };
      }),
    );
    this.isKnown = true;
    const names = [...new Set(alerts.flatMap(({ on }) => on))].join();
    /** @type {Wanted} */
    const wanted = names === '' || names.length > MOST_RULES_CHARS ? {} : { rule: names };
    this.#recent.load(wanted);
    this.#open.load({ ...wanted, fromMs: Date.now() - DAY_MS });
    this.#onChange();
  }

  /** @param {EventMessage} message */
  add(message) {
    this.#recent.add(message);
    this.#open.add(message);
  }

  /** Names of the channels that tell people of an event. @param {KnownEvent} event */
  channelsOf({ rule, stream }) {
    const matching = this.alerts.filter(({ on, streams }) => on.includes(rule) && streams?.includes(stream) !== false);
    return [...new Set(matching.flatMap(({ to }) => to))];
  }

  /** Whether somebody must look: people are told of it, and it is not the machine that falls short. @param {KnownEvent} event */
  isAlert(event) {
    return !isOfMachine(event) && this.channelsOf(event).length > 0;
  }

  /** Takes what the host says of its streams. @param {readonly StreamReport[]} streams */
  update(streams) {
    this.#seeing = new Set(streams.flatMap((report) => (troubleOf(report) === null ? [report.id] : [])));
  }

  /**
   * Alerts that last, the newest first, and then those that were over at once a moment ago. All that counts or shows alerts asks here. A camera that is
   * back is no alert any more.
   */
  get active() {
    const since = Date.now() - NEW_MS;
    const isGone = (/** @type {KnownEvent} */ { stream, kind, sign, endedMs }) =>
      kind === 'stream' && (endedMs !== null || (sign === 'down' && this.#seeing.has(stream)));
    const fresh = this.#recent.events.filter(({ raisedMs, endedMs }) => endedMs !== null && raisedMs >= since);
    const ofAlerts = (/** @type {readonly KnownEvent[]} */ events) =>
      events.filter((event) => this.isAlert(event) && !isGone(event));
    return [...ofAlerts(this.#open.events), ...ofAlerts(fresh)];
  }

  /** Events that last. */
  get open() {
    return this.#open.events;
  }

  /** The newest events, of alerts only if there are any. */
  get recent() {
    return this.alerts.length === 0 ? this.#recent.events : this.#recent.events.filter((event) => this.isAlert(event));
  }

  /** What the state line says of the newest alert; null if none is active. */
  get headline() {
    const { active } = this;
    const [newest] = active;
    if (newest === undefined) return null;
    return {
      title: eventTitle(newest),
      text: `${newest.stream}, ${agoText(newest.raisedMs, Date.now())}.`,
      also: active.length === 1 ? '' : `${formatNumber(active.length, 'alert')} in all.`,
      href: `#events?event=${encodeURIComponent(newest.id)}`,
    };
  }
}
