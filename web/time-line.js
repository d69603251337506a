/** @import { RecordedSpan } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { eventTitle } from './event-text.js';
import { formatDate, formatDuration, formatMinute, formatTime } from './format.js';
import { gateway, PAGE_URL } from './gateway.js';
import { dayOf } from './hour-bars.js';
import { html, nothing } from './html.js';
import { knownEvent } from './rule-events.js';

const REFRESH_MS = 15_000;
const MOST_EVENTS = 1000;
/** A shorter drag is a click. */
const DRAG_PX = 5;
/** What the line shows: all of a day, or a part; how far an arrow goes, and a time below the line. */
const ZOOMS = {
  '24 h': { lengthMs: 86_400_000, stepMs: 60_000, tickMs: 10_800_000 },
  '1 h': { lengthMs: 3_600_000, stepMs: 10_000, tickMs: 600_000 },
  '10 min': { lengthMs: 600_000, stepMs: 1_000, tickMs: 120_000 },
};
/** Why nothing is recorded. @type {Readonly<Record<string, string>>} */
const REASONS = {
  reopened: 'the stream was paused or changed',
  reconnect: 'the camera was away',
  clock: 'the camera set its clock back',
  restart: 'the host was not running',
  'ring-full': 'memory was full',
  'disk-slow': 'the disk was too slow',
  'disk-full': 'the disk was full',
  'disk-failed': 'the disk failed',
  event: 'there was no event',
  missing: 'a file is gone',
};

/**
 * `Recorded since 20:41, 12 s missing.`; empty if nothing is.
 *
 * @param {readonly Pick<RecordedSpan, 'fromMs' | 'toMs'>[]} spans of a day, oldest first
 */
function recordedText(spans) {
  if (spans.length === 0) return '';
  const missingMs = spans.reduce(
    (sum, { fromMs }, i) => sum + (i === 0 ? 0 : Math.max(0, fromMs - spans[i - 1].toMs)),
    0,
  );
  const missing = missingMs < 1000 ? 'nothing' : formatDuration(Math.round(missingMs / 1000));
  return `Recorded since ${formatMinute(spans[0].fromMs)}, ${missing} missing.`;
}

/** A day of recordings of one stream: what there is, what is missing and why, and its events. A click plays, a drag chooses a span. */
export class TimeLine {
  #id;
  #onChange;
  #onError;
  #play;
  #day = dayOf(Date.now());
  /** @type {keyof typeof ZOOMS} */
  #zoom = '24 h';
  /** @type {readonly RecordedSpan[]} */
  #spans = [];
  /** @type {readonly KnownEvent[]} */
  #events = [];
  /** Why there is no live video; undefined before that is known. @type {string | null | undefined} */
  noLive;
  #isKnown = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** Up to when it is known what is recorded, wall clock. */
  #knownMs = 0;
  #cursorMs = Date.now();
  /** Under the pointer. @type {number | null} */
  #hoverMs = null;
  /** @type {{ fromMs: number, toMs: number } | null} */
  #chosen = null;
  /** Where a drag began. @type {{ x: number, timeMs: number } | null} */
  #drag = null;

