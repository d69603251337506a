/** @import { EventClip, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { eventPicture } from './event-picture.js';
import { formatDate, formatDuration, formatName, formatTime } from './format.js';
import { gateway, PAGE_URL } from './gateway.js';
import { html, nothing } from './html.js';

/** How often a clip that is not complete is looked for, and for how long after its event. */
const RETRY_MS = 3_000;
const LATE_MS = 120_000;
/** Frames of video and results agree to a tick of the video's clock. */
const SAME_US = 1_000;

/**
 * What a clip shows. Times are media time as in results, in microseconds; `originUs` is where the time of the video is 0.
 *
 * @typedef {object} Summary
 * @property {string} codec
 * @property {number} originUs
 * @property {number} startUs
 * @property {number} endUs
 * @property {number} lateUs
 * @property {readonly { fromUs: number, toUs: number, reason: string }[]} gaps
 */

/** The clip of the event that is open: its player, and what is said of it. */
export class EventClipView {
  #onChange;
  #onError;
  /** @type {KnownEvent | null} */
  #event = null;
  #isExpected = false;
  /** @type {EventClip | null} */
  #clip = null;
  /** @type {Summary | null} */
  #summary = null;
  #cannotPlay = false;
  #isAsking = false;
  /** @type {number | null} */
  #askedMs = null;

  /**
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /**
   * Looks for the clip of an event, again while it is not complete.
   *
   * @param {KnownEvent} event
   * @param {boolean} isExpected its rule keeps clips
   */
  show(event, isExpected) {
    if (event.id !== this.#event?.id) {
      [this.#clip, this.#summary, this.#askedMs] = [null, null, null];
      this.#cannotPlay = false;
    }
    [this.#event, this.#isExpected] = [event, isExpected];
    const isComplete = this.#summary !== null && this.#clip?.hasPicture === true;
    const isDue = this.#askedMs === null || (this.#mayCome && performance.now() - this.#askedMs > RETRY_MS);
    if (!isComplete && isDue && !this.#isAsking) this.#ask(event);
  }

  /** The time after the event is not over, or not for long. */
  get #mayCome() {
    const { endedMs = null } = this.#event ?? {};
    const isNew = endedMs === null || Date.now() - endedMs < LATE_MS;
    return isNew && (this.#isExpected || this.#clip !== null);
  }

  /** @param {KnownEvent} event */
  async #ask({ id, stream, raisedMs }) {
    this.#isAsking = true;
    this.#askedMs = performance.now();
    try {
      const { clip = null } = await gateway.recordings({ stream, fromMs: raisedMs, toMs: raisedMs, event: id });
      const summary = clip?.isReady ? await (await fetch(`${urlOf(id)}/clip.json`)).json() : null;
      if (id === this.#event?.id) [this.#clip, this.#summary] = [clip, summary];
    } catch (error) {
      this.#onError(error);
    }
    this.#isAsking = false;
    this.#onChange();
  }

  /** What is known of it, in words; null if there is none and none will come. */
  get text() {
    const [event, summary] = [this.#event, this.#summary];
    if (event === null) return null;
    if (summary === null)
      return this.#mayCome ? 'Ready once the time after the event is over.' : this.#isExpected ? 'None is kept.' : null;
    const { startUs, endUs, lateUs, gaps, codec } = summary;
    const zeroMs = event.raisedMs - (event.raised.ptsUs ?? startUs) / 1000;
    const at = (/** @type {number} */ us) => formatTime(zeroMs + us / 1000);
    const gone = gaps.map(
      ({ fromUs, toUs, reason }) => `${at(fromUs)} to ${at(toUs)} is missing: ${formatName(reason).toLowerCase()}`,
    );
    const late = lateUs > 0 ? [`it begins ${formatDuration(Math.ceil(lateUs / 1e6))} later than asked`] : [];
    const size = `${formatDuration(Math.round((endUs - startUs) / 1e6))}, ${at(startUs)} to ${at(endUs)}`;
    const kept = this.#clip === null ? '' : `, kept until ${formatDate(this.#clip.keptUntilMs)}`;
    const unplayed = this.#cannotPlay ? [`this browser cannot play its video (${codec}); this is its picture`] : [];
    return `${[size, ...gone, ...late, ...unplayed].join('; ')}${kept}.`;
  }

  get download() {
    return this.#summary === null
      ? nothing
      : html`<a class="button" href="${urlOf(this.#event?.id ?? '')}/clip.mp4" download>Clip</a>`;
  }

  /**
   * The video, with zone and path of the event over it, and its box in the frame that it belongs to; its picture if that cannot be
   * played; null if there is neither.
   *
   * @param {KnownEvent} event
   * @param {StreamReport | undefined} report of its stream
   * @param {boolean} isAlert
   */
  player(event, report, isAlert) {
    const { id, stream, best } = event;
    if (this.#summary === null) return null;
    const picture = this.#clip?.hasPicture === true ? `${urlOf(id)}/snapshot.jpg` : null;
    if (this.#cannotPlay)
      return picture === null
        ? null
        : html`<img class="event-picture" src=${picture} alt="The object of the event on ${stream}">`;
    const { originUs } = this.#summary;
    const bestS = best?.ptsUs === undefined ? null : (best.ptsUs - originUs) / 1e6;
    return html`<div class="event-video" data-alert=${isAlert || nothing}>
        <video controls playsinline muted preload="auto" aria-label="Clip of the event on ${stream}" src="${urlOf(id)}/clip.mp4" poster=${picture ?? nothing}
          @loadstart=${(/** @type {Event} */ { target }) => followFrames(/** @type {HTMLVideoElement} */ (target), bestS)}
          @error=${() => {
            this.#cannotPlay = true;
            this.#onChange();
          }}></video>
        ${eventPicture(event, report, isAlert, undefined, false)}
      </div>
      <figcaption>${
        bestS === null
          ? ''
          : html`<button type="button" class="button" @click=${(/** @type {Event} */ { target }) => {
              const figure = /** @type {HTMLElement} */ (target).closest('figure');
              const video = /** @type {HTMLVideoElement} */ (figure?.querySelector('video'));
              video.pause();
              // Just after its frame begins.
              video.currentTime = bestS + SAME_US / 1e6;
            }}>Where it is seen best</button>`
      }</figcaption>`;
  }
}

/** @param {string} id of the event */
const urlOf = (id) => `${PAGE_URL}api/events/${encodeURIComponent(id)}`;

/**
 * Shows the box of an event in its frame, and in no other.
 *
 * @param {HTMLVideoElement} video
 * @param {number | null} bestS time of the frame
 */
function followFrames(video, bestS) {
  const { src } = video;
  const onFrame = (/** @type {number} */ _, /** @type {VideoFrameCallbackMetadata} */ { mediaTime }) => {
    const isBest = bestS !== null && Math.abs(mediaTime - bestS) * 1e6 <= SAME_US;
    video.parentElement?.toggleAttribute('data-best', isBest);
    if (video.src === src) video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
}
