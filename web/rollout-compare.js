/** @import { Preview, RolloutReport, ShadowMessage, StreamReport } from './lib/client/index.js' */

import { element, setText } from './element.js';
import { PictureView } from './overlay.js';

/** @typedef {'control' | 'candidate'} Side */
/** @type {readonly Side[]} */
const SIDES = ['control', 'candidate'];
/** Pictures of the chosen stream that wait for the boxes of the candidate. */
const KEPT = 32;
/** After this time without a frame that both inferred, pictures of two streams are shown. */
const SHADOW_MS = 5_000;

/**
 * Pictures of both versions side by side. While both infer frames of the chosen stream, it is the same picture with the boxes of
 * each; otherwise a stream of the control beside a stream of the candidate.
 */
export class RolloutCompare {
  #onWatch;
  #select = element('select', { 'aria-label': 'Stream to compare' });
  #sides = { control: side(), candidate: side() };
  /** @type {Map<number, Preview>} */
  #pictures = new Map();
  /** @type {string | null} */
  #stream = null;
  /**
   * The streams that are shown while no frame is inferred by both.
   *
   * @type {Record<Side, string | null>}
   */
  #pair = { control: null, candidate: null };
  #labels = { control: '', candidate: '' };
  #shadowAtMs = Number.NEGATIVE_INFINITY;
  node = element(
    'div',
    { class: 'rollout-compare' },
    element('label', { class: 'rollout-choice' }, 'Compare ', this.#select),
    element('div', { class: 'rollout-pictures' }, this.#sides.control.node, this.#sides.candidate.node),
  );

  /** @param {() => void} onWatch called when other streams are watched */
  constructor(onWatch) {
    this.#onWatch = onWatch;
    this.#select.addEventListener('change', () => this.#choose(this.#select.value));
  }

  get watched() {
    if (this.node.hidden) return [];
    return [this.#stream, this.#pair.control, this.#pair.candidate].filter((name) => name !== null);
  }

  /**
   * @param {RolloutReport} rollout
   * @param {readonly StreamReport[]} streams
   * @param {boolean} isActive
   */
  update({ from, to, candidateStreams }, streams, isActive) {
    const before = this.watched.join();
    this.node.hidden = !isActive || streams.length === 0;
    this.#labels = { control: from, candidate: to };
    const names = streams.map(({ id }) => id);
    const inShare = new Set(candidateStreams);
    this.#showNames(names);
    if (this.#stream === null || !names.includes(this.#stream))
      this.#choose(candidateStreams.find((name) => names.includes(name)) ?? names[0] ?? null);
    const isCandidate = this.#stream !== null && inShare.has(this.#stream);
    this.#pair = {
      control: isCandidate ? (names.find((name) => !inShare.has(name)) ?? null) : this.#stream,
      candidate: isCandidate ? this.#stream : (names.find((name) => inShare.has(name)) ?? null),
    };
    if (this.watched.join() !== before) this.#onWatch();
  }

  /** @param {Preview} message */
  showPreview(message) {
    if (this.node.hidden) return;
    // Another picture than that of the frame must not get the boxes of both versions.
    if (message.stream === this.#stream && message.pictureUs === undefined) {
      this.#pictures.set(message.frame, message);
      const [oldest] = this.#pictures.keys();
      if (this.#pictures.size > KEPT) this.#pictures.delete(oldest);
    }
    if (performance.now() - this.#shadowAtMs < SHADOW_MS) return;
    for (const name of SIDES)
      if (message.stream === this.#pair[name]) this.#show(name, message, `${message.stream}, frame ${message.frame}`);
  }

  /**
   * Shows one frame with the boxes of both versions.
   *
   * @param {ShadowMessage} message
   */
  showShadow({ stream, frame, control, candidate }) {
    const picture = this.#pictures.get(frame);
    if (stream !== this.#stream || picture === undefined) return;
    this.#shadowAtMs = performance.now();
    const where = `${stream}, frame ${frame}`;
    this.#show('control', { ...picture, detections: control }, where);
    this.#show('candidate', { ...picture, detections: candidate }, where);
  }

  /**
   * @param {Side} name
   * @param {Preview} picture
   * @param {string} where
   */
  #show(name, picture, where) {
    const { view, caption } = this.#sides[name];
    const count = picture.detections.length;
    setText(caption, `${this.#labels[name]}: ${count} ${count === 1 ? 'box' : 'boxes'} (${where})`);
    view.show(picture);
  }

  /** @param {string | null} stream */
  #choose(stream) {
    this.#stream = stream;
    this.#pictures.clear();
    this.#shadowAtMs = Number.NEGATIVE_INFINITY;
    this.#select.value = stream ?? '';
    this.#onWatch();
  }

  /** @param {string[]} names */
  #showNames(names) {
    const key = names.join();
    if (this.#select.dataset.key === key) return;
    this.#select.dataset.key = key;
    this.#select.replaceChildren(...names.map((name) => element('option', { value: name }, name)));
    this.#select.value = this.#stream ?? '';
  }
}

function side() {
  const view = new PictureView();
  const caption = element('figcaption', {}, 'Waiting for a picture');
  return { view, caption, node: element('figure', {}, view.node, caption) };
}
