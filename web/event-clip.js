/** @import { EventClip, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { eventPicture } from './event-picture.js';
import { formatDate, formatDuration, formatName, formatTime } from './format.js';
import { gateway, PAGE_URL } from './gateway.js';
import { html, nothing, render, svg } from './html.js';
import { kindOf } from './overlay.js';

/** How often a clip that is not complete is looked for, and for how long after its event. */
const RETRY_MS = 3_000;
const LATE_MS = 120_000;
/** Frames of video and results agree to a tick of the video's clock. */
const SAME_US = 1_000;
/** For so long the boxes of a frame stand for those after it, where not every frame has a result. */
const HELD_US = 1_000_000;

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
 * @property {ClipBoxes | null} boxes what was found in its frames
 */

/**
 * @typedef {object} ClipBoxes
 * @property {number} width of the picture, in pixels
 * @property {number} height
 * @property {readonly { ptsUs: number, boxes: readonly (readonly [number, number, number, number, string, number?])[] }[]} frames
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
    const { originUs, boxes } = this.#summary;
    const bestS = best?.ptsUs === undefined ? null : (best.ptsUs - originUs) / 1e6;
    return html`<div class="event-video" data-alert=${isAlert || nothing}>
        <video controls playsinline muted preload="auto" aria-label="Clip of the event on ${stream}" src="${urlOf(id)}/clip.mp4" poster=${picture ?? nothing}
          @loadstart=${(/** @type {Event} */ { target }) => followFrames(/** @type {HTMLVideoElement} */ (target), bestS, originUs, boxes, event.trackId)}
          @error=${() => {
            this.#cannotPlay = true;
            this.#onChange();
          }}></video>
        ${eventPicture(event, report, isAlert, { hasScene: false })}
        ${boxes === null ? nothing : html`<svg class="event-picture clip-boxes" viewBox="0 0 ${boxes.width} ${boxes.height}" aria-hidden="true"></svg>`}
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
 * Shows in each frame the boxes that were found in it, that of the event marked; without them, the box of the event in its frame, and in no other.
 *
 * @param {HTMLVideoElement} video
 * @param {number | null} bestS time of the frame in which the object is seen best
 * @param {number} originUs
 * @param {ClipBoxes | null} found
 * @param {number | undefined} track of the event's object
 */
function followFrames(video, bestS, originUs, found, track) {
  const { src } = video;
  const onFrame = (/** @type {number} */ _, /** @type {VideoFrameCallbackMetadata} */ { mediaTime }) => {
    const isBest = found === null && bestS !== null && Math.abs(mediaTime - bestS) * 1e6 <= SAME_US;
    video.parentElement?.toggleAttribute('data-best', isBest);
    const node = video.parentElement?.querySelector('.clip-boxes');
    if (found !== null && node != null) {
      const timeUs = mediaTime * 1e6 + originUs;
      const frame = found.frames.findLast(({ ptsUs }) => ptsUs <= timeUs + SAME_US);
      // Frames between two results show the boxes of the one before.
      const boxes = frame === undefined || timeUs - frame.ptsUs > HELD_US ? [] : frame.boxes;
      const isOfEvent = (/** @type {number | undefined} */ id) => track !== undefined && id === track;
      render(
        boxes.map(
          ([x, y, width, height, label, id]) =>
            svg`<rect class="event-box" data-kind=${kindOf(label)} data-event=${isOfEvent(id) || nothing} x=${x} y=${y} width=${width} height=${height} />`,
        ),
        /** @type {HTMLElement} */ (node),
      );
    }
    if (video.src === src) video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
}
