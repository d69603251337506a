/** @import { Place } from './place-editor.js' */
/** @import { StreamDetails } from './lib/client/index.js' */
/** @import { PictureView } from './overlay.js' */

import { element } from './element.js';
import { PlaceEditor, placeName } from './place-editor.js';

/** @typedef {'zones' | 'lines'} Kind */
/** @type {readonly Kind[]} */
const KINDS = ['zones', 'lines'];
/** @type {Record<Kind, string>} */
const NOUNS = { zones: 'Zone', lines: 'Line' };
/** @type {Record<Kind, [number, number][]>} */
const NEW = {
  zones: [
    [0.3, 0.3],
    [0.7, 0.3],
    [0.7, 0.7],
    [0.3, 0.7],
  ],
  lines: [
    [0.5, 0.85],
    [0.5, 0.25],
  ],
};

/** The zones and lines of a stream in its form: names, labels, and their shapes on the picture. Nothing holds until it is applied. */
export class PlaceList {
  #picture;
  /** @type {Place[]} */
  #places = [];
  /** The settings that hold, as JSON. */
  #shown = { zones: '', lines: '' };
  #rows = element('div', { class: 'place-rows' });
  #status = element('p', { class: 'hint', role: 'status' });
  #toggle = element(
    'button',
    { type: 'button', class: 'button button-small', 'aria-pressed': 'false' },
    'Move on the picture',
  );
  #editor = new PlaceEditor({
    onMoved: (text) => {
      this.#status.textContent = text;
    },
    onRemove: (place) => this.#remove(place),
    onLeave: () => {
      this.isMoving = false;
      this.#toggle.focus();
    },
  });
  /** @type {{ key: string, input: HTMLInputElement, error: HTMLElement }[]} */
  fields = [];
  node = element('fieldset', { class: 'settings-group places-group' }, element('legend', {}, 'Zones and lines'));

  /** @param {PictureView | null} picture of the stream; null: shapes cannot be moved */
  constructor(picture) {
    this.#picture = picture;
    const adders = KINDS.map((kind) => {
      const button = element(
        'button',
        { type: 'button', class: 'button button-small' },
        `Add ${NOUNS[kind].toLowerCase()}`,
      );
      button.addEventListener('click', () => this.#add(kind));
      return button;
    });
    this.#toggle.addEventListener('click', () => {
      this.isMoving = !this.isMoving;
      if (this.isMoving) this.#goTo(this.#places[0]);
    });
    this.node.append(this.#rows, element('div', { class: 'place-buttons' }, this.#toggle, ...adders), this.#status);
  }

  /** @param {StreamDetails['settings']} settings */
  fill(settings) {
    this.#places = KINDS.flatMap((kind) => settings[kind].map((value) => placeOf(kind, value)));
    for (const kind of KINDS) this.#shown[kind] = JSON.stringify(this.#settings(kind));
    this.#status.textContent = '';
    this.#build();
  }

  get isEdited() {
    return KINDS.some((kind) => this.#isEdited(kind));
  }

  /** What was edited: all zones, all lines, or both. */
  get change() {
    return Object.fromEntries(KINDS.filter((kind) => this.#isEdited(kind)).map((kind) => [kind, this.#settings(kind)]));
  }

  /** The places as they are edited, with what is known of the edits; null if nothing was edited. */
  get draft() {
    return this.isEdited ? { places: this.#places, edited: KINDS.filter((kind) => this.#isEdited(kind)) } : null;
  }

  /** Puts edited places over those that hold now. */
  set draft(draft) {
    if (draft === null) return;
    const { places, edited } = draft;
    const of = (/** @type {Kind} */ kind) =>
      (edited.includes(kind) ? places : this.#places).filter((each) => each.kind === kind);
    this.#places = KINDS.flatMap(of);
    this.#build();
  }

  /** Whether the shapes on the picture can be moved now. */
  get isMoving() {
    return this.#toggle.getAttribute('aria-pressed') === 'true';
  }

  set isMoving(isMoving) {
    this.#toggle.setAttribute('aria-pressed', String(isMoving));
    this.#picture?.edit(isMoving ? this.#editor.node : null);
    this.#status.textContent = isMoving
      ? 'Drag shapes and corners on the picture, or use Tab and the arrow keys. Delete removes, + adds a corner.'
      : '';
  }

  /** @param {Kind} kind */
  #isEdited(kind) {
    return JSON.stringify(this.#settings(kind)) !== this.#shown[kind];
  }

  /** @param {Kind} kind */
  #settings(kind) {
    return this.#places.filter((place) => place.kind === kind).map(settingsOf);
  }

  /** @param {Kind} kind */
  #add(kind) {
    const taken = new Set(this.#places.filter((place) => place.kind === kind).map(({ id }) => id));
    let number = 1;
    while (taken.has(`${NOUNS[kind].toLowerCase()}-${number}`)) number += 1;
    const id = `${NOUNS[kind].toLowerCase()}-${number}`;
    const place = { kind, id, labels: '', points: structuredClone(NEW[kind]), rest: {} };
    this.#places.push(place);
    this.#build();
    if (this.#picture !== null) this.isMoving = true;
    this.#status.textContent = `${placeName(place)} was added. ${this.#status.textContent}`;
    this.#goTo(place);
    this.#changed();
  }

  /** Shows the picture, with the focus on a place. @param {Place} place */
  #goTo(place) {
    this.#picture?.node.scrollIntoView({ block: 'center' });
    this.#editor.focus(place);
  }

  /** @param {Place} place */
  #remove(place) {
    const at = this.#places.indexOf(place);
    this.#places.splice(at, 1);
    const isOnPicture = this.#editor.node.contains(document.activeElement);
    this.#build();
    this.#status.textContent = `${placeName(place)} will be removed when you apply. Cancel brings it back.`;
    const next = this.#places[Math.min(at, this.#places.length - 1)];
    if (next === undefined) this.#toggle.focus();
    else if (isOnPicture) this.#editor.focus(next);
    else this.#rows.querySelectorAll('button')[this.#places.indexOf(next)]?.focus();
    this.#changed();
  }

  /** A button has changed what the form holds. */
  #changed() {
    this.node.dispatchEvent(new Event('input', { bubbles: true }));
  }

  #build() {
    this.fields = [];
    this.#rows.replaceChildren(...KINDS.flatMap((kind) => this.#rowsOf(kind)));
    this.#toggle.hidden = this.#places.length === 0 || this.#picture === null;
    if (this.#places.length === 0) this.isMoving = false;
    this.#editor.show(this.#places);
  }

  /** @param {Kind} kind */
  #rowsOf(kind) {
    return this.#places
      .filter((place) => place.kind === kind)
      .map((place, i) => {
        const remove = element('button', { type: 'button', class: 'button button-small' }, 'Delete');
        remove.setAttribute('aria-label', `Delete ${placeName(place)}`);
        remove.addEventListener('click', () => this.#remove(place));
        return element(
          'div',
          { class: 'place-row', 'data-place': `${kind}[${i}]` },
          this.#field(place, 'id', `${kind}[${i}].id`, NOUNS[kind]),
          this.#field(place, 'labels', `${kind}[${i}].labels`, 'Labels', 'Separated by commas. Empty: all.'),
          remove,
        );
      });
  }

  /**
   * @param {Place} place
   * @param {'id' | 'labels'} name
   * @param {string} key
   * @param {string} label
   * @param {string} [hint]
   */
  #field(place, name, key, label, hint) {
    const id = `setting-${key}`;
    const input = element('input', { id, name: key, value: place[name], autocomplete: 'off', spellcheck: 'false' });
    input.setAttribute('aria-describedby', `${id}-error`);
    if (hint !== undefined) input.placeholder = 'all';
    if (hint !== undefined) input.title = hint;
    const error = element('p', { class: 'field-error', id: `${id}-error` });
    input.addEventListener('input', () => {
      place[name] = input.value;
    });
    input.addEventListener('change', () => {
      if (name === 'id') this.#editor.show(this.#places);
    });
    this.fields.push({ key, input, error });
    return element('div', { class: 'field' }, element('label', { for: id }, label), input, error);
  }
}

/**
 * @param {Kind} kind
 * @param {StreamDetails['settings'][Kind][number]} value
 * @returns {Place}
 */
function placeOf(kind, value) {
  const points = 'polygon' in value ? value.polygon : [value.from, value.to];
  const labels = value.labels?.join(', ') ?? '';
  return {
    kind,
    id: value.id,
    labels,
    points: structuredClone(/** @type {[number, number][]} */ (points)),
    rest: value,
  };
}

/** @param {Place} place */
function settingsOf({ kind, id, labels, points, rest }) {
  const { labels: _, ...others } = /** @type {{ labels?: unknown }} */ (rest);
  const names = labels.split(',').map((label) => label.trim());
  const wanted = names.filter((label) => label !== '');
  const shape = kind === 'zones' ? { polygon: points } : { from: points[0], to: points[1] };
  return { ...others, id, ...shape, ...(wanted.length === 0 ? {} : { labels: wanted }) };
}
