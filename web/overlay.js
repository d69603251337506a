/** @import { Detection, Preview, TriedEvent } from './lib/client/index.js' */

import { element } from './element.js';
import { Labels } from './labels.js';
import { drawPlaces, strokeCased } from './places.js';
import { drawShape } from './shapes.js';
import { Trails } from './trails.js';

const LABEL_TEXT = '#0b0f14';
/** People, vehicles and things are told apart at a glance; single classes are named. */
const COLORS = { person: '#6fcbff', vehicle: '#a4e37b', object: '#cdb2ff' };
/** The subject of an event, and its path. */
const SUBJECT = '#ff5a5f';
const PATH = 'rgb(255 255 255)';
/** Boxes of an earlier picture are dashed; what has moved for longer than this would lie beside its box. */
const OLDER_DASH = [5, 4];
const MOST_OLDER_US = 1_000_000;
/** Of live video. */
const MOST_VIDEO_PX = 1920;
const VEHICLES = new Set(['car', 'truck', 'bus', 'motorcycle', 'bicycle', 'train', 'van', 'boat', 'airplane']);

/**
 * What is drawn over a picture.
 *
 * @typedef {Pick<Preview, 'stream' | 'frame' | 'ptsUs' | 'pictureUs' | 'detections' | 'width' | 'height'>} Shown
 */

/**
 * Whether a label is a person, a vehicle or another object.
 *
 * @param {string} label
 * @returns {keyof typeof COLORS}
 */
export function kindOf(label) {
  if (label === 'person') return 'person';
  return VEHICLES.has(label) ? 'vehicle' : 'object';
}

/** @param {string} label */
function colorOf(label) {
  return COLORS[kindOf(label)];
}

/** The picture of a stream with its boxes drawn over it. */
export class PictureView {
  node = element('div', { class: 'view' });
  /** Frames of a video are shown, and no other pictures. */
  isLive = false;
  #picture = element('canvas', { class: 'picture', role: 'img', 'aria-label': 'No picture yet' });
  #overlay = element('canvas', { class: 'overlay' });
  /** @type {Shown | null} */
  #shown = null;
  #isDecoding = false;
  /** @type {Preview | null} */
  #next = null;
  /** @type {import('./places.js').Places | null} */
  #places = null;
  /** What lies over the picture, instead of its zones and lines. @type {HTMLElement | null} */
  #layer = null;
  /** @type {TriedEvent | null} */
  #event = null;
  #hasLabels;
  /** Where objects stood, stretched over the whole picture. @type {HTMLCanvasElement | null} */
  #heat = null;
  #layers = { boxes: true, zones: true, paths: false };
  #trails = new Trails();
  #resizes = new ResizeObserver(() => this.#drawBoxes());

