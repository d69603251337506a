/** @import { EditHistory } from './edit-history.js' */
/** @import { Place } from './place-editor.js' */
/** @import { PlacedLine, PlacedZone, StreamDetails } from './lib/client/index.js' */
/** @import { PictureView } from './overlay.js' */

import { element } from './element.js';
import { html, nothing, render, repeat } from './html.js';
import { labelField } from './label-field.js';
import { PlaceEditor, placeName } from './place-editor.js';
import { isSame, mergeList, withChanges } from './settings-edits.js';

/** @import { EditedEntry, Settings } from './settings-edits.js' */

/** @typedef {'zones' | 'lines' | 'masks'} Kind */
/**
 * What the page knows of the settings of a zone, a line or a mask.
 *
 * @typedef {{ id: string, labels?: string[], polygon?: [number, number][], from: [number, number], to: [number, number] }} Shape
 */

/** @type {readonly Kind[]} */
const KINDS = ['zones', 'lines', 'masks'];
/** @type {Record<Kind, string>} */
const NOUNS = { zones: 'Zone', lines: 'Line', masks: 'Mask' };
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
  masks: [
    [0.1, 0.1],
    [0.3, 0.1],
    [0.3, 0.3],
    [0.1, 0.3],
  ],
};
const HELP = 'Drag shapes and corners on the picture, or use Tab and the arrow keys. Delete removes, + adds a corner.';

