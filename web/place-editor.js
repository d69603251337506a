import { element } from './element.js';

/**
 * A zone or a line while it is edited.
 *
 * @typedef {object} Place
 * @property {'zones' | 'lines' | 'masks'} kind
 * @property {string | null} was the id that it has in the settings that hold; null: it is new
 * @property {string} id
 * @property {string} known the id by which rules name it
 * @property {string[]} labels empty: all
 * @property {[number, number][]} points corners of a zone, or both ends of a line, 0 to 1 of the picture
 * @property {object} rest its settings as they were read
 *
 * @typedef {object} PlaceEvents
 * @property {(place: Place) => void} onSelect
 * @property {(what: string) => void} onChange called before a change; changes of the same `what` in a row are one
 * @property {(text: string) => void} onMoved says what a key has done
 * @property {(place: Place) => void} onRemove
 * @property {() => void} onLeave
 */

const SVG = 'http://www.w3.org/2000/svg';
/** Units of the drawing along each edge of the picture. */
const UNITS = 1000;
const STEP_PX = 1;
const LARGE_STEP_PX = 10;
const LEAST_CORNERS = 3;
/** @type {Readonly<Record<string, readonly [number, number]>>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @param {Place} place */
export const placeName = ({ kind, id }) => `${kind.slice(0, -1)} ${id}`;

/** Handles over the picture that move zones and lines: whole ones, and the corners and ends of the one that is selected. */
export class PlaceEditor {
  #events;
  /** @type {readonly Place[]} */
  #places = [];
  /** @type {Place | null} */
  #selected = null;
  #drawing = document.createElementNS(SVG, 'svg');
  #handles = element('div', { class: 'place-handles' });
  node = element('div', { class: 'place-layer', role: 'group', 'aria-label': 'Zones and lines on the picture' });

