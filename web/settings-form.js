/** @import { PictureView } from './overlay.js' */
/** @import { StreamChange, StreamDetails } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { element, runBusy } from './element.js';
import { gateway } from './gateway.js';
import { SightlineError } from './lib/client/index.js';
import { PlaceList } from './place-list.js';
import { SourceTester } from './source-test.js';

/** A fault in a message of the gateway: `target.fps: expected at most maxFps, 10, received 25 (number)`. */
const FAULT = /^([a-zA-Z]+(?:\[\d+\]|\.[a-zA-Z]+)*): /;
/**
 * How a user would call a setting.
 *
 * @type {Readonly<Record<string, string>>}
 */
const WORDS = {
  source: 'the address',
  maxFps: 'the rate',
  every: 'the rate',
  target: 'the targets',
  track: 'tracking',
  labels: 'the labels',
  scoreThreshold: 'the score threshold',
};

/**
 * @typedef {object} Field
 * @property {string} key as the gateway names it, such as `target.fps`
 * @property {HTMLInputElement} input
 * @property {HTMLElement} error
 * @property {string} shown text when the form was filled
 */

/**
 * The settings of one stream, to change what runs. Only what was edited is sent, and only if nobody else has changed the stream since
 * it was read.
 */
export class SettingsForm {
  #id;
  #places;
  /** @type {Map<string, Field>} */
  #fields = new Map();
  /** @type {StreamDetails | null} */
  #details = null;
  #error = element('p', { class: 'form-error', role: 'alert' });
  #done = element('p', { class: 'form-done', role: 'status' });
  #conflict = element('div', { class: 'conflict', role: 'alert', hidden: true });
  #submit = element('button', { class: 'button button-primary', type: 'submit' }, 'Apply');
  #cancel = element('button', { class: 'button', type: 'button' }, 'Cancel');
  #groups = element('div', { class: 'settings-groups' });
  node = element(
    'form',
    { class: 'settings', 'aria-label': 'Settings', novalidate: true },
    this.#groups,
    this.#error,
    this.#conflict,
    element('div', { class: 'settings-actions' }, this.#done, this.#cancel, this.#submit),
  );

  /**
   * @param {string} id of the stream
   * @param {PictureView | null} picture on which its zones and lines are moved
   */
  constructor(id, picture) {
    this.#id = id;
    this.#places = new PlaceList(picture);
    this.node.addEventListener('submit', (event) => {
      event.preventDefault();
      runBusy(this.#submit, () => this.#apply());
    });
    this.#cancel.addEventListener('click', () => runBusy(this.#cancel, () => this.#discard('Nothing was changed.')));
    this.node.addEventListener('input', () => {
      this.#done.textContent = '';
    });
  }

  /** Fills the form with the settings in use. */
  async load() {
    try {
      this.#fill(await gateway.streams.get(this.#id));
    } catch (error) {
      this.#error.textContent = errorMessage(error);
    }
  }

  /** Takes the handles from the picture. */
  close() {
    this.#places.isMoving = false;
  }

  /** True while something was edited and not applied. */
  get isEdited() {
    return this.#details !== null && Object.keys(this.#change()).length > 0;
  }

  /** Says, when the form is shown again, that it still holds what was edited. */
  remind() {
    this.#done.textContent = 'These changes of yours are not applied yet.';
  }

  /** @param {StreamDetails} details */
  #fill(details) {
    this.#details = details;
    this.#fields.clear();
    const { target } = details;
    // Older gateways do not say them.
    const settings = /** @type {StreamDetails['settings'] | undefined} */ (details.settings);
    const hint = settings === undefined ? 'Empty: unchanged.' : undefined;
    /** @type {Partial<Exclude<StreamDetails['settings']['track'], boolean>>} */
    const track = typeof settings?.track === 'object' ? settings.track : {};
    const places = [...(settings?.zones ?? []), ...(settings?.lines ?? [])];
    const isTracked = settings !== undefined && (settings.track !== false || places.length > 0);
    this.#groups.replaceChildren(
      group('Source', ...this.#sourceField(settings?.source ?? details.source)),
      group(
        'Rate',
        this.#field('maxFps', 'Max frames/s', settings?.maxFps, hint ?? 'Empty: no limit.'),
        this.#field('every', 'Every n-th', settings?.every, hint),
      ),
      group(
        'Targets',
        this.#field('target.fps', 'Frames/s', target.fps ?? undefined, 'Empty: none.'),
        this.#field('target.latencyMs', 'p99, ms', target.latencyMs ?? undefined, 'Empty: none.'),
      ),
      group(
        'Objects',
        this.#field('labels', 'Labels', settings?.labels?.join(', '), hint ?? 'Separated by commas. Empty: all.'),
        this.#field('scoreThreshold', 'Least score', settings?.scoreThreshold, hint ?? "Empty: the model's."),
      ),
      ...(isTracked
        ? [
            group(
              'Tracking thresholds, 0 to 1',
              this.#field('track.lowScore', 'Continues a track', track.lowScore),
              this.#field('track.highScore', 'Matched first', track.highScore, 'Empty: 0.4 at most.'),
              this.#field('track.newScore', 'Starts a track', track.newScore, 'Empty: the least score.'),
            ),
          ]
        : []),
      ...(settings === undefined ? [] : [this.#places.node]),
    );
    if (settings !== undefined) this.#places.fill(settings);
  }

  /** @param {string} source */
  #sourceField(source) {
    const node = this.#field('source', 'Address', source, 'Passwords are not shown. An unchanged address keeps them.');
    const { input } = /** @type {Field} */ (this.#fields.get('source'));
    const test = new SourceTester(input, () => ({ ...this.#details?.settings, id: this.#id }));
    const row = element('div', { class: 'with-button' });
    input.replaceWith(row);
    row.append(input, test.button);
    node.append(test.result);
    return [node];
  }

  /**
   * @param {string} key
   * @param {string} label
   * @param {string | number | undefined} value
   * @param {string} [hint]
   */
  #field(key, label, value, hint) {
    const name = `setting-${key}`;
    const shown = value === undefined ? '' : String(value);
    const input = element('input', {
      id: name,
      name: key,
      value: shown,
      autocomplete: 'off',
      spellcheck: 'false',
      inputmode: key === 'source' || key === 'labels' ? null : 'decimal',
      'aria-describedby': `${name}-error${hint === undefined ? '' : ` ${name}-hint`}`,
    });
    const error = element('p', { class: 'field-error', id: `${name}-error` });
    this.#fields.set(key, { key, input, error, shown });
    return element(
      'div',
      { class: 'field' },
      element('label', { for: name }, label),
      input,
      ...(hint === undefined ? [] : [element('p', { class: 'hint', id: `${name}-hint` }, hint)]),
      error,
    );
  }

  async #apply() {
    this.#clearErrors();
    const change = this.#change();
    if (Object.keys(change).length === 0) {
      this.#done.textContent = 'Nothing was changed.';
      return;
    }
    try {
      await gateway.streams.update(this.#id, change, { etag: this.#details?.etag });
      await this.load();
      this.#done.textContent = 'Applied.';
    } catch (error) {
      if (error instanceof SightlineError && error.code === 'STREAM_CHANGED') await this.#showConflict();
      else this.#showError(error);
    }
  }

  /** Drops what was edited. @param {string} otherwise what to say if that is nothing */
  async #discard(otherwise) {
    const wasEdited = this.isEdited;
    this.#clearErrors();
    this.#places.isMoving = false;
    await this.load();
    this.#done.textContent = wasEdited ? 'Your changes were dropped.' : otherwise;
  }

  /** Somebody else was faster: says what they changed, and lets the user choose. */
  async #showConflict() {
    const before = this.#details?.settings;
    /** @type {StreamDetails} */
    let now;
    try {
      now = await gateway.streams.get(this.#id);
    } catch (error) {
      this.#showError(error);
      return;
    }
    const words = changedWords(before, now.settings);
    const text = `Somebody else has changed ${words} of this stream meanwhile, so nothing of yours was applied.`;
    const load = element('button', { type: 'button', class: 'button' }, 'Show the new settings');
    const keep = element('button', { type: 'button', class: 'button' }, 'Keep editing');
    load.addEventListener('click', () => this.#settleConflict(now, false));
    keep.addEventListener('click', () => this.#settleConflict(now, true));
    this.#conflict.replaceChildren(element('p', {}, text), element('div', {}, load, keep));
    this.#conflict.hidden = false;
    keep.focus();
  }

  /**
   * @param {StreamDetails} now
   * @param {boolean} keepsEdits
   */
  #settleConflict(now, keepsEdits) {
    this.#conflict.hidden = true;
    this.#places.isMoving &&= keepsEdits;
    const edited = [...this.#fields.values()].filter(isEdited).map(({ key, input }) => ({ key, text: input.value }));
    const places = this.#places.draft;
    this.#fill(now);
    if (keepsEdits) {
      for (const { key, text } of edited) {
        const field = this.#fields.get(key);
        if (field !== undefined) field.input.value = text;
      }
      this.#places.draft = places;
    }
    this.#done.textContent = keepsEdits
      ? 'These are the new settings with your changes. Apply them if they still fit.'
      : 'Your changes were dropped.';
    this.#submit.focus();
  }

  /** What was edited, as the gateway takes it: of a section only what was edited in it, and null for a field that is empty now. */
  #change() {
    /** @type {Record<string, unknown>} */
    const change = { ...this.#places.change };
    for (const { key } of [...this.#fields.values()].filter(isEdited)) {
      const [section, name] = key.split('.');
      const value = this.#valueOf(key);
      if (name === undefined) change[section] = value;
      else change[section] = { .../** @type {object | undefined} */ (change[section]), [name]: value };
    }
    return /** @type {StreamChange} */ (change);
  }

  /** @param {string} key */
  #valueOf(key) {
    if (key === 'source') return this.#text(key);
    if (key !== 'labels') return this.#number(key) ?? null;
    const labels = this.#text(key)
      .split(',')
      .map((label) => label.trim())
      .filter((label) => label !== '');
    return labels.length === 0 ? null : labels;
  }

  /** @param {string} key */
  #text(key) {
    return this.#fields.get(key)?.input.value.trim() ?? '';
  }

  /**
   * A number; undefined if the field is empty. Other text is sent as it is: the gateway says what is wrong with it.
   *
   * @param {string} key
   */
  #number(key) {
    const text = this.#text(key);
    if (text === '') return undefined;
    return Number.isNaN(Number(text)) ? text : Number(text);
  }

  get #allFields() {
    return [...this.#fields.values(), ...this.#places.fields];
  }

  #clearErrors() {
    this.#error.textContent = '';
    this.#done.textContent = '';
    this.#conflict.hidden = true;
    for (const { input, error } of this.#allFields) {
      error.textContent = '';
      input.removeAttribute('aria-invalid');
    }
  }

  /**
   * Shows each fault at its field, and what belongs to no field below the form.
   *
   * @param {unknown} error
   */
  #showError(error) {
    const message = errorMessage(error);
    const isSource =
      message.startsWith('source "') || (error instanceof SightlineError && error.code.startsWith('SOURCE_'));
    const faults = isSource ? [`source: ${message}`] : faultsOf(message);
    const rest = faults.filter((fault) => !this.#showFault(fault));
    this.#error.textContent = rest.join('; ');
    const first = this.#allFields.find(({ input }) => input.getAttribute('aria-invalid') === 'true');
    first?.input.focus();
  }

  /**
   * @param {string} fault
   * @returns {boolean} false if it belongs to no field
   */
  #showFault(fault) {
    const path = FAULT.exec(fault)?.[1];
    if (path === undefined) return false;
    // `zones[0].labels[1]` is shown at `zones[0].labels`.
    const field = this.#allFields.find(({ key }) => path === key || path.startsWith(`${key}[`));
    if (field === undefined) return false;
    field.error.textContent = fault.slice(path.length + 2);
    field.input.setAttribute('aria-invalid', 'true');
    return true;
  }
}

/** @param {Field} field */
const isEdited = ({ input, shown }) => input.value !== shown;

/**
 * What somebody else has changed, as a user would call it.
 *
 * @param {object | undefined} before
 * @param {object} now
 */
function changedWords(before = {}, now) {
  const [old, next] = /** @type {Record<string, unknown>[]} */ ([before, now]);
  const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])];
  const changed = keys.filter((key) => JSON.stringify(old[key]) !== JSON.stringify(next[key]));
  const words = [...new Set(changed.map((key) => WORDS[key] ?? key))];
  return words.length === 0 ? 'settings' : words.join(', ');
}

/**
 * Splits `stream "gate": maxFps: expected …; target.fps: expected …` into faults.
 *
 * @param {string} message
 */
function faultsOf(message) {
  const parts = message.replace(/^stream "[^"]*": /, '').split('; ');
  /** @type {string[]} */
  const faults = [];
  for (const part of parts) {
    // A semicolon may be part of a fault.
    if (faults.length === 0 || FAULT.test(part)) faults.push(part);
    else faults[faults.length - 1] += `; ${part}`;
  }
  return faults;
}

/**
 * @param {string} title
 * @param {Node[]} fields
 */
function group(title, ...fields) {
  return element('fieldset', { class: 'settings-group' }, element('legend', {}, title), ...fields);
}
