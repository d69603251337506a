/**
 * How a form changes settings without losing what it does not know: only keys that were edited change, all others stay as they came.
 *
 * @typedef {Readonly<Record<string, unknown>>} Settings
 *
 * An entry of a list as it is edited, and the id that it had when the list was read; null: it is new.
 *
 * @typedef {{ was: string | null, settings: Settings }} EditedEntry
 */

/** Whether two settings say the same, in whatever order their keys are. @param {unknown} a @param {unknown} b @returns {boolean} */
export function isSame(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((each, i) => isSame(each, b[i]));
  if (!isSection(a) || !isSection(b)) return Object.is(a, b);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && isSame(a[key], b[key]));
}

/**
 * Returns settings with some keys changed; the same object if they have these values already.
 *
 * @template {object} S
 * @param {S} settings
 * @param {Settings} changes undefined takes a key away
 * @returns {S}
 */
export function withChanges(settings, changes) {
  const before = /** @type {Settings} */ (settings);
  const changed = Object.entries(changes).filter(([key, value]) => !isSame(before[key], value));
  if (changed.length === 0) return settings;
  const entries = Object.entries({ ...before, ...Object.fromEntries(changed) });
  return /** @type {S} */ (Object.fromEntries(entries.filter(([, value]) => value !== undefined)));
}

/**
 * Puts what was edited in a section over what others have made of it meanwhile, key by key.
 *
 * @param {Settings} before as it was read
 * @param {Settings} mine as it was edited
 * @param {Settings} theirs as it is now
 * @returns {Settings}
 */
function mergeSection(before, mine, theirs) {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(mine)])];
  const edited = keys.filter((key) => !isSame(before[key], mine[key]));
  const merged = (/** @type {string} */ key) => {
    const [old, now] = [before[key], theirs[key]];
    const value = mine[key];
    return isSection(old) && isSection(value) && isSection(now) ? mergeSection(old, value, now) : value;
  };
  return withChanges(theirs, Object.fromEntries(edited.map((key) => [key, merged(key)])));
}

/**
 * Puts what was edited in a list over what others have made of it meanwhile, entry by entry. An entry that was edited stays although
 * somebody else has removed it.
 *
 * @param {readonly Settings[]} before as it was read
 * @param {readonly EditedEntry[]} mine as it was edited
 * @param {readonly Settings[]} theirs as it is now
 * @returns {EditedEntry[]}
 */
export function mergeList(before, mine, theirs) {
  const beforeOf = (/** @type {unknown} */ id) => before.find((entry) => entry.id === id);
  const now = theirs.flatMap((entry) => {
    const was = String(entry.id);
    const [old, edited] = [beforeOf(was), mine.find((each) => each.was === was)];
    if (old === undefined) return [{ was, settings: entry }];
    return edited === undefined ? [] : [{ was, settings: mergeSection(old, edited.settings, entry) }];
  });
  const others = mine.filter(({ was, settings }) => {
    if (was === null) return true;
    return theirs.every(({ id }) => id !== was) && !isSame(beforeOf(was), settings);
  });
  return [...now, ...others.map(({ settings }) => ({ was: null, settings }))];
}

/** @param {unknown} value @returns {value is Settings} */
export function isSection(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
