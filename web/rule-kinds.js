/** @import { RuleKind } from './lib/client/index.js' */

/**
 * A rule as the settings of its stream have it; texts that are no numbers are left to the gateway.
 *
 * @typedef {{ id: string, kind: RuleKind } & { [key: string]: unknown }} Rule
 *
 * @typedef {object} Kind
 * @property {string} name in the list of kinds
 * @property {readonly string[]} keys its settings that are always shown, in this order
 * @property {Readonly<Record<string, unknown>>} [first] those of a new rule
 * @property {(rule: Rule, isMetric: boolean) => string} says what it is about, as `{object} stays in {zone}`
 */

const OBJECTS = ['labels', 'minScore', 'minSize'];
/** Settings of every kind. */
const COMMON = ['cooldown', 'id', 'times', 'when'];

const inZone = (/** @type {Rule} */ { zone }) => (zone === undefined ? '' : ' in {zone}');
const held = (/** @type {Rule} */ { for: time }) => (isNothing(time) ? '' : ' for {for}');

/** In the order of the list. @type {Readonly<Record<RuleKind, Kind>>} */
export const KINDS = {
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
  signs: { black: 'black', frozen: 'frozen', blurred: 'blurred', moved: 'moved', dark: 'dark' },
  troubles: { down: 'is down', 'target-missed': 'misses its target' },
  direction: { 'left-to-right': 'left to right', 'right-to-left': 'right to left' },
};

/** Kinds for which a zone must be named. @type {ReadonlySet<string>} */
const IN_A_ZONE = new Set(['enters', 'exits']);

/** Settings of a rule that are not always shown. @param {Rule} rule */
export const moreOf = ({ kind }) => [...(KINDS[kind].keys.includes('labels') ? OBJECTS.slice(1) : []), ...COMMON];

/** Whether a rule may be about the whole picture. @param {Rule} rule */
export const isZoneFree = ({ kind }) => !IN_A_ZONE.has(kind);

/**
 * A rule of another kind, with what both have in common.
 *
 * @param {Rule} rule
 * @param {RuleKind} kind
 * @param {{ zone: string | undefined, line: string | undefined }} places of a rule that needs one
 * @returns {Rule}
 */
export function ofKind(rule, kind, { zone, line }) {
  const { keys, first } = KINDS[kind];
  const settings = {
    ...(IN_A_ZONE.has(kind) ? { zone: zone ?? '' } : {}),
    ...(kind === 'crosses' ? { line: line ?? '' } : {}),
    ...first,
  };
  const kept = Object.entries(rule).filter(([key]) => !(key in settings) || key === 'zone' || key === 'line');
  return inOrder({ ...settings, ...Object.fromEntries(kept), id: rule.id, kind }, keys);
}

/**
 * A rule with its settings in one order, without those that say nothing: so equal rules have equal texts.
 *
 * @param {Rule} rule
 * @param {readonly string[]} [keys] of its kind
 * @returns {Rule}
 */
export function inOrder(rule, keys = KINDS[rule.kind].keys) {
  const order = ['kind', ...new Set([...keys, ...moreOf(rule)])];
  const entries = order.flatMap((key) => (isNothing(rule[key]) ? [] : [[key, rule[key]]]));
  // A rule without a name is refused by its name.
  return /** @type {Rule} */ ({ ...Object.fromEntries(entries), id: rule.id });
}

/** @param {unknown} value */
function isNothing(value) {
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
  const parts = KINDS[rule.kind]
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

/** Of times, as they are said. @type {Record<string, string>} */
const UNITS = { '': 's', m: 'min' };

/** @param {string} key @param {Rule} rule */
function wordOf(key, rule) {
  const labels = /** @type {readonly string[]} */ (rule.labels ?? []);
  if (key === 'object')
    return labels.length === 0 ? 'anything' : `${/^[aeiou]/i.test(labels[0]) ? 'an' : 'a'} ${joined(labels)}`;
  if (key === 'for')
    return String(rule.for).replace(/^([\d.]+)\s*([a-z]*)$/, (_, time, unit) => `${time} ${UNITS[unit] ?? unit}`);
  if (key === 'objects') return labels.length === 0 ? 'objects' : joined(labels.map(pluralOf));
  const choices = /** @type {Record<string, string> | undefined} */ (
    /** @type {Record<string, object>} */ (CHOICES)[key]
  );
  if (choices === undefined) return String(rule[key] || `no ${key}`);
  const chosen = [rule[key] ?? Object.keys(choices)].flat();
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
