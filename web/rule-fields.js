/** @import { Rule } from './rule-kinds.js' */
/** @import { RulePlace } from './rule-list.js' */
/** @import { SchemaNode } from './rule-schema.js' */

import { html, nothing } from './html.js';
import { labelField } from './label-field.js';
import { ABOUT, CHOICES, isMeantByNone, isNothing, kindOf, moreOf, withValue } from './rule-kinds.js';
import { defaultsOf, isRequired, limitsText, nodeOf } from './rule-schema.js';
import { withChanges } from './settings-edits.js';

/** How settings are called, and what their limits do not say. @type {Readonly<Record<string, { label: string, hint?: string }>>} */
const WORDS = {
  for: { label: 'For at least', hint: 'Such as 15s, 10m or 2h.' },
  above: { label: 'More than' },
  below: { label: 'Fewer than' },
  direction: { label: 'Which way' },
  minScore: { label: 'Least score' },
  minSize: { label: 'Least height', hint: 'Of the picture.' },
  cooldown: { label: 'Then quiet for', hint: 'Such as 5m. Empty: not at all.' },
  when: { label: 'And only if', hint: 'In CEL: score > 0.6 && size > 0.2' },
  id: { label: 'Name' },
};
/** Days of a span that have a choice of their own. @type {Readonly<Record<string, string>>} */
const DAYS = { daily: 'Every day', 'mon-fri': 'Monday to Friday', 'sat,sun': 'Saturday and Sunday' };
const SPAN = /^(\S+) (\d\d:\d\d)-(\d\d:\d\d)$/;

/**
 * Changes of the same `what` in a row are undone together.
 *
 * @typedef {(rule: Rule, what: string, next: Rule) => void} SetRule
 *
 * @typedef {{ timeZone?: string, on: string[] }} Times
 *
 * @typedef {{ before?: string, after?: string }} Clip
 */

/** The fields of a rule, by its kind. */
export class RuleFields {
  #set;

  /** @param {SetRule} set */
  constructor(set) {
    this.#set = set;
  }

  /**
   * @param {Rule} rule
   * @param {string} path of the rule, as the gateway names it
   * @param {readonly RulePlace[]} places
   * @param {(kind: import('./lib/client/index.js').RuleKind) => void} onKind
   */
  draw(rule, path, places, onKind) {
    const field = (/** @type {string} */ key) => this.#field(rule, key, path, places);
    const hasMore = moreOf(rule).some((key) => key !== 'id' && !isNothing(rule[key]));
    const isKnown = ABOUT.some(({ kinds }) => /** @type {readonly string[]} */ (kinds).includes(rule.kind));
    return html`<div class="rule-grid">
        ${select({
          name: `${path}.kind`,
          label: 'Tells when',
          isWide: true,
          value: rule.kind,
          options: [
            ...(isKnown ? [] : [option(rule.kind, rule.kind, rule.kind)]),
            ...ABOUT.map(
              ({ label, kinds }) =>
                html`<optgroup label=${label}>${kinds.map((kind) => option(kind, kindOf(kind).name, rule.kind))}</optgroup>`,
            ),
          ],
          onChange: (kind) => onKind(/** @type {import('./lib/client/index.js').RuleKind} */ (kind)),
        })}
        ${[...kindOf(rule.kind).keys, 'clip'].map(field)}
      </div>
      <details class="rule-more" ?open=${hasMore}>
        <summary>Times, quiet time, score and more</summary>
        <div class="rule-grid">${moreOf(rule).map(field)}</div>
      </details>`;
  }