/** The zones, lines and masks of a stream: names, labels and counts, and their shapes on the picture. Nothing holds until it is saved. */
export class PlaceList {
  #picture;
  #history;
  #onRename;
  /** @type {Place[]} */
  #places = [];
  /** @type {Place | null} */
  #selected = null;
  /** Nothing is known of the settings before, and nothing is shown. */
  #isFilled = false;
  /** Those that hold. @type {Record<Kind, readonly Settings[]>} */
  #before = { zones: [], lines: [], masks: [] };
  #status = '';
  #isEditing = false;
  /** @type {{ zones: readonly PlacedZone[], lines: readonly PlacedLine[] }} */
  #counts = { zones: [], lines: [] };
  #editor = new PlaceEditor({
    onSelect: (place) => this.#select(place),
    onChange: (what) => this.#history.remember(what),
    onMoved: (text) => {
      this.#status = text;
      this.#changed();
    },
    onRemove: (place) => this.#remove(place),
    onLeave: () => this.#pick(this.#selected)?.focus(),
  });
  node = element('div', { class: 'places-group' });

  /**
   * @param {PictureView} picture of the stream
   * @param {EditHistory} history
   * @param {(kind: 'zones' | 'lines', from: string, to: string) => void} onRename called when rules must use another name
   * @param {(event: KeyboardEvent) => void} onKey gets the keys that are pressed on the picture
   */
  constructor(picture, history, onRename, onKey) {
    this.#picture = picture;
    this.#history = history;
    this.#onRename = onRename;
    this.#editor.node.addEventListener('keydown', onKey);
    // A drag has ended.
    this.#editor.node.addEventListener('pointerup', () => this.#changed());
  }

  /** @param {StreamDetails['settings']} settings */
  fill(settings) {
    const selected = this.#selected;
    // A gateway of an older host knows no masks.
    for (const kind of KINDS) this.#before[kind] = /** @type {readonly Settings[]} */ (settings[kind] ?? []);
    this.#places = KINDS.flatMap((kind) =>
      this.#before[kind].map((value) => placeOf(kind, { was: String(value.id), settings: value })),
    );
    this.#status = '';
    this.#isFilled = true;
    this.#select(this.#places.find(({ kind, id }) => kind === selected?.kind && id === selected.id) ?? null);
  }

  /** How many are inside, and have crossed. */
  set counts(/** @type {{ zones: readonly PlacedZone[], lines: readonly PlacedLine[] }} */ counts) {
    this.#counts = counts;
    this.#draw();
  }

  /** Whether the shapes on the picture can be moved. */
  set isEditing(/** @type {boolean} */ isEditing) {
    this.#isEditing = isEditing;
    this.#picture.edit(isEditing && this.#places.length > 0 ? this.#editor.node : null);
  }

  get isEdited() {
    return KINDS.some((kind) => this.#isEdited(kind));
  }

  /** What was edited: all zones, all lines, or both. */
  get change() {
    return Object.fromEntries(KINDS.filter((kind) => this.#isEdited(kind)).map((kind) => [kind, this.#settings(kind)]));
  }

  /** The places as they are edited, to be put over others that hold now; null if nothing was edited. */
  get draft() {
    if (!this.isEdited) return null;
    const entriesOf = (/** @type {Kind} */ kind) =>
      this.#of(kind).map((place) => ({ was: place.was, settings: settingsOf(place) }));
    return KINDS.map((kind) => ({ kind, before: this.#before[kind], edited: entriesOf(kind) }));
  }

  /** Puts edited places over those that hold now. */
  set draft(/** @type {{ kind: Kind, before: readonly Settings[], edited: readonly EditedEntry[] }[] | null} */ draft,) {
    if (draft === null) return;
    this.#places = draft.flatMap(({ kind, before, edited }) =>
      mergeList(before, edited, this.#before[kind]).map((entry) => placeOf(kind, entry)),
    );
    this.#select(null);
  }

  /** The fields of names and labels, with the elements for their faults. */
  get fields() {
    return [...this.node.querySelectorAll('input')].map((input) => {
      const error = /** @type {HTMLElement} */ (input.closest('.field')?.querySelector('.field-error'));
      return { key: input.name, input, error };
    });
  }

  /** Shows the field of a fault. @param {string} key */
  reveal(key) {
    this.#select(this.#places.find((place) => key.startsWith(`${this.#keyOf(place)}.`)) ?? this.#selected);
  }

  /** All places as they are edited, to be restored. */
  get state() {
    return this.#places;
  }

  set state(places) {
    const at = this.#selected === null ? -1 : this.#places.indexOf(this.#selected);
    this.#places = places;
    this.#status = 'The last change was taken back.';
    this.#select(places[at] ?? null);
  }

  /** @param {Kind} kind */
  #isEdited(kind) {
    return !isSame(this.#settings(kind), this.#before[kind]);
  }

  /** @param {Kind} kind */
  #settings(kind) {
    return this.#of(kind).map(settingsOf);
  }

  /** @param {Kind} kind */
  #of(kind) {
    return this.#places.filter((place) => place.kind === kind);
  }

  /** As the gateway names it: `zones[0]`. @param {Place} place */
  #keyOf(place) {
    return `${place.kind}[${this.#of(place.kind).indexOf(place)}]`;
  }

  /** @param {Place | null} place */
  #pick(place) {
    const key = place === null ? '' : this.#keyOf(place);
    return /** @type {HTMLElement | null} */ (this.node.querySelector(`[data-place="${key}"] .place-pick`));
  }

  /** @param {Place | null} place */
  #select(place) {
    this.#selected = place;
    this.#editor.show(this.#places, place);
    this.isEditing = this.#isEditing;
    this.#draw();
  }

  /** @param {Kind} kind */
  #add(kind) {
    this.#history.remember(`add ${performance.now()}`);
    const noun = NOUNS[kind].toLowerCase();
    const taken = new Set(this.#of(kind).map(({ id }) => id));
    let number = 1;
    while (taken.has(`${noun}-${number}`)) number += 1;
    const place = {
      kind,
      was: null,
      id: `${noun}-${number}`,
      known: `${noun}-${number}`,
      labels: [],
      points: structuredClone(NEW[kind]),
      rest: {},
    };
    this.#places.push(place);
    this.#status = `${placeName(place)} was added. ${HELP}`;
    this.#select(place);
    this.#picture.node.scrollIntoView({ block: 'nearest' });
    this.#editor.focus(place);
    this.#changed();
  }

  /** @param {Place} place */
  #remove(place) {
    this.#history.remember(`remove ${performance.now()}`);
    const at = this.#places.indexOf(place);
    const isOnPicture = this.#editor.node.contains(document.activeElement);
    this.#places.splice(at, 1);
    this.#status = `${placeName(place)} will be removed when you save. Undo brings it back.`;
    const next = this.#places[Math.min(at, this.#places.length - 1)] ?? null;
    this.#select(next);
    if (next === null) this.node.querySelector('button')?.focus();
    else if (isOnPicture) this.#editor.focus(next);
    else this.#pick(next)?.focus();
    this.#changed();
  }

  /** Rules use the new name once it is one. @param {Place} place */
  #rename(place) {
    const { kind, id, known } = place;
    if (id === '' || this.#places.some((other) => other !== place && other.kind === kind && other.id === id)) return;
    place.known = id;
    if (kind !== 'masks') this.#onRename(kind, known, id);
  }

  /** Something was changed that is no input of a field. */
  #changed() {
    this.#draw();
    this.node.dispatchEvent(new Event('input', { bubbles: true }));
  }

  #draw() {
    if (!this.#isFilled) return;
    render(
      html`<div class="places-head">
          <h2>Places</h2>
          <span data-needs="operator">
            ${KINDS.map(
              (kind) => html`<button type="button" class="button" aria-label="Add ${NOUNS[kind].toLowerCase()}"
              @click=${() => this.#add(kind)}>+ ${NOUNS[kind]}</button>`,
            )}
          </span>
        </div>
        ${this.#places.length === 0 ? html`<p class="none">No zone and no line yet: a zone counts who is inside, a line who crosses it. A mask hides.</p>` : nothing}
        <ul class="place-rows">${repeat(
          this.#places,
          (place) => place,
          (place) => this.#row(place),
        )}</ul>
        <p class="hint" role="status">${this.#status}</p>`,
      this.node,
    );
  }

  /** @param {Place} place */
  #row(place) {
    const key = this.#keyOf(place);
    const isSelected = place === this.#selected;
    const whom =
      place.kind === 'masks' ? fillOf(place) : place.labels.length === 0 ? 'everything' : place.labels.join(', ');
    return html`<li class="place-row" data-place=${key} data-kind=${place.kind} data-selected=${isSelected || nothing}>
      <div class="place-line">
        <button type="button" class="place-pick" aria-expanded=${isSelected} @click=${() => this.#select(isSelected ? null : place)}>
          <i></i><span><b>${place.id}</b> <small>${NOUNS[place.kind]}, ${whom}</small></span>
          <span class="place-count">${this.#countText(place)}</span>
        </button>
        <button type="button" class="button button-small" data-needs="operator" aria-label="Delete ${placeName(place)}"
          @click=${() => this.#remove(place)}>Delete</button>
      </div>
      <div class="place-fields" data-needs="operator" ?hidden=${!isSelected}>
        <div class="field">
          <label for="setting-${key}.id">Name</label>
          <input id="setting-${key}.id" name="${key}.id" .value=${place.id} autocomplete="off" spellcheck="false"
            aria-describedby="setting-${key}.id-error"
            @input=${(/** @type {Event} */ { currentTarget }) => {
              this.#history.remember(`name ${key}`);
              place.id = /** @type {HTMLInputElement} */ (currentTarget).value;
              this.#rename(place);
            }}
            @change=${() => this.#select(place)}>
          <p class="field-error" id="setting-${key}.id-error"></p>
        </div>
        ${
          place.kind === 'masks'
            ? this.#fillField(place, key)
            : labelField({
                name: `${key}.labels`,
                of: placeName(place),
                labels: place.labels,
                onChange: (labels) => {
                  this.#history.remember(`labels ${performance.now()}`);
                  place.labels = labels;
                  this.#changed();
                },
              })
        }
      </div>
    </li>`;
  }

  /** @param {Place} place @param {string} key */
  #fillField(place, key) {
    return html`<div class="field">
      <label for="setting-${key}.fill">Shown instead</label>
      <select id="setting-${key}.fill" name="${key}.fill" .value=${fillOf(place)}
        @change=${(/** @type {Event} */ { currentTarget }) => {
          this.#history.remember(`fill ${performance.now()}`);
          place.rest = { ...place.rest, fill: /** @type {HTMLSelectElement} */ (currentTarget).value };
          this.#changed();
        }}>
        ${[...new Set(['black', 'blur', fillOf(place)])].map((fill) => html`<option value=${fill} ?selected=${fill === fillOf(place)}>${fill}</option>`)}
      </select>
      <p class="field-error"></p>
    </div>`;
  }

  /** @param {Place} place */
  #countText({ kind, id }) {
    if (kind === 'masks') return '';
    if (kind === 'zones') {
      const zone = this.#counts.zones.find((each) => each.id === id);
      return zone === undefined ? '' : html`<b>${zone.inside}</b> inside`;
    }
    const line = this.#counts.lines.find((each) => each.id === id);
    return line === undefined ? '' : html`<b>${line.rightToLeft}</b> left, <b>${line.leftToRight}</b> right`;
  }
}

/**
 * @param {Kind} kind
 * @param {EditedEntry} entry
 * @returns {Place}
 */
function placeOf(kind, { was, settings }) {
  const { id, labels = [], polygon, from, to } = /** @type {Shape} */ (settings);
  return {
    kind,
    was,
    id,
    known: id,
    labels: [...labels],
    points: structuredClone(polygon ?? [from, to]),
    rest: settings,
  };
}

/** @param {Place} place */
function fillOf({ rest }) {
  return /** @type {{ fill?: string }} */ (rest).fill ?? 'black';
}

/** @param {Place} place @returns {Settings} */
function settingsOf({ kind, id, labels, points, rest }) {
  const shape = kind === 'lines' ? { from: points[0], to: points[1] } : { polygon: points };
  return withChanges(/** @type {Settings} */ (rest), {
    id,
    ...shape,
    labels: labels.length === 0 ? undefined : labels,
  });
}
