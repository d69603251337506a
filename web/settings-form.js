/** @import { PictureView } from './overlay.js' */
/** @import { Field } from './setting-field.js' */
/** @import { StreamChange, StreamDetails, StreamReport } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { EditHistory } from './edit-history.js';
import { element, runBusy, setData } from './element.js';
import { changedWords, faultsOf, pathOf } from './faults.js';
import { formatNumber } from './format.js';
import { gateway } from './gateway.js';
import { render } from './html.js';
import { detectorList, labelField } from './label-field.js';
import { SightlineError } from './lib/client/index.js';
import { PlaceList } from './place-list.js';
import { loadRuleSchema, RuleList } from './rule-list.js';
import { RuleTrials, untriedText } from './rule-trial.js';
import { settingField, VIDEO_FIELDS } from './setting-field.js';
import { isSame, isSection } from './settings-edits.js';
import { SourceTester } from './source-test.js';

/** @typedef {'places' | 'settings'} Pane */

/**
 * The settings of one stream, to change what runs, in two panes: its zones, lines and rules, and all else. Only what was edited is sent, and only
 * if nobody else has changed the stream since it was read.
 */
export class SettingsForm {
  #id;
  #picture;
  #places;
  #rules;
  #trials;
  #history = new EditHistory(
    () => JSON.stringify({ places: this.#places.state, rules: this.#rules.state }),
    (state) => {
      const { places, rules } = JSON.parse(state);
      this.#rules.state = rules;
      this.#places.state = places;
      this.#onInput();
    },
  );
  /** What is marked is why a change was refused. */
  #isRefused = false;
  /** @type {Map<string, Field>} */
  #fields = new Map();
  /** @type {StreamDetails | null} */
  #details = null;
  /** The labels of the stream, while they are edited. @type {string[]} */
  #labels = [];
  #labelsNode = element('div', {});
  #onPane;
  #error = element('p', { class: 'form-error', role: 'alert' });
  #done = element('p', { class: 'form-done', role: 'status' });
  #conflict = element('div', { class: 'conflict', role: 'alert', hidden: true });
  #submit = element('button', { class: 'button button-primary', type: 'submit' }, 'Save');
  #undo = element('button', { class: 'button', type: 'button' }, 'Undo');
  #cancel = element('button', { class: 'button', type: 'button' }, 'Cancel');
  #groups = element('div', { class: 'pane settings-groups', 'data-pane': 'settings', 'data-needs': 'operator' });
  node;

  /**
   * @param {string} id of the stream
   * @param {PictureView} picture on which its zones and lines are moved
   * @param {(pane: Pane) => void} onPane called to show a pane with a fault
   */
  constructor(id, picture, onPane) {
    this.#id = id;
    this.#onPane = onPane;
    this.#picture = picture;
    /** @param {KeyboardEvent} event */
    const onKey = (event) => {
      const isText = event.target instanceof HTMLInputElement;
      if (event.key !== 'z' || !(event.ctrlKey || event.metaKey) || isText) return;
      event.preventDefault();
      this.#history.undo();
    };
    this.#rules = new RuleList(this.#history, (event) => {
      picture.event = event;
    });
    this.#places = new PlaceList(picture, this.#history, (kind, from, to) => this.#rules.rename(kind, from, to), onKey);
    this.#trials = new RuleTrials(
      id,
      (reply) => {
        this.#clearTried();
        this.#rules.trial = reply;
      },
      (error) => this.#showUntried(error),
    );
    const placesPane = element('div', { class: 'pane', 'data-pane': 'places' }, this.#places.node, this.#rules.node);
    placesPane.addEventListener('keydown', onKey);
    const needs = { 'data-needs': 'operator' };
    this.node = element(
      'form',
      { class: 'settings', 'aria-label': 'Settings', novalidate: true },
      placesPane,
      this.#groups,
      element('div', needs, this.#error, this.#conflict),
      element('div', { class: 'settings-actions', ...needs }, this.#done, this.#undo, this.#cancel, this.#submit),
    );
    this.node.addEventListener('submit', (event) => {
      event.preventDefault();
      runBusy(this.#submit, () => this.#apply());
    });
    this.#cancel.addEventListener('click', () => runBusy(this.#cancel, () => this.#discard('Nothing was changed.')));
    this.#undo.addEventListener('click', () => this.#history.undo());
    this.node.addEventListener('input', () => this.#onInput());
  }

  #onInput() {
    this.#isRefused = false;
    this.#done.textContent = this.isEdited ? `${formatNumber(this.#edits, 'change')} not saved` : '';
    this.#tryRules();
  }

  /** Asks what the rules as they are edited would have done. @param {number} [pauseMs] */
  #tryRules(pauseMs) {
    this.#undo.disabled = this.#history.isEmpty;
    this.#rules.places = this.#places.state.flatMap(({ kind, known: id, rest }) =>
      kind === 'masks' ? [] : [{ kind, id, isMetric: 'scale' in rest }],
    );
    if (this.node.dataset.shown !== 'places' || !this.#mayEdit || this.#details === null) return;
    this.#rules.outdate();
    const { masks: _, ...places } = this.#places.change;
    this.#trials.ask({ ...places, events: this.#rules.settings }, pauseMs);
  }

  /** @param {unknown} error */
  #showUntried(error) {
    this.#clearTried();
    const isWrong = error instanceof SightlineError && error.code === 'CONFIG_INVALID';
    const isShown = isWrong && faultsOf(errorMessage(error)).filter((fault) => !this.#showFault(fault)).length === 0;
    this.#rules.trial = isShown ? 'It is counted once what is marked is right.' : untriedText(error);
  }

  get #mayEdit() {
    const { role } = document.body.dataset;
    return role === 'operator' || role === 'admin';
  }

  /** Shows one of the panes; null hides the form and takes the handles from the picture. @param {Pane | null} pane */
  show(pane) {
    this.node.hidden = pane === null;
    const isOpened = pane === 'places' && this.node.dataset.shown !== pane;
    setData(this.node, 'shown', pane);
    this.#undo.hidden = pane !== 'places';
    this.#places.isEditing = pane === 'places' && this.#mayEdit;
    if (isOpened) this.#tryRules(0);
    if (pane === 'places') return;
    this.#trials.stop();
    this.#picture.event = null;
  }

  /** Zones and lines with their counts. @param {StreamReport} report */
  set places(report) {
    this.#places.counts = report;
    this.#setLabels(this.#labels);
  }

  /** Fills the form with the settings in use. */
  async load() {
    try {
      const [details] = await Promise.all([gateway.streams.get(this.#id), loadRuleSchema()]);
      this.#fill(details);
    } catch (error) {
      this.#error.textContent = errorMessage(error);
    }
  }

  /** True while something was edited and not applied. */
  get isEdited() {
    return this.#details !== null && Object.keys(this.#change()).length > 0;
  }

  /** How many settings were edited; all zones, all lines and all labels are one each. */
  get #edits() {
    const values = /** @type {unknown[]} */ (Object.values(this.#change()));
    return values.flatMap((value) => (isSection(value) ? Object.keys(value) : [value])).length;
  }

  /** Says, when the form is shown again, that it still holds what was edited. */
  remind() {
    this.#done.textContent = 'These changes of yours are not saved yet.';
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
        'Video as it comes',
        ...VIDEO_FIELDS.map(({ key, label, hint, choices }) =>
          this.#field(key, label, settings?.[key] || undefined, hint, choices),
        ),
      ),
      group(
        'Objects',
        this.#labelsNode,
        this.#field('scoreThreshold', 'Least score', settings?.scoreThreshold, hint ?? "Empty: the model's."),
        this.#detectorField(settings, hint),
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
    );
    if (settings !== undefined) {
      this.#history.clear();
      this.#places.fill(settings);
      this.#rules.fill(settings);
      this.#tryRules(0);
    }
    this.#setLabels([...(settings?.labels ?? [])]);
  }

  /** @param {string[]} labels */
  #setLabels(labels) {
    this.#labels = labels;
    const onChange = (/** @type {string[]} */ next) => {
      this.#setLabels(next);
      this.#labelsNode.dispatchEvent(new Event('input', { bubbles: true }));
    };
    render(labelField({ name: 'labels', of: 'this camera', labels, onChange }), this.#labelsNode);
  }

  /** @param {string} source */
  #sourceField(source) {
    const node = this.#field('source', 'Address', source, 'Passwords are not shown. An unchanged address keeps them.');
    const input = /** @type {HTMLInputElement} */ (this.#fields.get('source')?.input);
    const test = new SourceTester(input, () => ({ ...this.#details?.settings, id: this.#id }));
    const row = element('div', { class: 'with-button' });
    input.replaceWith(row);
    row.append(input, test.button);
    node.append(test.result);
    return [node];
  }

  /** @param {StreamDetails['settings'] | undefined} settings @param {string} [hint] */
  #detectorField(settings, hint) {
    const others = [...new Set(settings?.modelWhen?.map(({ model }) => model))].join(', ');
    const when = others === '' ? '' : ` At times, or during events: ${others}.`;
    const node = this.#field('model', 'Detector', settings?.model, hint ?? `Empty: the pipeline's own.${when}`);
    node.append(detectorList(/** @type {HTMLInputElement} */ (this.#fields.get('model')?.input)));
    return node;
  }

  /** @param {Parameters<typeof settingField>} args */
  #field(...args) {
    const { node, field } = settingField(...args);
    this.#fields.set(field.key, field);
    return node;
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
      this.#done.textContent = 'Saved.';
    } catch (error) {
      if (error instanceof SightlineError && error.code === 'STREAM_CHANGED') await this.#showConflict();
      else this.#showError(error);
    }
  }

  /** Drops what was edited. @param {string} otherwise what to say if that is nothing */
  async #discard(otherwise) {
    const wasEdited = this.isEdited;
    this.#clearErrors();
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
    const text = `Somebody else has changed ${words} of this stream meanwhile, so nothing of yours was saved.`;
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
    const edited = [...this.#fields.values()].filter(isEdited).map(({ key, input }) => ({ key, text: input.value }));
    const places = this.#places.draft;
    const rules = this.#rules.draft;
    const labels = this.#areLabelsEdited ? this.#labels : null;
    this.#fill(now);
    if (keepsEdits) {
      if (labels !== null) this.#setLabels(labels);
      for (const { key, text } of edited) {
        const field = this.#fields.get(key);
        if (field !== undefined) field.input.value = text;
      }
      this.#places.draft = places;
      this.#rules.draft = rules;
      this.#tryRules(0);
    }
    this.#done.textContent = keepsEdits
      ? 'These are the new settings with your changes. Save them if they still fit.'
      : 'Your changes were dropped.';
    this.#submit.focus();
  }

  /** What was edited, as the gateway takes it: of a section only what was edited in it, and null for a field that is empty now. */
  #change() {
    /** @type {Record<string, unknown>} */
    const change = { ...this.#places.change, ...this.#rules.change, ...this.#renamedModels };
    if (this.#areLabelsEdited) change.labels = this.#labels.length === 0 ? null : this.#labels;
    for (const { key } of [...this.#fields.values()].filter(isEdited)) {
      const [section, name] = key.split('.');
      const given = this.#number(key) ?? null;
      const value = key === 'source' ? this.#text(key) : key === 'live' ? given === 'true' : given;
      if (name === undefined) change[section] = value;
      else change[section] = { .../** @type {object | undefined} */ (change[section]), [name]: value };
    }
    return /** @type {StreamChange} */ (change);
  }

  get #areLabelsEdited() {
    return !isSame(this.#labels, this.#details?.settings?.labels ?? []);
  }

  /** Detectors for the time of an event follow the new name of its rule. */
  get #renamedModels() {
    const names = this.#rules.newNames;
    const before = this.#details?.settings?.modelWhen ?? [];
    const modelWhen = before.map((choice) => {
      const event = choice.event === undefined ? undefined : names.get(choice.event);
      return event === undefined ? choice : { ...choice, event };
    });
    return isSame(modelWhen, before) ? {} : { modelWhen };
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
    const input = /** @type {HTMLInputElement | null} */ (this.#labelsNode.querySelector('input'));
    const error = /** @type {HTMLElement | null} */ (this.#labelsNode.querySelector('.field-error'));
    const labels = input === null || error === null ? [] : [{ key: 'labels', input, error }];
    return [...this.#fields.values(), ...labels, ...this.#places.fields, ...this.#rules.fields];
  }

  #clearErrors() {
    this.#error.textContent = '';
    this.#done.textContent = '';
    this.#conflict.hidden = true;
    this.#clearFaults();
  }

  /** Takes away what the last trial has marked; what a refused change has marked stays until something is edited. */
  #clearTried() {
    if (!this.#isRefused) this.#clearFaults();
  }

  #clearFaults() {
    this.#isRefused = false;
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
    const ofRule = faults.find((fault) => fault.startsWith('events['));
    if (ofRule !== undefined) this.#rules.reveal(ofRule);
    const rest = faults.filter((fault) => !this.#showFault(fault));
    this.#error.textContent = rest.join('; ');
    this.#isRefused = true;
    const first = this.#allFields.find(({ input }) => input.getAttribute('aria-invalid') === 'true');
    if (first === undefined) return;
    const pane = /** @type {HTMLElement | null} */ (first.input.closest('[data-pane]'))?.dataset.pane;
    if (pane === 'places') this.#places.reveal(first.key);
    if (pane !== this.node.dataset.shown) {
      this.#onPane(/** @type {Pane} */ (pane));
      this.show(/** @type {Pane} */ (pane));
    }
    first.input.focus();
  }

  /**
   * @param {string} fault
   * @returns {boolean} false if it belongs to no field
   */
  #showFault(fault) {
    const path = pathOf(fault);
    if (path === undefined) return false;
    // `zones[0].labels[1]` is shown at `zones[0].labels`.
    const field = this.#allFields.find(({ key }) => path === key || path.startsWith(`${key}[`));
    if (field === undefined) return false;
    field.error.textContent = fault.slice(path.length + 2);
    field.input.setAttribute('aria-invalid', 'true');
    field.input.closest('details')?.setAttribute('open', '');
    return true;
  }
}

/** @param {Field} field */
const isEdited = ({ input, shown }) => input.value !== shown;

/**
 * @param {string} title
 * @param {Node[]} fields
 */
function group(title, ...fields) {
  return element('fieldset', { class: 'settings-group' }, element('legend', {}, title), ...fields);
}