  /** @param {Rule} rule @param {string} key @param {string} path @param {readonly RulePlace[]} places */
  #field(rule, key, path, places) {
    const node = nodeOf(rule.kind, key);
    if (node === undefined) return nothing;
    const name = `${path}.${key}`;
    const set = (/** @type {unknown} */ value, what = `${key} ${performance.now()}`) =>
      this.#set(rule, what, withValue(rule, key, value));
    if (key === 'labels') {
      const labels = /** @type {string[]} */ (rule.labels ?? []);
      return html`<div class="wide">${labelField({ name, of: `rule ${rule.id}`, labels, onChange: set })}</div>`;
    }
    if (key === 'zone' || key === 'line')
      return placeSelect({
        name,
        kind: key,
        value: String(rule[key] ?? ''),
        places,
        isFree: !isRequired(rule.kind, key),
        onChange: set,
      });
    if (key === 'times') return timesFields(name, /** @type {Times | undefined} */ (rule.times), set);
    if (key === 'clip') return clipFields(name, /** @type {Clip | undefined} */ (rule.clip), node, set);
    const { label = key, hint } = WORDS[key] ?? {};
    if (node.enum !== undefined)
      return select({
        name,
        label,
        value: String(rule[key] ?? ''),
        options: [
          option('', key === 'direction' ? 'Both' : 'Any', rule[key] ?? ''),
          ...node.enum.map((choice) => option(choice, choiceText(key, choice), rule[key])),
        ],
        onChange: set,
      });
    if (node.items?.enum !== undefined) {
      const choices = Object.fromEntries(node.items.enum.map((choice) => [choice, choiceText(key, choice)]));
      return checks({ name, choices, chosen: /** @type {string[]} */ (rule[key] ?? []), onChange: set });
    }
    // What this page has no field for stays as it is.
    if (!['string', 'number', 'integer'].includes(node.type ?? '')) return nothing;
    return textField({ name, label, hint, node, value: rule[key], onInput: (text) => set(text, key) });
  }
}

/** How a choice is said. @param {string} key @param {string} choice */
const choiceText = (key, choice) =>
  /** @type {Readonly<Record<string, Readonly<Record<string, string>>>>} */ (CHOICES)[key]?.[choice] ?? choice;

/**
 * A line of text: a number, a time, or words.
 *
 * @param {object} field
 * @param {string} field.name
 * @param {string} field.label
 * @param {string | undefined} [field.hint]
 * @param {SchemaNode} field.node
 * @param {unknown} field.value
 * @param {(text: string) => void} field.onInput
 */
function textField({ name, label, hint, node, value, onInput }) {
  const hints = [hint, limitsText(node)].filter((text) => text !== undefined && text !== '').join(' ');
  const isNumber = node.type !== 'string';
  // A default that says nothing is shown as an empty field.
  const shown = value === node.default && isNothing(value) ? '' : String(value ?? '').replaceAll(/\s*\n\s*/g, ' ');
  return html`<div class="field" data-wide=${name.endsWith('.when') || nothing}>
    <label for="setting-${name}">${label}</label>
    <input id="setting-${name}" name=${name} .value=${shown} autocomplete="off" spellcheck="false"
      placeholder=${node.default === undefined ? nothing : String(node.default)}
      inputmode=${isNumber ? 'decimal' : nothing} aria-describedby="setting-${name}-error ${hints === '' ? '' : `setting-${name}-hint`}"
      @input=${(/** @type {Event} */ event) => {
        event.stopPropagation();
        onInput(textOf(event));
      }}>
    ${hints === '' ? nothing : html`<p class="hint" id="setting-${name}-hint">${hints}</p>`}
    <p class="field-error" id="setting-${name}-error"></p>
  </div>`;
}

/** @param {Event} event */
const textOf = ({ currentTarget }) => /** @type {HTMLInputElement} */ (currentTarget).value;