  /**
   * @param {string} id of the stream
   * @param {(timeMs: number) => void} play
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(id, play, onChange, onError) {
    this.#id = id;
    this.#play = play;
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Asks the gateway, again and again while it is called. */
  show() {
    if (performance.now() - this.#askedAtMs > REFRESH_MS) this.#load();
  }

  async #load() {
    this.#askedAtMs = performance.now();
    const askedMs = Date.now();
    const { fromMs, toMs } = this.#day;
    const span = { stream: this.#id, fromMs, toMs };
    try {
      const [{ spans, noLive }, { events }] = await Promise.all([
        gateway.recordings(span),
        gateway.eventPage({ ...span, phase: 'last', limit: MOST_EVENTS }),
      ]);
      if (fromMs !== this.#day.fromMs) return;
      [this.#spans, this.noLive, this.#isKnown] = [spans, noLive, true];
      // The second that is arriving is not written yet.
      this.#knownMs = Math.min(askedMs, Math.max(spans.at(-1)?.toMs ?? 0, askedMs - REFRESH_MS));
      this.#events = events.flatMap((each) => knownEvent(each) ?? []).sort((a, b) => a.raisedMs - b.raisedMs);
      this.#onChange();
    } catch (error) {
      this.#onError(error);
    }
  }

  /** The time that the line shows. */
  get #shown() {
    const { lengthMs } = ZOOMS[this.#zoom];
    const { fromMs, toMs } = this.#day;
    if (lengthMs >= toMs - fromMs - 3_600_000) return { fromMs, toMs };
    const beginMs = Math.floor((this.#cursorMs - fromMs) / lengthMs) * lengthMs + fromMs;
    return { fromMs: beginMs, toMs: beginMs + lengthMs };
  }

  /** @param {number} timeMs */
  #shareOf(timeMs) {
    const { fromMs, toMs } = this.#shown;
    return (100 * Math.max(0, Math.min(timeMs - fromMs, toMs - fromMs))) / (toMs - fromMs);
  }

  /** Style of a stretch of the line. @param {number} fromMs @param {number} toMs */
  #place(fromMs, toMs) {
    const left = this.#shareOf(fromMs);
    return `left: ${left}%; width: ${this.#shareOf(toMs) - left}%`;
  }

  /** What is missing between recordings. */
  get #gaps() {
    return this.#spans.flatMap(({ fromMs, gap }, i) =>
      i === 0 || gap === null ? [] : [{ fromMs: this.#spans[i - 1].toMs, toMs: fromMs, reason: REASONS[gap] ?? gap }],
    );
  }

  /** @param {number} timeMs */
  #said(timeMs) {
    const nearMs = ZOOMS[this.#zoom].stepMs;
    const event = this.#events.find(({ raisedMs }) => Math.abs(raisedMs - timeMs) <= nearMs);
    const has = (/** @type {{ fromMs: number, toMs: number }} */ { fromMs, toMs }) => fromMs <= timeMs && timeMs < toMs;
    const gap = this.#gaps.find(has);
    const lack = timeMs > this.#knownMs ? '' : `not recorded${gap === undefined ? '' : `: ${gap.reason}`}`;
    const what = this.#spans.some(has) ? 'recorded' : lack;
    return [formatTime(timeMs), event === undefined ? '' : eventTitle(event), what].filter(Boolean).join(', ');
  }

  /** What is played, or under the pointer; else what there is. @param {number | null} playingMs */
  #heading(playingMs) {
    const playing = playingMs === null ? '' : `Playing ${formatTime(playingMs)}.`;
    if (this.#hoverMs !== null)
      return `${playing} ${playing === '' ? '' : 'Pointer: '}${this.#said(this.#hoverMs)}`.trim();
    return playing || recordedText(this.#spans) || (this.#isKnown ? '' : this.#said(this.#cursorMs));
  }

  /** @param {number | null} playingMs wall clock of the recording that is shown; null while none is */
  template(playingMs) {
    const { fromMs, toMs } = this.#shown;
    const { tickMs } = ZOOMS[this.#zoom];
    const first = Math.ceil((fromMs - this.#day.fromMs) / tickMs) * tickMs + this.#day.fromMs;
    const ticks = Array.from({ length: Math.ceil((toMs - first) / tickMs) }, (_, i) => first + i * tickMs);
    const isToday = this.#day.toMs > Date.now();
    const inside = (/** @type {{ fromMs: number, toMs: number }} */ each) => each.toMs > fromMs && each.fromMs < toMs;
    return html`<section class="time-line" aria-label="Recording">
      <header>
        <h2>Recording</h2>
        <span class="time-said">${this.#heading(playingMs)}</span>
        <span class="time-day"><button type="button" class="button button-small" aria-label="The day before" @click=${() => this.#go(-1)}>\u2039</button>
          <span>${isToday ? 'Today' : formatDate(this.#day.fromMs).split(',')[0]}</span>
          <button type="button" class="button button-small" aria-label="The day after" ?disabled=${isToday} @click=${() => this.#go(1)}>\u203a</button></span>
        <fieldset class="switch" aria-label="Length of the line">${Object.keys(ZOOMS).map(
          (name) =>
            html`<button type="button" aria-pressed=${name === this.#zoom} @click=${() => {
              this.#zoom = /** @type {keyof typeof ZOOMS} */ (name);
              this.#onChange();
            }}>${name}</button>`,
        )}</fieldset>
      </header>
      <div class="time-bar" role="slider" tabindex="0" aria-label="Time of the recording. Enter plays, page keys go to events, shift chooses a span"
        aria-valuemin=${Math.round(fromMs / 1000)} aria-valuemax=${Math.round(toMs / 1000)} aria-valuenow=${Math.round(this.#cursorMs / 1000)}
        aria-valuetext=${this.#said(this.#cursorMs)} @keydown=${(/** @type {KeyboardEvent} */ event) => this.#onKey(event)}
        @pointerdown=${(/** @type {PointerEvent} */ event) => this.#onDown(event)} @pointermove=${(/** @type {PointerEvent} */ event) => this.#onMove(event)}
        @pointerup=${(/** @type {PointerEvent} */ event) => this.#onUp(event)} @pointerleave=${() => this.#hover(null)}>
        ${this.#spans.filter(inside).map((each) => html`<i class="time-span" data-events=${each.ofEvents || nothing} .style=${this.#place(each.fromMs, each.toMs)}></i>`)}
        ${this.#gaps.filter(inside).map((each) => html`<i class="time-gap" title="Not recorded: ${each.reason}" .style=${this.#place(each.fromMs, each.toMs)}></i>`)}
        ${this.#chosen === null ? nothing : html`<i class="time-chosen" .style=${this.#place(this.#chosen.fromMs, this.#chosen.toMs)}></i>`}
        ${this.#events
          .filter(({ raisedMs }) => raisedMs >= fromMs && raisedMs < toMs)
          .map(
            (each) =>
              html`<i class="time-event" title=${eventTitle(each)} .style=${`left: ${this.#shareOf(each.raisedMs)}%`}></i>`,
          )}
        <i class="time-at" .style=${`left: ${this.#shareOf(playingMs ?? this.#cursorMs)}%`}></i>
      </div>
      <div class="time-ticks" aria-hidden="true">${ticks.map((tick) => html`<small .style=${`left: ${this.#shareOf(tick)}%`}>${formatMinute(tick)}</small>`)}</div>
      <footer>${this.#actions()}</footer>
    </section>`;
  }

  #actions() {
    if (this.#spans.length === 0) return html`<span>${this.#isKnown ? 'Nothing is recorded on this day.' : ''}</span>`;
    if (this.#chosen === null) return html`<span>Drag over the line to choose what to export.</span>`;
    const { fromMs, toMs } = this.#chosen;
    const clear = html`<button type="button" class="button button-small" @click=${() => this.#choose(null)}>Choose nothing</button>`;
    // There is nothing to export.
    if (!this.#spans.some((span) => span.fromMs < toMs && span.toMs > fromMs))
      return html`<span>Nothing is recorded from ${formatTime(fromMs)} to ${formatTime(toMs)}.</span> ${clear}`;
    const query = new URLSearchParams({
      stream: this.#id,
      from: String(Math.round(fromMs)),
      to: String(Math.round(toMs)),
    });
    return html`<a class="button button-small" href="${PAGE_URL}api/recordings/export.mp4?${query}" download>Export ${formatTime(fromMs)} to ${formatTime(toMs)}</a>
      ${clear}`;
  }

  /** @param {number} days */
  #go(days) {
    this.#day = dayOf(this.#day.fromMs + days * 86_400_000 + 43_200_000);
    this.#cursorMs = Math.min(this.#day.fromMs + 43_200_000, Date.now());
    [this.#spans, this.#events, this.#chosen, this.#isKnown] = [[], [], null, false];
    this.#load();
    this.#onChange();
  }

  /** Shows the day of a time, and plays from then on. @param {number} timeMs */
  async playAt(timeMs) {
    this.#day = dayOf(timeMs);
    await this.#load();
    this.#playFrom(timeMs);
  }

  /** Plays from a time on, or from where something is recorded next. @param {number} timeMs */
  #playFrom(timeMs) {
    const span = this.#spans.find(({ toMs }) => toMs > timeMs);
    this.#cursorMs = Math.max(timeMs, span?.fromMs ?? timeMs);
    if (span === undefined) this.#onError(new Error('Nothing is recorded after this time on this day.'));
    else this.#play(this.#cursorMs);
    this.#onChange();
  }

  /** @param {{ fromMs: number, toMs: number } | null} span */
  #choose(span) {
    this.#chosen = span;
    this.#onChange();
  }

  /** @param {number | null} timeMs */
  #hover(timeMs) {
    this.#hoverMs = timeMs;
    this.#onChange();
  }

  /** @param {PointerEvent} event */
  #timeAt({ currentTarget, clientX }) {
    const { left, width } = /** @type {HTMLElement} */ (currentTarget).getBoundingClientRect();
    const { fromMs, toMs } = this.#shown;
    return fromMs + Math.max(0, Math.min(1, (clientX - left) / width)) * (toMs - fromMs);
  }

  /** @param {PointerEvent} event */
  #onDown(event) {
    /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, timeMs: this.#timeAt(event) };
  }

  /** @param {PointerEvent} event */
  #onMove(event) {
    const timeMs = this.#timeAt(event);
    const drag = this.#drag;
    if (drag !== null && Math.abs(event.clientX - drag.x) >= DRAG_PX)
      this.#chosen = { fromMs: Math.min(drag.timeMs, timeMs), toMs: Math.max(drag.timeMs, timeMs) };
    this.#hover(timeMs);
  }

  /** @param {PointerEvent} event */
  #onUp(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (drag !== null && Math.abs(event.clientX - drag.x) < DRAG_PX) this.#playFrom(this.#timeAt(event));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { stepMs } = ZOOMS[this.#zoom];
    const { fromMs, toMs } = this.#shown;
    const beforeMs = this.#cursorMs;
    const times = this.#events.map(({ raisedMs }) => raisedMs);
    const to = {
      ArrowLeft: beforeMs - stepMs,
      ArrowRight: beforeMs + stepMs,
      ArrowDown: beforeMs - stepMs,
      ArrowUp: beforeMs + stepMs,
      Home: fromMs,
      End: Math.min(toMs - 1, Date.now()),
      PageDown: times.findLast((each) => each < beforeMs - 1) ?? beforeMs,
      PageUp: times.find((each) => each > beforeMs + 1) ?? beforeMs,
      Enter: beforeMs,
      ' ': beforeMs,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (event.key === 'Enter' || event.key === ' ') return this.#playFrom(beforeMs);
    this.#cursorMs = Math.max(this.#day.fromMs, Math.min(to, this.#day.toMs - 1));
    if (event.shiftKey) {
      const { fromMs, toMs } = this.#chosen ?? { fromMs: beforeMs, toMs: beforeMs };
      const otherMs = Math.abs(beforeMs - fromMs) < Math.abs(beforeMs - toMs) ? toMs : fromMs;
      this.#chosen = { fromMs: Math.min(otherMs, this.#cursorMs), toMs: Math.max(otherMs, this.#cursorMs) };
    }
    this.#onChange();
  }
}
