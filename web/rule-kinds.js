/** @import { RuleKind } from './lib/client/index.js' */

import { keysOf, nodeOf, typedValue } from './rule-schema.js';
import { withChanges } from './settings-edits.js';

/**
 * A rule as the settings of its stream have it; what is typed into a field is a text until it is sent.
 *
 * @typedef {{ id: string, kind: RuleKind } & { [key: string]: unknown }} Rule
 *
 * @typedef {object} Kind
 * @property {string} name in the list of kinds
 * @property {readonly string[]} keys its settings that are always shown, in this order
 * @property {Readonly<Record<string, unknown>>} [first] those of a new rule
 * @property {(rule: Rule, isMetric: boolean) => string} says what it is about, as `{object} stays in {zone}`
 */

/** The order of settings that are not always shown; what is not listed here comes after them. */
const MORE = ['minScore', 'minSize', 'cooldown', 'id', 'times', 'when'];

const inZone = (/** @type {Rule} */ { zone }) => (zone === undefined ? '' : ' in {zone}');
const held = (/** @type {Rule} */ { for: time }) => (isNothing(time) ? '' : ' for {for}');

/** In the order of the list. @type {Readonly<Record<RuleKind, Kind>>} */
const KINDS = {
  dwells: {
    name: 'stays for a while',
    keys: ['zone', 'for', 'labels'],
    first: { for: '15s' },
    says: ({ zone }) => `{object} stays in ${zone === undefined ? 'the picture' : '{zone}'} for {for}`,
  },
  enters: { name: 'enters a zone', keys: ['zone', 'labels'], says: () => '{object} enters {zone}' },
  exits: { name: 'leaves a zone', keys: ['zone', 'labels'], says: () => '{object} leaves {zone}' },
  crosses: {
    name: 'crosses a line',
    keys: ['line', 'direction', 'labels'],
    says: ({ direction }) => `{object} crosses {line}${direction === undefined ? '' : ' from {direction}'}`,
  },
  count: {
    name: 'are more or fewer than a number',
    keys: ['above', 'below', 'zone', 'for', 'labels'],
    first: { above: 3 },
    says: (rule) => {
      const limits = [
        rule.above === undefined ? [] : 'More than {above}',
        rule.below === undefined ? [] : 'fewer than {below}',
      ];
      return `${limits.flat().join(' and ') || 'Some number of'} {objects}${inZone(rule)}${held(rule)}`;
    },
  },
  appears: { name: 'appears', keys: ['for', 'labels'], says: (rule) => `{object} appears${held(rule)}` },
  leaves: {
    name: 'is gone',
    keys: ['zone', 'for', 'labels'],
    first: { for: '1s' },
    says: ({ zone }) => `{object} is gone${zone === undefined ? '' : ' from {zone}'}`,
  },
  stationary: {
    name: 'does not move',
    keys: ['zone', 'for', 'labels'],
    first: { for: '5m' },
    says: (rule) => `{object} does not move${inZone(rule)} for {for}`,
  },
  speed: {
    name: 'moves too fast',
    keys: ['above', 'for', 'zone', 'labels'],
    first: { above: 1, for: '500ms' },
    says: (rule, isMetric) =>
      `{object} moves faster than {above} ${isMetric ? 'm/s' : 'picture heights/s'}${inZone(rule)}`,
  },
  picture: {
    name: 'shows nothing',
    keys: ['signs', 'for'],
    first: { for: '10s' },
    says: (rule) => `The picture is {signs}${held(rule)}`,
  },
  stream: {
    name: 'is in trouble',
    keys: ['troubles', 'for'],
    first: { for: '10s' },
    says: (rule) => `The camera {troubles}${held(rule)}`,
  },
};

/** Kinds by what they are about, for the list of kinds. @type {readonly { label: string, kinds: readonly RuleKind[] }[]} */
export const ABOUT = [
  {
    label: 'An object …',
    kinds: ['dwells', 'enters', 'exits', 'crosses', 'appears', 'leaves', 'stationary', 'speed'],
  },
  { label: 'The objects …', kinds: ['count'] },
  { label: 'The picture …', kinds: ['picture'] },
  { label: 'The camera …', kinds: ['stream'] },
];

/** What can be wrong, as a rule names it and as it is said. */
export const CHOICES = {
  signs: { black: 'black', frozen: 'frozen', covered: 'covered', blurred: 'blurred', moved: 'moved', dark: 'dark' },
  troubles: { down: 'is down', 'target-missed': 'misses its target' },
  direction: { 'left-to-right': 'left to right', 'right-to-left': 'right to left' },
};

/** What is meant if a rule names none of several: a dark picture must be asked for. */
export const isMeantByNone = (/** @type {string} */ choice) => choice !== 'dark';

/** How a kind is shown; a newer gateway has kinds that this page does not know. @param {string} kind @returns {Kind} */
export const kindOf = (kind) =>
  /** @type {Readonly<Record<string, Kind>>} */ (KINDS)[kind] ?? {
    name: kind,
    keys: [],
    says: () => `The rule “${kind}” is met`,
  };

/** Settings of a rule that are not always shown. @param {Rule} rule */
export function moreOf({ kind }) {
  const { keys } = kindOf(kind);
  const rest = keysOf(kind).filter((key) => !keys.includes(key) && key !== 'clip');
  const place = (/** @type {string} */ key) => (MORE.includes(key) ? MORE.indexOf(key) : MORE.length);
  return rest.sort((a, b) => place(a) - place(b));
}

/**
 * A rule of another kind, with what both have in common and what this page does not know.
 *
 * @param {Rule} rule
 * @param {RuleKind} kind
 * @param {{ zone: string | undefined, line: string | undefined }} places of a rule that needs one
 * @returns {Rule}
 */
