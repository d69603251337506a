/** @import { RuleKind, RuleTrialReply, StreamChange, StreamDetails, TriedEvent } from './lib/client/index.js' */
/** @import { EditHistory } from './edit-history.js' */
/** @import { Rule } from './rule-kinds.js' */
/** @import { EditedEntry } from './settings-edits.js' */

import { element } from './element.js';
import { PAGE_URL } from './gateway.js';
import { html, nothing, render, repeat } from './html.js';
import { RuleFields } from './rule-fields.js';
import { ofKind, sentenceOf, settingsOf } from './rule-kinds.js';
import { useRuleSchema } from './rule-schema.js';
import { firedText, triedRule } from './rule-trial.js';
import { isSame, mergeList } from './settings-edits.js';

/**
 * A place that a rule can name.
 *
 * @typedef {{ kind: 'zones' | 'lines', id: string, isMetric: boolean }} RulePlace
 *
 * A rule as it is edited, and the name that it has in the settings that hold; null: it is new.
 *
 * @typedef {{ was: string | null, rule: Rule }} EditedRule
 */

/** The rules of a stream as sentences, with a form for the one that is open. Nothing holds until it is saved. */
export class RuleList {
  #history;
  #fields;
  #onShow;
  /** @type {EditedRule[]} */
  #rules = [];
  /** Index of the one that is open. @type {number | null} */
  #open = null;
  /** Nothing is known of the settings before, and nothing is shown. */
  #isFilled = false;
  /** Those that hold. @type {readonly Rule[]} */
  #before = [];
  /** @type {readonly RulePlace[]} */
  #places = [];
  #status = '';
  /** What they would have done; a text says why that is not known. @type {RuleTrialReply | string | null} */
  #trial = null;
  #isStale = false;
  /** @type {TriedEvent | null} */
  #event = null;
  node = element('div', { class: 'rules-group' });

  /**
   * @param {EditHistory} history
   * @param {(event: TriedEvent | null) => void} onShow called to show an event on the picture
   */
  constructor(history, onShow) {
    this.#history = history;
    this.#onShow = onShow;
    this.#fields = new RuleFields((rule, what, change) => this.#set(rule, what, change));
  }