  /** @param {PlaceEvents} events */
  constructor(events) {
    this.#events = events;
    this.#drawing.setAttribute('viewBox', `0 0 ${UNITS} ${UNITS}`);
    this.#drawing.setAttribute('preserveAspectRatio', 'none');
    this.#drawing.setAttribute('aria-hidden', 'true');
    this.node.append(this.#drawing, this.#handles);
    this.node.addEventListener('pointerdown', (event) => this.#onPointerDown(event));
    this.node.addEventListener('keydown', (event) => this.#onKey(event));
    this.node.addEventListener('focusin', ({ target }) => {
      const place = this.#places[partOf(/** @type {Element} */ (target))[0]];
      if (place !== undefined && place !== this.#selected) events.onSelect(place);
    });
  }

  /**
   * The element that has the focus keeps it.
   *
   * @param {readonly Place[]} places
   * @param {Place | null} selected
   */
  show(places, selected) {
    this.#places = places;
    this.#selected = selected;
    const focused = document.activeElement?.getAttribute('data-handle');
    const hadFocus = this.#handles.contains(document.activeElement);
    this.#drawing.replaceChildren(...places.map((place, i) => shapeOf(place, i, place === selected)));
    this.#handles.replaceChildren(...places.flatMap((place, i) => handlesOf(place, i, place === selected)));
    for (const place of places) this.#arrange(place);
    if (hadFocus)
      /** @type {HTMLElement | null} */ (this.#handles.querySelector(`[data-handle="${focused}"]`))?.focus();
  }

  /**
   * Moves the focus to the handle of a whole zone or line.
   *
   * @param {Place} place
   */
  focus(place) {
    this.#handle(place, 'whole')?.focus();
  }

  /** @param {Place} place @param {number | 'whole'} part */
  #handle(place, part) {
    const key = `${this.#places.indexOf(place)} ${part}`;
    return /** @type {HTMLElement | null} */ (this.#handles.querySelector(`[data-handle="${key}"]`));
  }

  /**
   * Puts shape and handles of a place where its points are.
   *
   * @param {Place} place
   */
  #arrange(place) {
    const index = this.#places.indexOf(place);
    const text = place.points.map(([x, y]) => `${x * UNITS},${y * UNITS}`).join(' ');
    for (const part of this.#drawing.children[index].children) part.setAttribute('points', text);
    for (const node of this.#handles.children) {
      const handle = /** @type {HTMLElement} */ (node);
      const [owner, part] = partOf(handle);
      if (owner !== index) continue;
      const [x, y] = positionOf(place, part);
      handle.style.left = `${100 * x}%`;
      handle.style.top = `${100 * y}%`;
      if (part === 'arrow') handle.style.rotate = `${this.#angleOf(place)}rad`;
    }
  }

  /** Of the arrow that points to the right of a line, looking along it; 0 is to the right of the picture. @param {Place} place */
  #angleOf({ points: [from, to] }) {
    const { width, height } = this.node.getBoundingClientRect();
    const ratio = height === 0 ? 16 / 9 : width / height;
    return Math.atan2((to[0] - from[0]) * ratio, from[1] - to[1]);
  }

  /** @param {PointerEvent} event */
  #onPointerDown(event) {
    const target = /** @type {Element} */ (event.target).closest('[data-handle]:not(.place-arrow)');
    if (target === null || event.button !== 0) return;
    event.preventDefault();
    let [index, part] = partOf(target);
    const place = this.#places[index];
    if (place !== this.#selected) this.#events.onSelect(place);
    const change = `pointer ${event.timeStamp}`;
    if (part.startsWith('after')) {
      part = String(Number(part.slice(5)) + 1);
      this.#events.onChange(change);
      this.#addCorner(place, Number(part));
    }
    const handle = this.#handle(place, part === 'whole' ? part : Number(part));
    handle?.focus();
    handle?.setPointerCapture(event.pointerId);
    const start = structuredClone(place.points);
    const { width, height } = this.node.getBoundingClientRect();
    /** @param {PointerEvent} now */
    const onMove = (now) => {
      this.#events.onChange(change);
      place.points = structuredClone(start);
      this.#move(place, part, [(now.clientX - event.clientX) / width, (now.clientY - event.clientY) / height]);
    };
    const listening = new AbortController();
    const { signal } = listening;
    handle?.addEventListener('pointermove', onMove, { signal });
    for (const end of /** @type {const} */ (['pointerup', 'pointercancel', 'lostpointercapture']))
      handle?.addEventListener(end, () => listening.abort(), { signal });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { key, shiftKey } = event;
    const [index, part] = partOf(/** @type {Element} */ (event.target));
    const place = this.#places[index];
    if (key === 'Escape') this.#events.onLeave();
    else if (place === undefined) return;
    else if (key in ARROWS) {
      const step = shiftKey ? LARGE_STEP_PX : STEP_PX;
      const { width, height } = this.node.getBoundingClientRect();
      this.#events.onChange(`keys ${placeName(place)} ${part}`);
      this.#move(place, part, [(ARROWS[key][0] * step) / width, (ARROWS[key][1] * step) / height]);
      this.#events.onMoved(`${labelOf(place, part)}: ${placeText(positionOf(place, part))}`);
    } else if (key === 'Delete' || key === 'Backspace') this.#remove(place, part);
    else if ((key === '+' || key === 'Insert') && place.kind !== 'lines' && part !== 'whole') {
      const at = Number(part) + 1;
      this.#events.onChange(`corner ${event.timeStamp}`);
      this.#addCorner(place, at);
      this.#handle(place, at)?.focus();
      this.#events.onMoved(`${labelOf(place, String(at))} was added`);
    } else return;
    event.preventDefault();
    // Otherwise Escape would leave the camera.
    event.stopPropagation();
  }

  /** @param {Place} place @param {string} part @param {readonly [number, number]} by */
  #move(place, part, by) {
    const moved = part === 'whole' ? place.points : [place.points[Number(part)]];
    // What is moved stays whole, and in the picture.
    const [dx, dy] = [0, 1].map((axis) => {
      const values = moved.map((point) => point[axis]);
      return Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), by[axis]));
    });
    // Rounding alone must not change it.
    if (dx === 0 && dy === 0) return;
    for (const point of moved) {
      point[0] = rounded(point[0] + dx);
      point[1] = rounded(point[1] + dy);
    }
    this.#arrange(place);
  }

  /** Between two corners of a zone. @param {Place} place @param {number} at index of the new corner */
  #addCorner(place, at) {
    place.points.splice(at, 0, positionOf(place, `after${at - 1}`));
    this.show(this.#places, this.#selected);
  }

