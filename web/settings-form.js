/** @import { StreamChange, StreamReport } from '/lib/client/index.js' */

import { SightlineError } from '/lib/client/index.js';
import { errorMessage } from './dialogs.js';
import { element } from './element.js';
import { gateway } from './gateway.js';

/** The largest `maxFps`, in practice no limit: a change can set the key, but not remove it. */
const NO_LIMIT_FPS = 1000;
/** A fault in a message of the gateway: `target.fps: expected at most maxFps, 10, received 25 (number)`. */
const FAULT = /^([a-zA-Z]+(?:\[\d+\]|\.[a-zA-Z]+)*): /;

/**
 * @typedef {object} Field
 * @property {string} key as the gateway names it, such as `target.fps` or `zones[0].labels`
 * @property {HTMLInputElement} input
 * @property {HTMLElement} error
 * @property {HTMLElement} node
 * @property {string} shown text when the form was filled
 */

/** The settings of one stream, to change what runs. Only what was edited is sent. */
export class SettingsForm {
  #id;
  /** @type {Map<string, Field>} */
  #fields = new Map();
  /** @type {StreamReport & { settings?: StreamChange } | null} */
  #details = null;
  #error = element('p', { class: 'form-error', role: 'alert' });
  #done = element('p', { class: 'form-done', role: 'status' });
  #submit = element('button', { class: 'button button-primary', type: 'submit' }, 'Apply');
  #groups = element('div', { class: 'settings-groups' });
  node = element(
    'form',
    { class: 'settings', 'aria-label': 'Settings', novalidate: true },
    this.#groups,
    this.#error,
    element('div', { class: 'settings-actions' }, this.#done, this.#submit),
  );

  /** @param {string} id of the stream */
  constructor(id) {
    this.#id = id;
    this.node.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#apply();
    });
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

