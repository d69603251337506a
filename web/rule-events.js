/** @import { EventMessage, EventPageSearch, RuleEvent } from './lib/client/index.js' */

import { gateway } from './gateway.js';

/** Events that are fetched at once, and those of a list, after which it begins again. */
const PAGE = 60;
const MOST = 1000;

/** Kinds whose events are over when they are raised. @type {ReadonlySet<string>} */
const MOMENTARY = new Set(['crosses', 'exits', 'leaves']);

/**
 * An event of a rule as its newest record has it. Times are wall clock, milliseconds since 1970.
 *
 * @typedef {RuleEvent & { beganMs: number, raisedMs: number, endedMs: number | null }} KnownEvent
 *
 * What a list shows, which the address keeps.
 *
 * @typedef {Pick<EventPageSearch, 'stream' | 'rule' | 'label' | 'zone' | 'fromMs' | 'toMs'>} Wanted
 */

/**
 * Recordings have no wall clock: their events are placed by the time of the record and the media time between.
 *
 * @param {EventMessage} message
 * @returns {KnownEvent | null} null if it is not about a rule
 */
export function knownEvent({ rule, timeMs }) {
  if (rule === undefined) return null;
  const timeOf = (/** @type {{ ptsUs?: number, at?: string }} */ { at, ptsUs }) =>
    at === undefined ? timeMs - ((rule.ptsUs ?? 0) - (ptsUs ?? rule.ptsUs ?? 0)) / 1000 : Date.parse(at);
  // The end of what is over at once is not told by the feed.
  const isOver = rule.phase === 'end' || MOMENTARY.has(rule.kind);
  const endedMs = isOver ? timeOf(rule.ended ?? rule) : null;
  return { ...rule, beganMs: timeOf(rule.began), raisedMs: timeOf(rule.raised), endedMs };
}

/** Events of rules, each once, the one that was raised last first: what the gateway knows, and what comes by the feed. */
export class EventList {
  /** @type {Map<string, KnownEvent>} */
  #events = new Map();
  /** What came by the feed while the gateway was asked. @type {EventMessage[] | null} */
  #arrived = null;
  /** @type {Wanted} */
  #wanted = {};
  #phase;
  #onChange;
  #onError;
  #asked = 0;
  /** @type {string | null} */
  #next = null;
  /** @type {KnownEvent[] | null} */
  #sorted = null;

  /**
   * @param {'last' | 'open'} phase open: only events without an end
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(phase, onChange, onError) {
    this.#phase = phase;
    this.#onChange = onChange;
    this.#onError = onError;
  }

  get isLoading() {
    return this.#arrived !== null;
  }

  get hasAsked() {
    return this.#asked > 0;
  }

  get hasOlder() {
    return this.#next !== null;
  }

  /** The event that was raised last first. */
  get events() {
    this.#sorted ??= [...this.#events.values()].sort((a, b) => b.raisedMs - a.raisedMs);
    return this.#sorted;
  }

  /** Shows other events, or the same again after a loss of the connection. @param {Wanted} wanted */
  async load(wanted) {
    const isSame = JSON.stringify(wanted) === JSON.stringify(this.#wanted);
    this.#wanted = wanted;
    if (!isSame) this.#events = new Map();
    await this.#ask('newest', () => {
      this.#events = new Map();
    });
  }

  /** Adds the page of older events. */
  async loadOlder() {
    if (this.#next !== null && !this.isLoading) await this.#ask(this.#next, () => {});
  }

  /**
   * @param {string} cursor
   * @param {() => void} begin
   */
  async #ask(cursor, begin) {
    this.#asked += 1;
    const asked = this.#asked;
    this.#arrived = [];
    this.#changed();
    try {
      const { events, next = null } = await gateway.eventPage({
        ...this.#wanted,
        phase: this.#phase,
        cursor,
        limit: PAGE,
      });
      // A slow answer must not replace that of a later search.
      if (asked !== this.#asked) return;
      const arrived = this.#arrived;
      this.#arrived = null;
      begin();
      this.#next = next;
      for (const message of [...events, ...arrived]) this.#take(message);
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#arrived = null;
      this.#onError(error);
    }
    this.#changed();
  }

  /** Takes an event of the feed. @param {EventMessage} message */
  add(message) {
    if (message.rule === undefined) return;
    this.#arrived?.push(message);
    if (!this.#take(message)) return;
    if (this.#events.size > MOST && !this.isLoading) this.load(this.#wanted);
    else this.#changed();
  }

  /** @param {EventMessage} message @returns {boolean} whether something has changed */
  #take(message) {
    const event = knownEvent(message);
    if (event === null || !isWanted(event, this.#wanted)) return false;
    const { id, seq } = event;
    if (this.#phase === 'open' && event.endedMs !== null) return this.#events.delete(id);
    if ((this.#events.get(id)?.seq ?? -1) >= seq) return false;
    this.#events.set(id, event);
    return true;
  }

  #changed() {
    this.#sorted = null;
    this.#onChange();
  }
}

/**
 * @param {KnownEvent} event
 * @param {Wanted} wanted
 */
function isWanted(event, { stream, rule, label, zone, fromMs, toMs }) {
  if (stream !== undefined && event.stream !== stream) return false;
  if (rule !== undefined && !rule.split(',').includes(event.rule)) return false;
  if (label !== undefined && event.label !== label) return false;
  if (zone !== undefined && event.zone !== zone && event.line !== zone) return false;
  return event.raisedMs >= (fromMs ?? 0) && event.raisedMs < (toMs ?? Number.POSITIVE_INFINITY);
}

/**
 * One event, also one that no list has; null if it is not known.
 *
 * @param {string} id
 * @returns {Promise<{ event: KnownEvent, life: readonly RuleEvent[] } | null>} life: all its records, oldest first
 */
export async function eventById(id) {
  const { events } = await gateway.eventPage({ event: id, limit: 1000 });
  const life = events.flatMap(({ rule }) => rule ?? []).sort((a, b) => a.seq - b.seq);
  const last = events.find(({ rule }) => rule === life.at(-1));
  const event = last === undefined ? null : knownEvent(last);
  return event === null ? null : { event, life };
}

/** Most events of a storm that are listed one by one. */
const ALONE = 2;
/** Events of a rule on a stream that follow each other within this time are one line. */
const STORM_MS = 60_000;

/**
 * Puts events of the same rule and stream that follow each other closely together.
 *
 * @param {readonly KnownEvent[]} events the newest first
 * @returns {KnownEvent[][]} the newest group first
 */
export function grouped(events) {
  /** @type {KnownEvent[][]} */
  const groups = [];
  /** @type {Map<string, KnownEvent[]>} */
  const newest = new Map();
  for (const event of events) {
    const key = `${event.stream} ${event.rule}`;
    const group = newest.get(key);
    if (group !== undefined && group[group.length - 1].raisedMs - event.raisedMs <= STORM_MS) group.push(event);
    else {
      const begun = [event];
      newest.set(key, begun);
      groups.push(begun);
    }
  }
  return groups.flatMap((group) => (group.length > ALONE ? [group] : group.map((event) => [event])));
}
