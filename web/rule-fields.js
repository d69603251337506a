/** @import { Rule } from './rule-kinds.js' */
/** @import { RulePlace } from './rule-list.js' */

import { html, nothing } from './html.js';
import { labelField } from './label-field.js';
import { ABOUT, CHOICES, isZoneFree, KINDS, moreOf } from './rule-kinds.js';

/** Fields that are a line of text. @type {Readonly<Record<string, { label: string, hint?: string, mode?: string }>>} */
const TEXTS = {
  for: { label: 'For at least', hint: 'Such as 15s, 10m or 2h.' },
  above: { label: 'More than', mode: 'decimal' },
  below: { label: 'Fewer than', mode: 'decimal' },
  minScore: { label: 'Least score', hint: '0 to 1.', mode: 'decimal' },
  minSize: { label: 'Least height', hint: 'Of the picture, 0 to 1.', mode: 'decimal' },
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
    const hasMore = moreOf(rule).some((key) => key !== 'id' && rule[key] !== undefined);
    return html`<div class="rule-grid">
        ${select({
          ...{ name: `${path}.kind`, label: 'Tells when', isWide: true, value: rule.kind },
          options: ABOUT.map(
            ({ label, kinds }) =>
              html`<optgroup label=${label}>${kinds.map((kind) => option(kind, KINDS[kind].name, rule.kind))}</optgroup>`,
          ),
          onChange: (kind) => onKind(/** @type {import('./lib/client/index.js').RuleKind} */ (kind)),
        })}
        ${KINDS[rule.kind].keys.map(field)}
      </div>
      <details class="rule-more" ?open=${hasMore}>
        <summary>Times, quiet time, score and more</summary>
        <div class="rule-grid">${moreOf(rule).map(field)}</div>
      </details>`;
  }

  /** @param {Rule} rule @param {string} key @param {string} path @param {readonly RulePlace[]} places */
  #field(rule, key, path, places) {
    const name = `${path}.${key}`;
    const set = (/** @type {unknown} */ value, what = `${key} ${performance.now()}`) =>
      this.#set(rule, what, { ...rule, [key]: value });
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
        isFree: isZoneFree(rule),
        onChange: set,
      });
    if (key === 'direction')
      return select({
        ...{ name, label: 'Which way', value: String(rule[key] ?? '') },
        options: [
          option('', 'Both', rule[key] ?? ''),
          ...Object.entries(CHOICES.direction).map(([way, word]) => option(way, word, rule[key])),
        ],
        onChange: set,
      });
    if (key === 'signs' || key === 'troubles')
      return checks({ name, choices: CHOICES[key], chosen: /** @type {string[]} */ (rule[key] ?? []), onChange: set });
    if (key === 'times') return timesFields(name, /** @type {Times | undefined} */ (rule.times), set);
    const { label, hint, mode } = TEXTS[key];
    return html`<div class="field" data-wide=${key === 'when' || nothing}>
      <label for="setting-${name}">${label}</label>
      <input id="setting-${name}" name=${name} .value=${String(rule[key] ?? '')} autocomplete="off" spellcheck="false"
        inputmode=${mode ?? nothing} aria-describedby="setting-${name}-error ${hint === undefined ? '' : `setting-${name}-hint`}"
        @input=${(/** @type {Event} */ event) => {
          event.stopPropagation();
          set(textOf(event), key);
        }}>
      ${hint === undefined ? nothing : html`<p class="hint" id="setting-${name}-hint">${hint}</p>`}
      <p class="field-error" id="setting-${name}-error"></p>
    </div>`;
  }
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
    ...{ name, value, onChange, label: kind === 'zone' ? 'Zone' : 'Line' },
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
 * @param {string[]} field.chosen empty: all
 * @param {(value: string[]) => void} field.onChange
 */
function checks({ name, choices, chosen, onChange }) {
  const all = Object.keys(choices);
  const isOn = (/** @type {string} */ each) => chosen.length === 0 || chosen.includes(each);
  const toggle = (/** @type {string} */ each) => {
    const next = all.filter((one) => isOn(one) !== (one === each));
    // None would be all.
    if (next.length > 0) onChange(next.length === all.length ? [] : next);
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
        }}> ${choices[each]}</label>`,
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
  const zone = times?.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const setOn = (/** @type {string[]} */ on, /** @type {string} */ what) => set({ timeZone: zone, on }, what);
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
      ...{ name: `${name}.on`, label: 'Only at these times', value: choice, isWide: true, onChange: onDays },
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
            <input id="setting-${name}.timeZone" name="${name}.timeZone" .value=${zone} autocomplete="off" spellcheck="false"
              aria-describedby="setting-${name}.timeZone-error"
              @input=${(/** @type {Event} */ event) => event.stopPropagation()}
              @change=${(/** @type {Event} */ event) => set({ ...(times ?? { on: [] }), timeZone: textOf(event) }, 'zone')}>
            <p class="field-error" id="setting-${name}.timeZone-error"></p></div>`
    }
  </div>`;
}
