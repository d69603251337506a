import { element } from './element.js';

/** Successive multiples of the golden angle are far apart for any number of classes. */
const GOLDEN_ANGLE = 137.508;
const LABEL_TEXT = '#0b0f14';

function classColor(classId) {
  return `oklch(0.8 0.13 ${Math.round((235 + classId * GOLDEN_ANGLE) % 360)})`;
}

/** The picture of a stream with the boxes of the same frame drawn over it. */
export class PictureView {
  node = element('div', { class: 'view', role: 'img', 'aria-label': 'No picture yet' });
  #picture = element('canvas', { class: 'picture' });
  #overlay = element('canvas', { class: 'overlay' });
  #shown = null;
  #isDecoding = false;
  #next = null;
  #resizes = new ResizeObserver(() => this.#drawBoxes());

  constructor() {
    this.node.append(this.#picture, this.#overlay);
    this.#resizes.observe(this.node);
  }

  /** Shows a `preview` message. If pictures arrive faster than they can be decoded, only the newest is shown. */
  async show(preview) {
    this.#next = preview;
    if (this.#isDecoding) return;
    this.#isDecoding = true;
    while (this.#next !== null) {
      const current = this.#next;
      this.#next = null;
      const bitmap = await decode(current.jpeg);
      if (bitmap !== null) this.#draw(bitmap, current);
    }
    this.#isDecoding = false;
  }

  destroy() {
    this.#resizes.disconnect();
    this.#next = null;
  }

  /** Draws picture and boxes in the same task, so that boxes never appear on the wrong frame. */
  #draw(bitmap, preview) {
    if (this.#picture.width !== bitmap.width || this.#picture.height !== bitmap.height) {
      this.#picture.width = bitmap.width;
      this.#picture.height = bitmap.height;
    }
    this.#picture.getContext('2d').drawImage(bitmap, 0, 0);
    bitmap.close();
    this.#shown = preview;
    this.node.dataset.hasPicture = 'true';
    this.node.setAttribute('aria-label', describe(preview));
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
    const context = this.#overlay.getContext('2d');
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (this.#shown === null || width === 0) return;
    // The same fit as the picture's `object-fit: contain`.
    const { width: sourceWidth, height: sourceHeight, detections } = this.#shown;
    const scale = Math.min(clientWidth / sourceWidth, clientHeight / sourceHeight);
    const left = (clientWidth - sourceWidth * scale) / 2;
    const top = (clientHeight - sourceHeight * scale) / 2;
    context.setTransform(ratio, 0, 0, ratio, left * ratio, top * ratio);
    const isSmall = clientWidth < 360;
    for (const detection of detections) drawBox(context, detection, scale, isSmall);
    drawLabels(context, detections, scale, isSmall);
  }
}

function drawBox(context, { box, classId }, scale, isSmall) {
  const [x, y, width, height] = box.map((value) => value * scale);
  context.strokeStyle = classColor(classId);
  context.lineWidth = isSmall ? 1.5 : 2;
  context.beginPath();
  context.roundRect(x, y, width, height, isSmall ? 2 : 3);
  context.stroke();
}

/** Draws the labels of the largest objects first and leaves out labels that would overlap another. */
function drawLabels(context, detections, scale, isSmall) {
  const [fontPx, padPx] = isSmall ? [9, 3] : [12, 5];
  const height = fontPx + padPx + 1;
  context.font = `600 ${fontPx}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  const taken = [];
  for (const detection of detections.toSorted((a, b) => area(b) - area(a))) {
    const [x, y] = detection.box.map((value) => value * scale);
    const text = labelText(detection, isSmall);
    // Above the box, or inside it if there is no room above.
    const place = {
      x: x - 1,
      y: y >= height ? y - height : y,
      width: context.measureText(text).width + 2 * padPx,
      height,
    };
    if (taken.some((other) => overlaps(place, other))) continue;
    taken.push(place);
    context.fillStyle = classColor(detection.classId);
    context.beginPath();
    context.roundRect(place.x, place.y, place.width, height, 2);
    context.fill();
    context.fillStyle = LABEL_TEXT;
    context.fillText(text, place.x + padPx, place.y + height / 2 + 0.5);
  }
}

function labelText({ label, score, trackId }, isSmall) {
  const track = trackId === undefined ? '' : ` #${trackId}`;
  return isSmall ? `${label}${track}` : `${label}${track} ${Math.round(score * 100)} %`;
}

const area = ({ box }) => box[2] * box[3];

function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

async function decode(jpeg) {
  try {
    return await createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }));
  } catch {
    // A broken picture is ignored; the next one arrives soon.
    return null;
  }
}

function describe({ stream, detections }) {
  const counts = new Map();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  const found = [...counts].map(([label, count]) => `${count} ${label}`).join(', ');
  return `Picture of ${stream}: ${found || 'nothing detected'}`;
}
