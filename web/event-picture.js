/** @import { EventPictureFacts, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { formatTime } from './format.js';
import { PAGE_URL } from './gateway.js';
import { html, nothing, svg } from './html.js';
import { kindOf } from './overlay.js';

/** Where the size of the picture is not known. */
const USUAL = { width: 1600, height: 900 };
/** Pictures that are fetched at once, and those that are remembered. */
const AT_ONCE = 4;
const MOST = 1500;
/** A picture may come a little after its event, and the better one of its clip after the end. */
const AGAIN_MS = 3_000;
const LATE_MS = { picture: 20_000, clip: 60_000 };
/** Around its object a card shows so many times the object's size, and at least this share of the picture. */
const CROP = { around: 2.2, leastRatio: 0.25, aspect: 16 / 9 };

/**
 * The picture that is kept of an event, or why there is none.
 *
 * @typedef {{ url: string, facts: EventPictureFacts } | { reason: string }} Kept
 * @typedef {'at' | 'before'} Moment
 */

/** Pictures of events, fetched once each as they are shown first. */
class EventPictures {
  /** @type {Map<string, { kept: Kept | null, askedMs: number, isAsking: boolean }>} */
  #known = new Map();
  /** @type {(() => Promise<void>)[]} */
  #queue = [];
  #running = 0;
  #fetch;
  /** Called when a picture has come. @type {Set<() => void>} */
  listeners = new Set();

  /** @param {(address: string) => Promise<Response>} [ask] */
  constructor(ask = (address) => fetch(address)) {
    this.#fetch = ask;
  }

  /**
   * @param {KnownEvent} event
   * @param {Moment} [moment] without one, what shows it best
   * @returns {Kept | null} null: it is not known yet
   */
  of(event, moment) {
    const key = `${event.id} ${moment ?? ''}`;
    const entry = this.#known.get(key) ?? { kept: null, askedMs: Number.NEGATIVE_INFINITY, isAsking: false };
    if (!entry.isAsking && isDue(event, entry.kept, entry.askedMs)) {
      entry.isAsking = true;
      this.#known.set(key, entry);
      const query = moment === undefined ? '' : `?moment=${moment}`;
      this.#queue.push(async () => {
        entry.askedMs = Date.now();
        const kept = await this.#ask(`${PAGE_URL}api/events/${encodeURIComponent(event.id)}/picture.jpg${query}`);
        // One that was there stays while the gateway is away.
        if (kept !== null && (entry.kept === null || !('reason' in kept))) this.#replace(entry, kept);
        entry.isAsking = false;
        for (const listener of this.listeners) listener();
      });
      this.#forgetOldest();
      this.#run();
    }
    return entry.kept;
  }

  /** @param {string} address @returns {Promise<Kept | null>} null: the gateway did not answer */
  async #ask(address) {
    try {
      const reply = await this.#fetch(address);
      if (reply.status === 204) return { reason: reply.headers.get('x-picture-missing') ?? '' };
      if (!reply.ok) return null;
      const facts = JSON.parse(reply.headers.get('x-picture') ?? 'null');
      return facts === null ? null : { facts, url: URL.createObjectURL(await reply.blob()) };
    } catch {
      return null;
    }
  }

  /** @param {{ kept: Kept | null }} entry @param {Kept} kept */
  #replace(entry, kept) {
    if (entry.kept !== null && 'url' in entry.kept) URL.revokeObjectURL(entry.kept.url);
    entry.kept = kept;
  }

  async #run() {
    if (this.#running >= AT_ONCE) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#running += 1;
    await next();
    this.#running -= 1;
    this.#run();
  }

  #forgetOldest() {
    for (const [key, { kept, isAsking }] of this.#known) {
      if (this.#known.size <= MOST) return;
      if (isAsking) continue;
      if (kept !== null && 'url' in kept) URL.revokeObjectURL(kept.url);
      this.#known.delete(key);
    }
  }
}

export const eventPictures = new EventPictures();

/** @param {KnownEvent} event @param {Kept | null} kept @param {number} askedMs */
function isDue({ raisedMs, endedMs, clip }, kept, askedMs) {
  const nowMs = Date.now();
  if (kept === null) return nowMs - askedMs > AGAIN_MS;
  const isLate = 'reason' in kept && nowMs - raisedMs < LATE_MS.picture;
  const hasClip =
    clip !== undefined && endedMs !== null && askedMs < endedMs + LATE_MS.clip && nowMs - endedMs > AGAIN_MS;
  return (isLate || hasClip) && nowMs - askedMs > AGAIN_MS * (isLate ? 1 : 4);
}