  /** @param {Place} place @param {string} part */
  #remove(place, part) {
    if (part === 'whole') {
      this.#events.onRemove(place);
      return;
    }
    if (place.kind === 'lines' || place.points.length <= LEAST_CORNERS) {
      this.#events.onMoved(`${placeName(place)} needs its ${place.points.length} points; delete it as a whole`);
      return;
    }
    this.#events.onChange(`corner ${performance.now()}`);
    place.points.splice(Number(part), 1);
    this.show(this.#places, this.#selected);
    this.#handle(place, Math.min(Number(part), place.points.length - 1))?.focus();
    this.#events.onMoved(`a corner of ${placeName(place)} was removed`);
  }
}

/** @param {number} value */
const rounded = (value) => Math.round(value * 10_000) / 10_000;

/** @param {readonly [number, number]} point */
const placeText = ([x, y]) => `${(100 * x).toFixed(1)} % from the left, ${(100 * y).toFixed(1)} % from the top`;

/**
 * Whose handle it is, and of what: `whole`, a point by its index, or the middle `after` a point.
 *
 * @param {Element} node
 * @returns {[index: number, part: string]}
 */
function partOf(node) {
  const [index, part] = (node.getAttribute('data-handle') ?? '').split(' ');
  return [Number(index), part];
}

/** @param {Place} place @param {string} part @returns {[number, number]} */
function positionOf({ points, kind }, part) {
  if (part.startsWith('after')) {
    const after = Number(part.slice(5));
    return middleOf([points[after], points[(after + 1) % points.length]]);
  }
  if (part === 'arrow') return middleOf(points);
  if (part !== 'whole') return points[Number(part)];
  // On a line beside its middle, where its label and its arrow are.
  return kind === 'lines' ? middleOf([points[0], middleOf(points)]) : middleOf(points);
}

/** @param {readonly (readonly [number, number])[]} points @returns {[number, number]} */
function middleOf(points) {
  const mean = (/** @type {0 | 1} */ axis) =>
    rounded(points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  return [mean(0), mean(1)];
}

/** @param {Place} place @param {number} index @param {boolean} isSelected */
function shapeOf({ kind }, index, isSelected) {
  const group = document.createElementNS(SVG, 'g');
  group.setAttribute('class', isSelected ? `${kind} selected` : kind);
  // The wide one cannot be seen: it is there to be dragged.
  for (const name of ['shape', 'grip']) {
    const part = document.createElementNS(SVG, kind === 'lines' ? 'polyline' : 'polygon');
    part.setAttribute('class', name);
    part.setAttribute('data-handle', `${index} whole`);
    group.append(part);
  }
  return group;
}

/** @param {Place} place @param {number} index @param {boolean} isSelected */
function handlesOf(place, index, isSelected) {
  const parts = ['whole', ...(isSelected ? place.points.keys() : [])].map(String);
  const handles = parts.map((part) => {
    const isWhole = part === 'whole';
    const label = `${labelOf(place, part)}. Arrow keys move it, with Shift further`;
    const attributes = { class: isWhole ? 'handle handle-whole' : 'handle', 'data-handle': `${index} ${part}` };
    const names = { 'aria-label': label, title: labelOf(place, part), 'data-kind': place.kind };
    return element('button', { type: 'button', ...attributes, ...names }, isWhole ? place.id : '');
  });
  const arrow = element(
    'span',
    { class: 'place-arrow', 'data-handle': `${index} arrow`, 'aria-hidden': 'true' },
    '\u279c',
  );
  if (place.kind === 'lines') return [arrow, ...handles];
  if (!isSelected) return handles;
  // For pointers only. With the keyboard, + adds a corner after another one.
  const middles = place.points.map((_, i) =>
    element('span', { class: 'handle handle-add', 'data-handle': `${index} after${i}`, title: 'Drag to add a corner' }),
  );
  // Below the corners, where both reach.
  return [...middles, ...handles];
}

/** @param {Place} place @param {string} part */
function labelOf(place, part) {
  const name = placeName(place);
  if (part === 'whole') return `Whole ${name}`;
  const which = place.kind === 'lines' ? ['first end', 'second end'][Number(part)] : `corner ${Number(part) + 1}`;
  return `${name}, ${which}`;
}
