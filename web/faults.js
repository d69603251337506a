/** A fault in a message of the gateway: `target.fps: expected a number from 0.1 to 1000, received 9000 (number)`. */
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
  events: 'the rules',
};

/**
 * What somebody else has changed, as a user would call it.
 *
 * @param {object | undefined} before
 * @param {object} now
 */
export function changedWords(before = {}, now) {
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
export function faultsOf(message) {
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

/** The path of the setting that a fault is about, such as `events[0].for`. @param {string} fault */
export const pathOf = (fault) => FAULT.exec(fault)?.[1];