export function ofKind(rule, kind, { zone, line }) {
  const { first } = kindOf(kind);
  const isKept = (/** @type {string} */ key) => nodeOf(kind, key) !== undefined || nodeOf(rule.kind, key) === undefined;
  const gone = Object.keys(rule).filter((key) => key !== 'kind' && !isKept(key));
  return withChanges(rule, {
    ...Object.fromEntries(gone.map((key) => [key, undefined])),
    ...(kind === 'enters' || kind === 'exits' ? { zone: rule.zone ?? zone } : {}),
    ...(kind === 'crosses' ? { line: rule.line ?? line } : {}),
    ...first,
    kind,
  });
}

/**
 * A rule with another value of a setting; without the setting if the value says nothing. A rule without a name is refused by its name.
 *
 * @param {Rule} rule
 * @param {string} key
 * @param {unknown} value
 */
export function withValue(rule, key, value) {
  const isGone = key !== 'id' && (value === '' || (Array.isArray(value) && value.length === 0));
  return withChanges(rule, { [key]: isGone ? undefined : value });
}

/** A rule as the gateway takes it. @param {Rule} rule @returns {Rule} */
export function settingsOf(rule) {
  const entries = Object.entries(rule).map(([key, value]) => [key, typedValue(value, nodeOf(rule.kind, key))]);
  return Object.fromEntries(entries);
}

/** @param {unknown} value */
export function isNothing(value) {
  return value === undefined || value === '' || value === '0s' || (Array.isArray(value) && value.length === 0);
}

/**
 * The parts of the sentence that says a rule; those with a value are marked.
 *
 * @param {Rule} rule
 * @param {boolean} isMetric its zone has a scale
 * @returns {{ text: string, isValue: boolean }[]}
 */
export function sentenceOf(rule, isMetric) {
  const parts = kindOf(rule.kind)
    .says(rule, isMetric)
    .split(/(\{\w+\})/)
    .filter((part) => part !== '')
    .map((part) =>
      part.startsWith('{') ? { text: wordOf(part.slice(1, -1), rule), isValue: true } : { text: part, isValue: false },
    );
  const { times } = /** @type {{ times?: { on?: unknown } }} */ (rule);
  const on = Array.isArray(times?.on) ? times.on.join(', ') : '';
  const sentence = on === '' ? parts : [...parts, { text: ', ', isValue: false }, { text: on, isValue: true }];
  const [first, ...rest] = sentence;
  return [{ ...first, text: first.text.charAt(0).toUpperCase() + first.text.slice(1) }, ...rest];
}

/**
 * A rule in words: the sentence, and what else it demands or does.
 *
 * @param {Rule} rule
 * @param {boolean} isMetric its zone has a scale
 */
export function ruleText(rule, isMetric) {
  const { minScore, minSize, cooldown, when } = rule;
  const sentence = sentenceOf(rule, isMetric)
    .map(({ text }) => text)
    .join('');
  const clip = clipText(rule);
  const more = [
    ...(minScore === undefined ? [] : [`with a score of at least ${minScore}`]),
    ...(minSize === undefined ? [] : [`at least ${minSize} of the picture high`]),
    ...(when === undefined ? [] : [`only if ${when}`]),
    ...(isNothing(cooldown) ? [] : [`then quiet for ${timeText(cooldown)}`]),
    ...(clip === '' ? [] : [clip]),
  ];
  return [sentence, ...more].join('; ');
}

/** Whether and from when to when a rule keeps a clip of its events; '' if it keeps none. @param {Rule} rule */
function clipText({ kind, clip }) {
  if (clip === undefined) return '';
  const { properties = {} } = nodeOf(kind, 'clip') ?? {};
  const { before = properties.before?.default, after = properties.after?.default } =
    /** @type {{ before?: unknown, after?: unknown }} */ (clip);
  const span = [
    ...(before === undefined ? [] : [`from ${timeText(before)} before`]),
    ...(after === undefined ? [] : [`to ${timeText(after)} after`]),
  ];
  return ['keeps a clip', ...span].join(' ');
}

/** Of times, as they are said. @type {Record<string, string>} */
const UNITS = { '': 's', m: 'min' };

/** `15 s`, `10 min`. @param {unknown} time as settings have it */
const timeText = (time) =>
  String(time).replace(/^([\d.]+)\s*([a-z]*)$/, (_, number, unit) => `${number} ${UNITS[unit] ?? unit}`);

/** @param {string} key @param {Rule} rule */
function wordOf(key, rule) {
  const labels = /** @type {readonly string[]} */ (rule.labels ?? []);
  if (key === 'object')
    return labels.length === 0 ? 'anything' : `${/^[aeiou]/i.test(labels[0]) ? 'an' : 'a'} ${joined(labels)}`;
  if (key === 'for') return timeText(rule.for);
  if (key === 'objects') return labels.length === 0 ? 'objects' : joined(labels.map(pluralOf));
  const choices = /** @type {Record<string, string> | undefined} */ (
    /** @type {Record<string, object>} */ (CHOICES)[key]
  );
  if (choices === undefined) return String(rule[key] || `no ${key}`);
  const chosen = [rule[key] ?? Object.keys(choices).filter(isMeantByNone)].flat();
  return joined(chosen.map((name) => choices[String(name)] ?? String(name)));
}

/** `black, frozen or moved`. @param {readonly string[]} words */
const joined = (words) =>
  [words.slice(0, -1).join(', '), ...words.slice(-1)].filter((part) => part !== '').join(' or ');

/** @param {string} label */
function pluralOf(label) {
  if (label === 'person') return 'people';
  return `${label}${/(?:s|x|ch|sh)$/.test(label) ? 'es' : 's'}`;
}