  /** @param {StreamReport & { settings?: StreamChange }} details */
  #fill(details) {
    this.#details = details;
    this.#fields.clear();
    const { settings, target } = details;
    const hint = settings === undefined ? 'Empty: unchanged.' : undefined;
    const maxFps = settings?.maxFps === NO_LIMIT_FPS ? undefined : settings?.maxFps;
    const track = typeof settings?.track === 'object' ? settings.track : {};
    const isTracked = settings !== undefined && (settings.track !== false || this.#places.length > 0);
    this.#groups.replaceChildren(
      group(
        'Source',
        this.#field(
          'source',
          'Address',
          settings?.source ?? details.source,
          'Passwords are not shown. An unchanged address keeps them.',
        ),
      ),
      group(
        'Rate',
        this.#field('maxFps', 'Max frames/s', maxFps, hint ?? 'Empty: no limit.'),
        this.#field('every', 'Every n-th', settings?.every, hint),
      ),
      group(
        'Targets',
        this.#field('target.fps', 'Frames/s', target.fps ?? undefined, 'Empty: none.'),
        this.#field('target.latencyMs', 'p99, ms', target.latencyMs ?? undefined, 'Empty: none.'),
      ),
      ...(isTracked
        ? [
            group(
              'Tracking thresholds, 0 to 1',
              this.#field('track.lowScore', 'Continues a track', track.lowScore),
              this.#field('track.highScore', 'Matched first', track.highScore),
              this.#field('track.newScore', 'Starts a track', track.newScore),
            ),
          ]
        : []),
      ...(this.#places.length > 0
        ? [
            group(
              'Labels that are counted',
              ...this.#places.map(({ key, name, labels }) =>
                this.#field(key, name, labels?.join(', '), 'Separated by commas. Empty: all.'),
              ),
            ),
          ]
        : []),
    );
  }

  /** Zones and lines, if their settings are known: a change replaces all of them. */
  get #places() {
    const { zones = [], lines = [] } = this.#details?.settings ?? {};
    return [
      ...zones.map(({ id, labels }, i) => ({ key: `zones[${i}].labels`, name: `Zone ${id}`, labels })),
      ...lines.map(({ id, labels }, i) => ({ key: `lines[${i}].labels`, name: `Line ${id}`, labels })),
    ];
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
    const isNumber = key !== 'source' && !key.endsWith('labels');
    const input = element('input', {
      id: name,
      name: key,
      value: shown,
      autocomplete: 'off',
      spellcheck: 'false',
      inputmode: isNumber ? 'decimal' : null,
      'aria-describedby': `${name}-error${hint === undefined ? '' : ` ${name}-hint`}`,
    });
    const error = element('p', { class: 'field-error', id: `${name}-error` });
    const node = element(
      'div',
      { class: 'field' },
      element('label', { for: name }, label),
      input,
      ...(hint === undefined ? [] : [element('p', { class: 'hint', id: `${name}-hint` }, hint)]),
      error,
    );
    this.#fields.set(key, { key, input, error, node, shown });
    return node;
  }

  async #apply() {
    this.#clearErrors();
    const change = this.#change();
    if (Object.keys(change).length === 0) {
      this.#done.textContent = 'Nothing was changed.';
      return;
    }
    this.#submit.disabled = true;
    try {
      await gateway.streams.update(this.#id, change);
      await this.load();
      this.#done.textContent = 'Applied.';
    } catch (error) {
      this.#showError(error);
    } finally {
      this.#submit.disabled = false;
      this.#submit.focus();
    }
  }

  /** What was edited, as the gateway takes it: a section as a whole, with what was not edited in it. */
  #change() {
    const edited = new Set(
      [...this.#fields.values()].filter(({ input, shown }) => input.value !== shown).map(({ key }) => key),
    );
    const settings = this.#details?.settings;
    /** @type {Record<string, unknown>} */
    const change = {};
    if (edited.has('source')) change.source = this.#text('source');
    if (edited.has('maxFps')) change.maxFps = this.#number('maxFps') ?? NO_LIMIT_FPS;
    if (edited.has('every')) change.every = this.#number('every') ?? 1;
    if (edited.has('target.fps') || edited.has('target.latencyMs'))
      change.target = known({ fps: this.#number('target.fps'), latencyMs: this.#number('target.latencyMs') });
    if (['lowScore', 'highScore', 'newScore'].some((name) => edited.has(`track.${name}`)))
      change.track = known({
        ...(typeof settings?.track === 'object' ? settings.track : {}),
        lowScore: this.#number('track.lowScore'),
        highScore: this.#number('track.highScore'),
        newScore: this.#number('track.newScore'),
      });
    for (const list of /** @type {const} */ (['zones', 'lines'])) {
      const places = settings?.[list] ?? [];
      if (!places.some((_, i) => edited.has(`${list}[${i}].labels`))) continue;
      change[list] = places.map((place, i) => known({ ...place, labels: this.#labels(`${list}[${i}].labels`) }));
    }
    return change;
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

  /** @param {string} key */
  #labels(key) {
    const labels = this.#text(key).split(',');
    const named = labels.map((label) => label.trim()).filter((label) => label !== '');
    return named.length === 0 ? undefined : named;
  }

  #clearErrors() {
    this.#error.textContent = '';
    this.#done.textContent = '';
    for (const { input, error } of this.#fields.values()) {
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
    const first = [...this.#fields.values()].find(({ input }) => input.getAttribute('aria-invalid') === 'true');
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
    const field = [...this.#fields.values()].find(({ key }) => path === key || path.startsWith(`${key}[`));
    if (field === undefined) return false;
    field.error.textContent = fault.slice(path.length + 2);
    field.input.setAttribute('aria-invalid', 'true');
    return true;
  }
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
 * Leaves out keys without a value.
 *
 * @param {Readonly<Record<string, unknown>>} settings
 */
function known(settings) {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/**
 * @param {string} title
 * @param {Node[]} fields
 */
function group(title, ...fields) {
  return element('fieldset', { class: 'settings-group' }, element('legend', {}, title), ...fields);
}