/** @param {string} value @param {string} text @param {unknown} chosen */
const option = (value, text, chosen) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`;

/**
 * @param {object} field
 * @param {string} field.name
 * @param {string} field.label
 * @param {string} field.value
 * @param {unknown[]} field.options
 * @param {(value: string) => void} field.onChange
 * @param {boolean} [field.isWide]
 */
function select({ name, label, value, options, onChange, isWide = false }) {
  return html`<div class="field" data-wide=${isWide || nothing}>
    <label for="setting-${name}">${label}</label>
    <select id="setting-${name}" name=${name} aria-describedby="setting-${name}-error" .value=${value}
      @input=${(/** @type {Event} */ event) => event.stopPropagation()}
      @change=${(/** @type {Event} */ event) => onChange(textOf(event))}>${options}</select>
    <p class="field-error" id="setting-${name}-error"></p>
  </div>`;
}

/**
 * @param {object} field
 * @param {string} field.name
 * @param {'zone' | 'line'} field.kind
 * @param {string} field.value
 * @param {readonly RulePlace[]} field.places
 * @param {boolean} field.isFree a zone need not be named
 * @param {(value: string) => void} field.onChange
 */
function placeSelect({ name, kind, value, places, isFree, onChange }) {
  const ids = places.filter((place) => place.kind === `${kind}s`).map(({ id }) => id);
  const missing = value === '' || ids.includes(value) ? [] : [option(value, `${value} (deleted)`, value)];
  const isWhole = kind === 'zone' && isFree;
  const none = isWhole ? 'Whole picture' : ids.length === 0 ? `Draw a ${kind} first` : `Choose a ${kind}`;
  return select({
    name,
    value,
    onChange,
    label: kind === 'zone' ? 'Zone' : 'Line',
    options: [
      ...(isWhole || value === '' ? [option('', none, value)] : []),
      ...missing,
      ...ids.map((id) => option(id, id, value)),
    ],
  });
}

/**
 * @param {object} field
 * @param {string} field.name
 * @param {Readonly<Record<string, string>>} field.choices
 * @param {string[]} field.chosen empty: those that are meant without a word
 * @param {(value: string[]) => void} field.onChange
 */
function checks({ name, choices, chosen, onChange }) {
  const all = [...new Set([...Object.keys(choices), ...chosen])];
  const isOn = (/** @type {string} */ each) => (chosen.length === 0 ? isMeantByNone(each) : chosen.includes(each));
  const toggle = (/** @type {string} */ each) => {
    const next = all.filter((one) => isOn(one) !== (one === each));
    // None of them would mean all that need not be asked for.
    if (next.length > 0) onChange(all.every((one) => next.includes(one) === isMeantByNone(one)) ? [] : next);
  };
  return html`<fieldset class="field rule-checks" data-wide>
    <legend>Any of these</legend>
    ${all.map(
      (
        each,
      ) => html`<label><input type="checkbox" name=${name} .checked=${isOn(each)} aria-describedby="setting-${name}-error"
        @input=${(/** @type {Event} */ event) => event.stopPropagation()}
        @change=${(/** @type {Event} */ event) => {
          toggle(each);
          /** @type {HTMLInputElement} */ (event.currentTarget).checked = isOn(each);
        }}> ${choices[each] ?? each}</label>`,
    )}
    <p class="field-error" id="setting-${name}-error"></p>
  </fieldset>`;
}

/**
 * Times of the week: days with a span, or as the settings have them.
 *
 * @param {string} name
 * @param {Times | undefined} times
 * @param {(times: Times | undefined, what?: string) => void} set
 */
function timesFields(name, times, set) {
  const [, days = '', from = '', to = ''] = (times?.on.length === 1 ? SPAN.exec(times.on[0]) : null) ?? [];
  const isSimple = Object.hasOwn(DAYS, days) && to !== '24:00';
  const choice = times === undefined ? '' : isSimple ? days : 'other';
  // New times are those of whoever writes them; others are in the time zone of the host if they name none.
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const setOn = (/** @type {string[]} */ on, /** @type {string} */ what) =>
    set(withChanges(times ?? { timeZone, on }, { on }), what);
  const onDays = (/** @type {string} */ next) => {
    if (next === '') set(undefined);
    else if (next === 'other') setOn(times?.on.length === 1 && !isSimple ? times.on : ['mon,wed 08:00-12:00'], 'days');
    else setOn([`${next} ${isSimple ? `${from}-${to}` : '08:00-18:00'}`], 'days');
  };
  const clock = (
    /** @type {string} */ label,
    /** @type {string} */ value,
    /** @type {(next: string) => string} */ spanOf,
  ) =>
    html`<div class="field"><label for="setting-${name}-${label}">${label}</label>
      <input id="setting-${name}-${label}" type="time" required .value=${value}
        @input=${(/** @type {Event} */ event) => {
          event.stopPropagation();
          const next = textOf(event);
          if (next !== '') setOn([spanOf(next)], label);
        }}></div>`;
  return html`<div class="rule-grid wide">
    ${select({
      name: `${name}.on`,
      label: 'Only at these times',
      value: choice,
      isWide: true,
      onChange: onDays,
      options: [
        option('', 'Always', choice),
        ...Object.entries(DAYS).map(([each, word]) => option(each, word, choice)),
        option('other', 'Other times', choice),
      ],
    })}
    ${choice === '' || choice === 'other' ? nothing : [clock('From', from, (next) => `${days} ${next}-${to}`), clock('To', to, (next) => `${days} ${from}-${next}`)]}
    ${
      choice === 'other'
        ? html`<div class="field" data-wide><label for="setting-${name}-spans">Spans, separated by ;</label>
            <input id="setting-${name}-spans" .value=${times?.on.join('; ') ?? ''} autocomplete="off" spellcheck="false"
              @input=${(/** @type {Event} */ event) => event.stopPropagation()}
              @change=${(/** @type {Event} */ event) =>
                setOn(
                  textOf(event)
                    .split(';')
                    .map((span) => span.trim())
                    .filter((span) => span !== ''),
                  'spans',
                )}></div>`
        : nothing
    }
    ${
      choice === ''
        ? nothing
        : html`<div class="field" data-wide><label for="setting-${name}.timeZone">Time zone</label>
            <input id="setting-${name}.timeZone" name="${name}.timeZone" .value=${times?.timeZone ?? ''} placeholder="That of the host" autocomplete="off" spellcheck="false"
              aria-describedby="setting-${name}.timeZone-error"
              @input=${(/** @type {Event} */ event) => event.stopPropagation()}
              @change=${(/** @type {Event} */ event) => set(withChanges(times ?? { on: [] }, { timeZone: textOf(event) || undefined }), 'zone')}>
            <p class="field-error" id="setting-${name}.timeZone-error"></p></div>`
    }
  </div>`;
}

/**
 * Whether events have a clip, and from when to when.
 *
 * @param {string} name
 * @param {Clip | undefined} clip
 * @param {SchemaNode} node
 * @param {(clip: Clip | string, what?: string) => void} set '' for none
 */
function clipFields(name, clip, node, set) {
  const isKept = clip === undefined ? '' : 'kept';
  const secondsField = (/** @type {'before' | 'after'} */ key, /** @type {string} */ label) => {
    const part = node.properties?.[key] ?? {};
    return textField({
      name: `${name}.${key}`,
      label,
      node: { ...part, default: secondsOf(part.default) },
      value: secondsOf(clip?.[key]),
      onInput: (text) => set(withChanges(clip ?? {}, { [key]: text === '' ? undefined : text }), key),
    });
  };
  return html`<div class="rule-grid wide">
    ${select({
      name,
      label: 'Keep a clip',
      value: isKept,
      isWide: true,
      options: [option('', 'Off', isKept), option('kept', 'Around each event', isKept)],
      onChange: (choice) => set(choice === '' ? '' : defaultsOf(node)),
    })}
    ${clip === undefined ? nothing : [secondsField('before', 'Seconds before'), secondsField('after', 'Seconds after')]}
  </div>`;
}

/** In seconds. @type {Readonly<Record<string, number>>} */
const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of a time such as `90s` or `2m`, without a unit; a text that is no time as it is. @param {unknown} time */
function secondsOf(time) {
  if (time === undefined) return undefined;
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(String(time).trim()) ?? [];
  return unit in UNITS ? String(Number((Number(number) * UNITS[unit]).toFixed(3))) : String(time);
}
