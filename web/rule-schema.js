/**
 * What the gateway says of the settings of rules: which of them a kind has, and what each of them may be.
 *
 * A node of its JSON Schema; `longest` is a mark of times such as `15s` (`SettingMarks` in src/settings/config/schema-text.ts).
 *
 * @typedef {object} SchemaNode
 * @property {string} [type]
 * @property {string} [const]
 * @property {readonly string[]} [enum]
 * @property {unknown} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {string} [longest]
 * @property {SchemaNode} [items]
 * @property {Readonly<Record<string, SchemaNode>>} [properties]
 * @property {readonly string[]} [required]
 * @property {readonly SchemaNode[]} [oneOf]
 */

/** By kind. @type {ReadonlyMap<string, SchemaNode>} */
let kinds = new Map();

/** Takes the schema from what the gateway says of itself. @param {any} api its OpenAPI document */
export function useRuleSchema(api) {
  const named = api.components?.schemas ?? {};
  const body = whole(api.paths['/api/streams'].post.requestBody.content['application/json'].schema, named);
  /** @type {readonly SchemaNode[]} */
  const nodes = body.properties.events.items.oneOf;
  kinds = new Map(nodes.map((node) => [kindOf(node), node]));
}

/**
 * A schema with the ones that it names in their places.
 *
 * @param {any} node @param {Readonly<Record<string, unknown>>} named by name
 * @returns {any}
 */
function whole(node, named) {
  if (Array.isArray(node)) return node.map((each) => whole(each, named));
  if (typeof node !== 'object' || node === null) return node;
  const { $ref, ...own } = node;
  const known = typeof $ref === 'string' ? named[$ref.slice($ref.lastIndexOf('/') + 1)] : {};
  const entries = Object.entries({ .../** @type {object} */ (known), ...own });
  return Object.fromEntries(entries.map(([key, value]) => [key, whole(value, named)]));
}

/** @param {SchemaNode} node */
function kindOf({ properties = {} }) {
  return properties.kind.const ?? properties.kind.enum?.[0] ?? '';
}

/** The settings of a kind, besides the kind itself. @param {string} kind @returns {string[]} */
export const keysOf = (kind) => Object.keys(kinds.get(kind)?.properties ?? {}).filter((key) => key !== 'kind');

/** @param {string} kind @param {string} key @returns {SchemaNode | undefined} undefined: the kind has no such setting */
export const nodeOf = (kind, key) => kinds.get(kind)?.properties?.[key];

/** @param {string} kind @param {string} key */
export const isRequired = (kind, key) => kinds.get(kind)?.required?.includes(key) === true;

/** What a section has if nothing is said. @param {SchemaNode} node */
export function defaultsOf({ properties = {} }) {
  const entries = Object.entries(properties).map(([key, child]) => [key, child.default]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** The limits of a setting, as they are said below its field; '' without any. @param {SchemaNode} node */
export function limitsText({ minimum, maximum, longest }) {
  if (longest !== undefined) return `At most ${longest.replace(/d$/, ' days')}.`;
  return minimum === undefined || maximum === undefined ? '' : `${minimum} to ${maximum}.`;
}

/**
 * What was typed, as the gateway takes it. What is no number, or no time, is sent as it is: the gateway says what is wrong with it.
 *
 * @param {unknown} value
 * @param {SchemaNode | undefined} node undefined: nothing is known of it, and it stays as it is
 * @returns {unknown}
 */
export function typedValue(value, node) {
  if (typeof value === 'object' && value !== null && node?.properties !== undefined) {
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([key, each]) => [key, typedValue(each, node.properties?.[key])]));
  }
  if (typeof value !== 'string' || node === undefined) return value;
  const text = value.trim();
  const isNumber = node.type === 'number' || node.type === 'integer';
  if (isNumber) return text === '' || Number.isNaN(Number(text)) ? value : Number(text);
  return node.longest !== undefined && /^[\d.]+$/.test(text) ? `${text}s` : value;
}
