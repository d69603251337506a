/** @import { Preview, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { html, nothing, svg } from './html.js';
import { kindOf } from './overlay.js';

/** Where the size of the picture is not known. */
const USUAL = { width: 1600, height: 900 };

/** One picture of each stream, behind the boxes and paths of its events: these have none of their own yet. */
class Backdrops {
  /** @type {Map<string, string>} */
  #urls = new Map();
  /** @type {Set<string>} */
  #wanted = new Set();
  /** Called when a picture has come, and when others are wanted. @type {Set<() => void>} */
  listeners = new Set();

  /** Streams whose next picture is needed. */
  get watched() {
    return [...this.#wanted];
  }

  /** @param {string} stream @returns {string | undefined} the address of its picture, once there is one */
  of(stream) {
    const url = this.#urls.get(stream);
    if (url === undefined && !this.#wanted.has(stream)) {
      this.#wanted.add(stream);
      this.#tell();
    }
    return url;
  }

  /** @param {Preview} preview */
  show({ stream, jpeg }) {
    if (!this.#wanted.delete(stream)) return;
    this.#urls.set(stream, URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' })));
    this.#tell();
  }

  #tell() {
    for (const listener of this.listeners) listener();
  }
}

export const backdrops = new Backdrops();

/**
 * Draws an event: the scene as it is now, in grey, with the zone or line, the path, and the box where the object was seen best.
 *
 * @param {KnownEvent} event
 * @param {StreamReport | undefined} report of its stream
 * @param {boolean} isAlert
 * @param {string} [name] for screen readers; without one, the text beside it says what it shows
 * @param {boolean} [hasScene] false: it lies over a video
 */
export function eventPicture(event, report, isAlert, name, hasScene = true) {
  const { stream, best, path = [], label, zone, line } = event;
  const { width, height } = best ?? sizeOf(report);
  const points = (/** @type {readonly (readonly [number, number])[]} */ list) =>
    list.map(([x, y]) => `${(x * width).toFixed(1)},${(y * height).toFixed(1)}`).join(' ');
  const area = report?.zones.find(({ id }) => id === zone)?.polygon;
  const edge = report?.lines.find(({ id }) => id === line);
  const url = hasScene ? backdrops.of(stream) : undefined;
  const [x, y, boxWidth, boxHeight] = best?.box ?? [0, 0, 0, 0];
  return html`<svg class="event-picture" viewBox="0 0 ${width} ${height}" role=${name === undefined ? nothing : 'img'}
    aria-label=${name ?? nothing} aria-hidden=${name === undefined ? 'true' : nothing}>
    ${url === undefined ? nothing : svg`<image href=${url} width=${width} height=${height} />`}
    ${area === undefined ? nothing : svg`<polygon class="event-zone" points=${points(area)} />`}
    ${edge?.from === undefined || edge.to === undefined ? nothing : svg`<polyline class="event-line" points=${points([edge.from, edge.to])} />`}
    ${path.length < 2 ? nothing : svg`<polyline class="event-path" points=${points(path)} />`}
    ${best === undefined ? nothing : svg`<rect class="event-box" data-kind=${isAlert ? 'alert' : kindOf(label ?? '')} x=${x} y=${y} width=${boxWidth} height=${boxHeight} />`}
  </svg>`;
}

/** @param {StreamReport | undefined} report */
function sizeOf(report) {
  return report?.width == null || report.height === null ? USUAL : { width: report.width, height: report.height };
}