  /** @param {{ hasLabels?: boolean }} [options] labels name the boxes; default: true */
  constructor({ hasLabels = true } = {}) {
    this.#hasLabels = hasLabels;
    this.node.append(this.#picture, this.#overlay);
    this.#resizes.observe(this.node);
  }

  /**
   * Zones and lines to draw, from the report of the stream.
   *
   * @param {import('./places.js').Places} places
   */
  set places(places) {
    this.#places = places;
    this.#drawBoxes();
  }

  /** An event whose object and path are drawn: where it was, on the picture of now. */
  set event(/** @type {TriedEvent | null} */ event) {
    this.#event = event;
    this.#drawBoxes();
  }

  /**
   * What is drawn over the picture: boxes, zones with lines, and the paths of tracked objects.
   *
   * @param {{ boxes: boolean, zones: boolean, paths: boolean }} layers
   */
  set layers(layers) {
    if (layers === this.#layers) return;
    this.#layers = layers;
    this.#drawBoxes();
  }

  /** @param {HTMLCanvasElement | null} heat what is drawn over the whole picture, below the boxes */
  set heat(heat) {
    this.#heat = heat;
    this.#drawBoxes();
  }

  /**
   * Lays an element exactly over the picture, to move its zones and lines; null takes it away.
   *
   * @param {HTMLElement | null} layer
   */
  edit(layer) {
    if (layer === this.#layer) return;
    this.#layer?.remove();
    this.#layer = layer;
    if (layer !== null) this.node.append(layer);
    this.#drawBoxes();
  }

  /**
   * Shows a picture. If pictures arrive faster than they can be decoded, only the newest is shown.
   *
   * @param {Preview} preview
   */
  async show(preview) {
    if (this.isLive) return;
    this.#next = preview;
    if (this.#isDecoding) return;
    this.#isDecoding = true;
    while (this.#next !== null) {
      await turnToDecode();
      const current = this.#next;
      this.#next = null;
      // While it waited for its turn, live video began or the page was left.
      if (current === null) break;
      const bitmap = await decode(current.jpeg);
      // Live video may have begun meanwhile.
      if (bitmap !== null && !this.isLive) this.#draw(bitmap, bitmap.width, bitmap.height, current);
      bitmap?.close();
    }
    this.#isDecoding = false;
  }

  destroy() {
    this.#resizes.disconnect();
    this.#next = null;
  }

  /**
   * Shows the frame that a video shows now.
   *
   * @param {HTMLVideoElement} video
   * @param {Shown} result
   */
  showFrame(video, result) {
    this.#next = null;
    const scale = Math.min(1, MOST_VIDEO_PX / video.videoWidth);
    this.#draw(video, Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale), result);
  }

  /**
   * Draws picture and boxes in the same task, so that boxes never appear on the wrong frame.
   *
   * @param {ImageBitmap | HTMLVideoElement} picture
   * @param {number} width
   * @param {number} height
   * @param {Shown} preview
   */
  #draw(picture, width, height, preview) {
    if (this.#picture.width !== width || this.#picture.height !== height) {
      this.#picture.width = width;
      this.#picture.height = height;
    }
    contextOf(this.#picture).drawImage(picture, 0, 0, width, height);
    this.#shown = preview;
    if (this.#layers.paths) this.#trails.add(preview);
    this.node.dataset.hasPicture = 'true';
    this.#picture.setAttribute('aria-label', describe(preview));
    this.#drawBoxes();
  }

  #drawBoxes() {
    const { clientWidth, clientHeight } = this.node;
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.#overlay.width !== width || this.#overlay.height !== height) {
      this.#overlay.width = width;
      this.#overlay.height = height;
    }
    const context = contextOf(this.#overlay);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    // The same fit as the picture's `object-fit: contain`.
    const { width: sourceWidth, height: sourceHeight } = this.#shown ?? { width: clientWidth, height: clientHeight };
    const scale = Math.min(clientWidth / sourceWidth, clientHeight / sourceHeight);
    const left = (clientWidth - sourceWidth * scale) / 2;
    const top = (clientHeight - sourceHeight * scale) / 2;
    if (this.#layer !== null) {
      const box = { left, top, width: sourceWidth * scale, height: sourceHeight * scale };
      for (const [name, px] of Object.entries(box)) this.#layer.style.setProperty(name, `${px}px`);
    }
    if (this.#shown === null || width === 0) return;
    const { detections, isOlder } = boxesOf(this.#shown);
    context.setTransform(ratio, 0, 0, ratio, left * ratio, top * ratio);
    const isSmall = clientWidth < 360;
    const size = { width: sourceWidth * scale, height: sourceHeight * scale };
    const labels = new Labels(context, { x: 0, y: 0, ...size }, isSmall);
    const { boxes, zones, paths } = this.#layers;
    if (this.#heat !== null) context.drawImage(this.#heat, 0, 0, size.width, size.height);
    if (paths) this.#trails.draw(context, scale);
    this.node.toggleAttribute('data-older', isOlder && boxes && detections.length > 0);
    context.setLineDash(isOlder ? OLDER_DASH : []);
    if (boxes) for (const detection of detections) drawBox(context, detection, scale, isSmall);
    context.setLineDash([]);
    if (zones && this.#places !== null && this.#layer === null)
      drawPlaces(context, this.#places, size, this.#hasLabels ? labels : null, isSmall);
    if (this.#event !== null) drawEvent(context, this.#event, size);
    if (boxes && this.#hasLabels) drawLabels(labels, detections, scale, isSmall);
  }
}

/**
 * The boxes to draw: those of the same frame, or the newest that are not newer.
 *
 * @param {Shown} preview
 */
function boxesOf({ detections, ptsUs, pictureUs = ptsUs }) {
  const isOlder = pictureUs > ptsUs;
  return { detections: pictureUs - ptsUs > MOST_OLDER_US ? [] : detections, isOlder };
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Detection} detection
 * @param {number} scale CSS pixels per source pixel
 * @param {boolean} isSmall
 */
function drawBox(context, detection, scale, isSmall) {
  const { box, label, angle = 0 } = detection;
  const [x, y, width, height] = box.map((value) => value * scale);
  const color = colorOf(label);
  const lineWidth = isSmall ? 1.5 : 2;
  drawShape(context, detection, scale, { color, lineWidth });
  context.strokeStyle = color;
  context.lineWidth = lineWidth;
  context.save();
  context.translate(x + width / 2, y + height / 2);
  context.rotate((angle * Math.PI) / 180);
  context.beginPath();
  context.roundRect(-width / 2, -height / 2, width, height, isSmall ? 2 : 3);
  context.stroke();
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {TriedEvent} event
 * @param {{ width: number, height: number }} size of the picture, in CSS pixels
 */
function drawEvent(context, { path = [], best }, size) {
  const way = new Path2D();
  for (const [x, y] of path) way.lineTo(x * size.width, y * size.height);
  strokeCased(context, way, PATH, 2);
  if (best === undefined) return;
  const scale = size.width / best.width;
  const [x, y, width, height] = best.box.map((value) => value * scale);
  const box = new Path2D();
  box.rect(x, y, width, height);
  strokeCased(context, box, SUBJECT, 3);
}

/**
 * Draws the labels of the largest objects first: above the box, or inside it if there is no room above.
 *
 * @param {Labels} labels
 * @param {readonly Detection[]} detections
 * @param {number} scale CSS pixels per source pixel
 * @param {boolean} isSmall
 */
function drawLabels(labels, detections, scale, isSmall) {
  for (const detection of detections.toSorted((a, b) => area(b) - area(a))) {
    const [x, y] = detection.box.map((value) => value * scale);
    const spots = [
      { x: x - 1, y: y - labels.height },
      { x: x - 1, y },
    ];
    const colors = { fill: colorOf(detection.label), text: LABEL_TEXT };
    labels.draw(labelText(detection, isSmall), y >= labels.height ? spots : spots.slice(1), colors);
  }
}

/**
 * @param {Detection} detection
 * @param {boolean} isSmall
 */
function labelText({ label, score, trackId, attributes = {} }, isSmall) {
  const track = trackId === undefined ? '' : ` #${trackId}`;
  const said = Object.values(attributes).flatMap((attribute) => attribute.label ?? []);
  return [`${label}${track}`, ...(isSmall ? [] : [`${Math.round(score * 100)} %`]), ...said].join(' ');
}

const area = (/** @type {Detection} */ { box }) => box[2] * box[3];

/** Pictures that are decoded in one frame of the page: those of a hundred cameras come together, and would hold it up. */
const MOST_A_FRAME = 2;
/** While the page scrolls, and for a moment after, there is one picture in so many milliseconds. */
const SCROLLING_MS = 250;
let scrolledMs = Number.NEGATIVE_INFINITY;
let turnMs = 0;
document.addEventListener(
  'scroll',
  () => {
    scrolledMs = performance.now();
  },
  { capture: true, passive: true },
);
/** Who waits for the next frame. @type {(() => void)[]} */
const waiting = [];

/** @returns {Promise<void>} */
function turnToDecode() {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) requestAnimationFrame(giveTurns);
  });
}

function giveTurns() {
  const nowMs = performance.now();
  const isScrolling = nowMs - scrolledMs < SCROLLING_MS;
  if (!isScrolling || nowMs - turnMs >= SCROLLING_MS) {
    turnMs = nowMs;
    for (const resolve of waiting.splice(0, isScrolling ? 1 : MOST_A_FRAME)) resolve();
  }
  if (waiting.length > 0) requestAnimationFrame(giveTurns);
}

/**
 * @param {Uint8Array<ArrayBuffer>} jpeg
 * @returns {Promise<ImageBitmap | null>}
 */
async function decode(jpeg) {
  try {
    return await createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }));
  } catch {
    // A broken picture is ignored; the next one arrives soon.
    return null;
  }
}

/** @param {Shown} preview */
function describe(preview) {
  const { stream } = preview;
  const { detections, isOlder } = boxesOf(preview);
  const counts = new Map();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  const found = [...counts].map(([label, count]) => `${count} ${label}`).join(', ');
  return `Picture of ${stream}: ${found || 'nothing detected'}${isOlder ? ' in an earlier one' : ''}`;
}