/**
 * Draws an event: the picture of its moment, with the zone or line, the path, and the box of its object. Where no picture is kept, it says why.
 *
 * @param {KnownEvent} event
 * @param {StreamReport | undefined} report of its stream
 * @param {boolean} isAlert
 * @param {object} [how]
 * @param {string} [how.name] for screen readers; without one, the text beside it says what it shows
 * @param {boolean} [how.isWhole] not only what is around the object
 * @param {boolean} [how.hasScene] false: it lies over a video
 * @param {Moment} [how.moment]
 */
export function eventPicture(event, report, isAlert, { name, isWhole = false, hasScene = true, moment } = {}) {
  const { best, path = [], label, zone, line } = event;
  const kept = hasScene ? eventPictures.of(event, moment) : null;
  const reason = kept !== null && 'reason' in kept ? kept.reason : null;
  const { facts, url } = kept !== null && 'facts' in kept ? kept : { facts: null, url: undefined };
  const { width, height } = facts ?? best ?? sizeOf(report);
  const isBefore = facts?.moment === 'before';
  const box = facts === null ? best?.box : (facts.box ?? undefined);
  const points = (/** @type {readonly (readonly [number, number])[]} */ list) =>
    list.map(([x, y]) => `${(x * width).toFixed(1)},${(y * height).toFixed(1)}`).join(' ');
  const area = report?.zones.find(({ id }) => id === zone)?.polygon;
  const edge = report?.lines.find(({ id }) => id === line);
  const shown = facts === null || isWhole || facts.box === null ? [0, 0, width, height] : cropAround(facts);
  const [x, y, boxWidth, boxHeight] = box ?? [0, 0, 0, 0];
  const [left, top, imageWidth, imageHeight] = facts?.bounds ?? [0, 0, 0, 0];
  const drawn = html`<svg class="event-picture" viewBox=${shown.join(' ')} role=${name === undefined ? nothing : 'img'} data-before=${isBefore || nothing}
    data-loading=${(hasScene && kept === null) || nothing} aria-label=${name ?? nothing} aria-hidden=${name === undefined ? 'true' : nothing}>
    ${url === undefined ? nothing : svg`<image href=${url} x=${left} y=${top} width=${imageWidth} height=${imageHeight} preserveAspectRatio="none" />`}
    ${area === undefined ? nothing : svg`<polygon class="event-zone" points=${points(area)} />`}
    ${edge?.from === undefined || edge.to === undefined ? nothing : svg`<polyline class="event-line" points=${points([edge.from, edge.to])} />`}
    ${path.length < 2 ? nothing : svg`<polyline class="event-path" points=${points(path)} />`}
    ${box === undefined ? nothing : svg`<rect class="event-box" data-kind=${isAlert ? 'alert' : kindOf(label ?? '')} x=${x} y=${y} width=${boxWidth} height=${boxHeight} />`}
  </svg>`;
  return reason === null
    ? drawn
    : html`<div class="no-picture">${drawn}<span class="no-picture-why">${reason}</span></div>`;
}

/** What a picture is that does not show the event itself; empty otherwise. @param {KnownEvent} event */
export function pictureNote(event) {
  const kept = eventPictures.of(event);
  return kept !== null && 'facts' in kept && kept.facts.moment === 'before'
    ? `Last picture, ${formatTime(kept.facts.timeMs)}`
    : '';
}

/**
 * The part of a picture around its box, as wide as a card and within what is shown: `[x, y, width, height]`.
 *
 * @param {Pick<EventPictureFacts, 'bounds' | 'box'>} facts
 */
function cropAround({ bounds: [left, top, width, height], box }) {
  const [x, y, boxWidth, boxHeight] = box ?? [left, top, width, height];
  const { around, leastRatio, aspect } = CROP;
  const wanted = Math.max(boxHeight * around, (boxWidth * around) / aspect, height * leastRatio);
  const shownHeight = Math.min(wanted, height, width / aspect);
  const shownWidth = shownHeight * aspect;
  const within = (
    /** @type {number} */ middle,
    /** @type {number} */ size,
    /** @type {number} */ from,
    /** @type {number} */ length,
  ) => Math.min(Math.max(middle - size / 2, from), from + length - size);
  return [
    within(x + boxWidth / 2, shownWidth, left, width),
    within(y + boxHeight / 2, shownHeight, top, height),
    shownWidth,
    shownHeight,
  ].map((value) => Math.round(value * 10) / 10);
}

/** @param {StreamReport | undefined} report */
function sizeOf(report) {
  return report?.width == null || report.height === null ? USUAL : { width: report.width, height: report.height };
}
