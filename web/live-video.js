/** @import { DetectionsMessage } from './lib/client/index.js' */
/** @import { PictureView } from './overlay.js' */

import { element } from './element.js';
import { PAGE_URL } from './gateway.js';

/** Fragments come once a second: with less in the buffer, the video would stand still. */
const BEHIND_S = 1.3;
/** With more, newer video is shown at once. */
const MOST_BEHIND_S = 4;
/** What was shown is forgotten. */
const KEPT_S = 10;
/** Without a frame for so long, pictures are shown. */
const STALL_MS = 12_000;
const RETRY_MS = 5_000;
/** After the camera has connected again. */
const AGAIN_MS = 500;
/** Times of frames and results agree to a tick of the video's clock. */
const SAME_US = 1_000;
/** Results come before their frames. */
const MOST_RESULTS = 1_000;

/** Something that another try does not change. */
class Unsupported extends Error {}

/** The live video of one stream, drawn frame by frame with the boxes of each frame. */
export class LiveVideo {
  #id;
  #view;
  #onChange;
  #video = element('video', { class: 'live-video', playsinline: true, 'aria-hidden': 'true', tabindex: -1 });
  /** By time of the frame, the oldest first. @type {DetectionsMessage[]} */
  #results = [];
  /** @type {AbortController | null} */
  #running = null;
  #isShown = false;
  #shownMs = 0;
  /** Why it is not shown; empty while it is, or is expected. */
  problem = '';

  /**
   * @param {string} id of the stream
   * @param {PictureView} view
   * @param {() => void} onChange it is shown now, or not any more
   */
  constructor(id, view, onChange) {
    this.#id = id;
    this.#view = view;
    this.#onChange = onChange;
    this.#video.muted = true;
    view.node.prepend(this.#video);
  }

  get isRunning() {
    return this.#running !== null;
  }

  get isShown() {
    return this.#isShown;
  }

  start() {
    if (this.#running !== null) return;
    this.#running = new AbortController();
    this.#run(this.#running.signal);
  }

  stop() {
    if (this.#running === null) return;
    this.#running.abort();
    this.#running = null;
    this.#show(false, '');
  }

  /** @param {DetectionsMessage} result */
  addResult(result) {
    this.#results.push(result);
    if (this.#results.length > MOST_RESULTS) this.#results.shift();
  }

  /** Plays until it is stopped. @param {AbortSignal} stopped */
  async #run(stopped) {
    while (!stopped.aborted) {
      const one = new AbortController();
      const abort = () => one.abort();
      stopped.addEventListener('abort', abort);
      try {
        await this.#play(one);
        if (!this.#isShown) throw new Error('the video ended before its first frame');
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      } catch (error) {
        if (stopped.aborted) return;
        this.#show(false, /** @type {Error} */ (error).message);
        if (error instanceof Unsupported) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      } finally {
        one.abort();
        stopped.removeEventListener('abort', abort);
      }
    }
  }

  /** Plays one connection of the camera, until it ends. @param {AbortController} one */
  async #play(one) {
    const { signal } = one;
    if (!('MediaSource' in window)) throw new Unsupported('this browser has no Media Source Extensions');
    const reply = await fetch(`${PAGE_URL}api/streams/${encodeURIComponent(this.#id)}/live.mp4`, { signal });
    if (!reply.ok || reply.body === null) throw new Error((await reply.json()).error.message);
    const type = reply.headers.get('content-type') ?? '';
    if (!MediaSource.isTypeSupported(type)) throw new Unsupported(`this browser cannot play ${type}`);
    const source = new MediaSource();
    const address = URL.createObjectURL(source);
    this.#video.src = address;
    try {
      await once(source, 'sourceopen', signal);
      const buffer = source.addSourceBuffer(type);
      this.#followFrames(Number(reply.headers.get('x-origin-us')), signal);
      const failed = new Promise((_, reject) => {
        this.#video.onerror = () => reject(new Error(this.#video.error?.message ?? 'the video is damaged'));
        this.#shownMs = performance.now();
        const timer = setInterval(() => {
          if (performance.now() - this.#shownMs > STALL_MS) reject(new Error('no video comes'));
        }, 1000);
        signal.addEventListener('abort', () => clearInterval(timer));
      });
      await Promise.race([this.#fill(reply.body, buffer, signal), failed]);
    } finally {
      URL.revokeObjectURL(address);
    }
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {SourceBuffer} buffer
   * @param {AbortSignal} signal
   */
  async #fill(body, buffer, signal) {
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffer.appendBuffer(/** @type {Uint8Array<ArrayBuffer>} */ (value));
      await once(buffer, 'updateend', signal);
      const { buffered } = buffer;
      if (buffered.length === 0) continue;
      this.#keepUp(buffered.start(buffered.length - 1), buffered.end(buffered.length - 1));
      const oldS = this.#video.currentTime - KEPT_S;
      if (buffered.start(0) > oldS - KEPT_S) continue;
      buffer.remove(0, oldS);
      await once(buffer, 'updateend', signal);
    }
  }

  /** Jumps over what was left out because this viewer was slow, and over what came late. @param {number} startS @param {number} endS */
  #keepUp(startS, endS) {
    const { currentTime } = this.#video;
    if (currentTime < startS || endS - currentTime > MOST_BEHIND_S)
      this.#video.currentTime = Math.max(startS, endS - BEHIND_S);
    if (this.#video.paused && endS - startS >= BEHIND_S) this.#video.play().catch(() => {});
  }

  /**
   * Draws each frame that the video shows.
   *
   * @param {number} originUs media time at which the time of the video is 0
   * @param {AbortSignal} signal
   */
  #followFrames(originUs, signal) {
    const onFrame = (/** @type {number} */ _, /** @type {VideoFrameCallbackMetadata} */ { mediaTime }) => {
      if (signal.aborted) return;
      this.#shownMs = performance.now();
      // While it seeks, there is no frame to draw.
      if (!this.#video.seeking && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
        this.#show(true, '');
        this.#view.showFrame(this.#video, this.#resultOf(Math.round(mediaTime * 1e6) + originUs));
      }
      this.#video.requestVideoFrameCallback(onFrame);
    };
    this.#video.requestVideoFrameCallback(onFrame);
  }

  /** The result of a frame, or the newest that is not newer. @param {number} pictureUs */
  #resultOf(pictureUs) {
    const at = this.#results.findLastIndex(({ ptsUs }) => ptsUs <= pictureUs + SAME_US);
    if (at > 0) this.#results.splice(0, at);
    const result = at < 0 ? null : this.#results[0];
    if (result === null) {
      const { videoWidth: width, videoHeight: height } = this.#video;
      return { stream: this.#id, frame: -1, ptsUs: pictureUs, detections: [], width, height };
    }
    return pictureUs - result.ptsUs > SAME_US ? { ...result, pictureUs } : result;
  }

  /** @param {boolean} isShown @param {string} problem */
  #show(isShown, problem) {
    const isSame = isShown === this.#isShown && problem === this.problem;
    [this.#isShown, this.problem] = [isShown, problem];
    this.#view.isLive = isShown;
    if (!isSame) this.#onChange();
  }
}

/**
 * @param {EventTarget} target
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function once(target, name, signal) {
  return new Promise((resolve, reject) => {
    target.addEventListener(name, () => resolve(), { once: true, signal });
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