  /** @param {StreamDetails['settings']} settings */
  fill({ events = [] }) {
    this.#before = /** @type {readonly Rule[]} */ (/** @type {unknown} */ (events));
    this.#rules = this.#before.map((rule) => ({ was: rule.id, rule }));
    if (this.#open !== null && this.#open >= this.#rules.length) this.#open = null;
    this.#status = '';
    this.#isFilled = true;
    this.#draw();
  }

  /** Zones and lines as they are edited. */
  set places(/** @type {readonly RulePlace[]} */ places) {
    this.#places = places;
    this.#draw();
  }

  /** Rules follow the new name of their zone or line. @param {'zones' | 'lines'} kind @param {string} from @param {string} to */
  rename(kind, from, to) {
    const key = kind === 'zones' ? 'zone' : 'line';
    this.#rules = this.#rules.map(({ was, rule }) => ({
      was,
      rule: rule[key] === from ? { ...rule, [key]: to } : rule,
    }));
  }

  /** As the gateway takes them; it checks them. */
  get settings() {
    return /** @type {NonNullable<StreamChange['events']>} */ (
      /** @type {unknown} */ (this.#rules.map(({ rule }) => settingsOf(rule)))
    );
  }

  get isEdited() {
    return !isSame(this.settings, this.#before);
  }

  get change() {
    return this.isEdited ? { events: this.settings } : {};
  }

  /** The new names of rules, by those that they have in the settings that hold. @returns {Map<string, string>} */
  get newNames() {
    return new Map(this.#rules.flatMap(({ was, rule: { id } }) => (was === null || was === id ? [] : [[was, id]])));
  }

  /** The rules as they are edited, to be put over others that hold now; null if nothing was edited. */
  get draft() {
    if (!this.isEdited) return null;
    const edited = this.#rules.map(({ was, rule }) => ({ was, settings: settingsOf(rule) }));
    return { before: this.#before, edited };
  }

  /** Puts edited rules over those that hold now. */
  set draft(/** @type {{ before: readonly Rule[], edited: readonly EditedEntry[] } | null} */ draft) {
    if (draft === null) return;
    const merged = mergeList(draft.before, draft.edited, this.#before);
    this.#rules = merged.map(({ was, settings }) => ({ was, rule: /** @type {Rule} */ (settings) }));
    this.#open = null;
    this.#draw();
  }

  /** The rules as they are edited, to be restored. */
  get state() {
    return { rules: this.#rules, open: this.#open };
  }

  set state({ rules, open }) {
    this.#rules = rules;
    this.#open = open !== null && open < rules.length ? open : null;
    this.#draw();
  }

  /** The fields of the rules, with the elements for their faults. */
  get fields() {
    const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (this.node.querySelectorAll('[name^="events["]'));
    return [...inputs].map((input) => {
      const error = /** @type {HTMLElement} */ (input.closest('.field')?.querySelector('.field-error'));
      return { key: input.name, input, error };
    });
  }

  /** Shows the field of a fault. @param {string} key */
  reveal(key) {
    const index = /^events\[(\d+)\]/.exec(key)?.[1];
    if (index !== undefined) this.#pick(Number(index));
  }

  /** What the rules would have done. @param {RuleTrialReply | string | null} trial */
  set trial(trial) {
    this.#trial = trial;
    this.#isStale = false;
    this.#show(null);
  }

  /** They have changed since they were tried. */
  outdate() {
    this.#isStale = true;
    this.#draw();
  }

  /** @param {TriedEvent | null} event */
  #show(event) {
    this.#event = event;
    this.#onShow(event);
    this.#draw();
  }

  /** @param {number | null} index */
  #pick(index) {
    this.#open = index;
    this.#show(null);
  }

  /** @param {number} index */
  #pickNode(index) {
    return /** @type {HTMLElement | null} */ (this.node.querySelector(`[data-rule="${index}"] .place-pick`));
  }

  /**
   * Changes a rule.
   *
   * @param {Rule} rule
   * @param {string} what changes of the same in a row are undone together
   * @param {Rule} next
   */
  #set(rule, what, next) {
    this.#history.remember(`rule ${this.#rules.findIndex((each) => each.rule === rule)} ${what}`);
    this.#rules = this.#rules.map((each) => (each.rule === rule ? { ...each, rule: next } : each));
    this.#changed();
  }

  #add() {
    this.#history.remember(`add rule ${performance.now()}`);
    const taken = new Set(this.#rules.map(({ rule }) => rule.id));
    let number = this.#rules.length + 1;
    while (taken.has(`rule-${number}`)) number += 1;
    const { zone, line } = this.#firstPlaces;
    const kind = zone === undefined && line !== undefined ? 'crosses' : 'dwells';
    const plain = ofKind({ kind, id: `rule-${number}` }, kind, { zone, line });
    const rule = zone === undefined || kind === 'crosses' ? plain : { ...plain, zone };
    this.#rules = [...this.#rules, { was: null, rule }];
    this.#status = `${rule.id} was added. It holds once you save.`;
    this.#pick(this.#rules.length - 1);
    this.#changed();
    /** @type {HTMLElement | null} */ (this.node.querySelector('.rule-fields:not([hidden]) select'))?.focus();
  }

  /** @param {number} index */
  #remove(index) {
    this.#history.remember(`remove rule ${performance.now()}`);
    this.#status = `${this.#rules[index].rule.id} will be removed when you save. Undo brings it back.`;
    this.#rules = this.#rules.toSpliced(index, 1);
    this.#pick(null);
    this.#changed();
    (this.#pickNode(Math.min(index, this.#rules.length - 1)) ?? this.node.querySelector('button'))?.focus();
  }

  #changed() {
    this.#isStale = true;
    this.#draw();
    this.node.dispatchEvent(new Event('input', { bubbles: true }));
  }

  get #firstPlaces() {
    const first = (/** @type {string} */ kind) => this.#places.find((place) => place.kind === kind)?.id;
    return { zone: first('zones'), line: first('lines') };
  }

  #draw() {
    if (!this.#isFilled) return;
    render(
      html`<div class="places-head">
          <h2>Rules</h2>
          <span data-needs="operator"><button type="button" class="button" aria-label="Add rule" @click=${() => this.#add()}>+ Rule</button></span>
        </div>
        ${this.#rules.length === 0 ? html`<p class="none">No rule yet: a rule tells when somebody stays, crosses a line, or the picture is dark.</p>` : nothing}
        <ul class="place-rows">${repeat(
          this.#rules,
          (_, i) => i,
          ({ rule }, i) => this.#row(rule, i),
        )}</ul>
        <p class="hint" role="status">${this.#status}</p>`,
      this.node,
    );
  }

  /** @param {Rule} rule @param {number} i */
  #row(rule, i) {
    const isOpen = i === this.#open;
    const isMetric = this.#places.some(({ kind, id, isMetric }) => kind === 'zones' && id === rule.zone && isMetric);
    const sentence = sentenceOf(rule, isMetric).map(({ text, isValue }) => (isValue ? html`<b>${text}</b>` : text));
    return html`<li class="place-row rule-row" data-rule=${i} data-selected=${isOpen || nothing}>
      <div class="place-line">
        <button type="button" class="place-pick" aria-expanded=${isOpen} @click=${() => this.#pick(isOpen ? null : i)}>
          <span>${sentence}<small>${rule.id}${rule.clip === undefined ? '' : ', keeps a clip'}</small></span>
          <span class="place-count" data-needs="operator">${isOpen ? '' : firedText(this.#trial, rule.id, this.#isStale)}</span>
        </button>
        <button type="button" class="button button-small" data-needs="operator" aria-label="Delete rule ${rule.id}"
          @click=${() => this.#remove(i)}>Delete</button>
      </div>
      ${
        isOpen
          ? html`<div class="place-fields rule-fields" data-needs="operator">
              ${this.#fields.draw(rule, `events[${i}]`, this.#places, (/** @type {RuleKind} */ kind) =>
                this.#set(rule, `kind ${performance.now()}`, ofKind(rule, kind, this.#firstPlaces)),
              )}
              ${triedRule({
                trial: this.#trial,
                rule: rule.id,
                isStale: this.#isStale,
                shown: this.#event,
                onShow: (event) => this.#show(event === this.#event ? null : event),
              })}
            </div>`
          : nothing
      }
    </li>`;
  }
}

/** @type {Promise<void> | null} */
let ruleSchema = null;

/** Asks, once, what the settings of rules may be. */
export function loadRuleSchema() {
  ruleSchema ??= askRuleSchema().catch((error) => {
    ruleSchema = null;
    throw error;
  });
  return ruleSchema;
}

async function askRuleSchema() {
  const response = await fetch(`${PAGE_URL}api/openapi.json`);
  if (!response.ok) throw new Error(`The gateway does not say what rules may be: HTTP ${response.status}.`);
  useRuleSchema(await response.json());
}
