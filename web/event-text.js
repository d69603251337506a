/** @import { RuleEvent, RuleKind } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */

import { formatDate, formatDuration, formatName, formatTime } from './format.js';

const DAY_MS = 86_400_000;
const whatOf = (/** @type {RuleEvent} */ { label }) => formatName(label ?? 'object');
const inPlace = (/** @type {RuleEvent} */ { zone }) => (zone === undefined ? '' : ` in ${zone}`);

/** What an event is called, by the kind of its rule. @type {Readonly<Record<RuleKind, (event: RuleEvent) => string>>} */
const TITLES = {
  appears: (event) => `${whatOf(event)} appeared`,
  leaves: (event) => `${whatOf(event)} gone${event.zone === undefined ? '' : ` from ${event.zone}`}`,
  enters: (event) => `${whatOf(event)} entered ${event.zone}`,
  exits: (event) => `${whatOf(event)} left ${event.zone}`,
  dwells: (event) => `${whatOf(event)} in ${event.zone ?? 'the picture'}`,
  crosses: (event) => `${whatOf(event)} crossed ${event.line}`,
  count: (event) => `${event.count} in ${event.zone ?? 'the picture'}`,
  speed: (event) => `Fast ${event.label ?? 'object'}${inPlace(event)}`,
  stationary: (event) => `${whatOf(event)} stopped${inPlace(event)}`,
  picture: ({ sign }) => (sign === 'moved' ? 'Camera moved' : `Picture ${sign}`),
  stream: ({ sign }) => (sign === 'down' ? 'Camera down' : 'Target missed'),
};

/**
 * A few words: `Person in yard`. Kinds of a newer host are called as they are.
 *
 * @param {RuleEvent} event
 */
export const eventTitle = (event) => (TITLES[event.kind] ?? (() => formatName(event.kind)))(event);

/**
 * How long it lasted, or has lasted so far; empty for what is over at once.
 *
 * @param {KnownEvent} event
 * @param {number} nowMs
 */
export function lastedText({ beganMs, endedMs }, nowMs) {
  const seconds = Math.max(0, (endedMs ?? nowMs) - beganMs) / 1000;
  return endedMs !== null && seconds < 0.5 ? '' : formatDuration(Math.round(seconds));
}

/** As `lastedText`, also of what is over at once: the same wherever an event is shown. @param {KnownEvent} event @param {number} nowMs */
export const durationText = (event, nowMs) => lastedText(event, nowMs) || 'a moment';

/** The time of a day, with the day if it is another one. @param {number} timeMs @param {number} nowMs */
export function whenText(timeMs, nowMs) {
  const isNear = Math.abs(nowMs - timeMs) < DAY_MS && new Date(timeMs).getDate() === new Date(nowMs).getDate();
  return (isNear ? formatTime : formatDate)(timeMs);
}

/** @param {number} timeMs @param {number} nowMs */
export function agoText(timeMs, nowMs) {
  return `${formatDuration(Math.max(0, Math.floor((nowMs - timeMs) / 1000)))} ago`;
}

/** A few words on each end that is not simply the end of what was seen. @type {Readonly<Record<string, string>>} */
const ENDS = {
  discontinuity: 'the media time jumped back',
  blind: 'nothing was seen any more',
  'source-ended': 'the recording was over',
  changed: 'the rule was changed',
  stopped: 'the stream was stopped',
  restart: 'the host ended without a word',
  moved: 'the stream moved to another host',
};

/** Why an event ended, if that is worth a word. @param {RuleEvent} event */
export const endText = ({ endReason }) => (endReason === undefined ? '' : (ENDS[endReason] ?? ''));
