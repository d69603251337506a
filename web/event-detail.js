/** @import { AlertWatch, KnownRule } from './alert-watch.js' */
/** @import { EventAlerts } from './event-alerts.js' */
/** @import { EventClipView } from './event-clip.js' */
/** @import { RuleEvent, StreamReport } from './lib/client/index.js' */
/** @import { KnownEvent } from './rule-events.js' */
/** @import { Rule } from './rule-kinds.js' */
/** @import { SeenAgain } from './seen-again.js' */

import { isOfMachine } from './alert-watch.js';
import { eventPicture, eventPictures } from './event-picture.js';
import { durationText, endText, eventTitle, lastedText, whenText } from './event-text.js';
import { formatName, formatTime } from './format.js';
import { html, nothing, svg } from './html.js';
import { ruleText } from './rule-kinds.js';

/** Units of the curve of scores. */
const CURVE = { width: 200, height: 32 };

/**
 * @typedef {object} Shown
 * @property {KnownEvent} event
 * @property {readonly RuleEvent[]} life its records, oldest first
 */

/**
 * All that is known of an event: picture, reason, how sure it was, what was not watched, who was told.
 *
 * @param {Shown} shown
 * @param {AlertWatch} watch
 * @param {StreamReport | undefined} report of its stream
 * @param {{ close: string, newer: string | null, older: string | null }} links
 * @param {{ clip: EventClipView, again: SeenAgain, alerts: EventAlerts }} asked what the gateway is asked about it
 */
export function eventDetail({ event, life }, watch, report, links, { clip, again, alerts }) {
  const { stream, rule: name, beganMs, endedMs, reason, trackId, direction, speed, blind } = event;
  const nowMs = Date.now();
  const known = watch.rules.find((each) => each.stream === stream && each.rule.id === name);
  const channels = watch.channelsOf(event);
  clip.show(event, known?.rule.clip !== undefined);
  again.show(event);
  alerts.show(event);
  const isAlert = watch.isAlert(event) && endedMs === null;
  const lasted = lastedText(event, nowMs);
  const more = endText(event);
  const facts = [
    ['Why', html`${reason[0]?.toUpperCase()}${reason.slice(1)}.`],
    ['Rule', ruleFact(name, known)],
    ['Camera', html`<a class="fact-link" href="#stream=${encodeURIComponent(stream)}">${stream}</a>`],
    ['Began', whenText(beganMs, nowMs)],
    [
      'Lasted',
      endedMs === null
        ? `${lasted}, still open`
        : `${formatName(durationText(event, nowMs))}, until ${whenText(endedMs, nowMs)}${more === '' ? '' : `: ${more}`}`,
    ],
    ['Object', trackId === undefined ? null : `${event.label} ${trackId}`],
    ['Direction', direction === undefined ? null : formatName(direction)],
    ['Speed', speed === undefined ? null : `${speed} per second`],
    ['Score', event.score === undefined ? null : scores(life, event)],
    [
      'Not watched',
      blind === undefined
        ? 'All of the minute before was watched.'
        : `Blind for ${blind.seconds} s of the minute before: ${formatName(blind.reason).toLowerCase()}.`,
    ],
    ['Clip', clip.text],
    ['Seen again', again.facts],
    ['Alerted', alerts.facts(channels)],
  ];
  const step = (/** @type {string | null} */ href, /** @type {string} */ label, /** @type {string} */ sign) =>
    href === null ? nothing : html`<a class="button" href=${href} aria-label=${label}>${sign}</a>`;
  return html`<article class="panel event-detail" aria-label="Event ${eventTitle(event)}" data-event=${event.id}>
    <figure>${clip.player(event, report, isAlert) ?? pictures(event, report, isAlert)}</figure>
    <header><h3>${eventTitle(event)}${lasted === '' ? '' : ` for ${lasted}`}</h3> ${endedMs === null ? html`<span class="open-pill" data-alert=${isAlert || nothing} data-machine=${isOfMachine(event) || nothing}>Open</span>` : nothing}</header>
    <dl>${facts.map(([term, value]) => (value === null ? nothing : html`<div><dt>${term}</dt><dd>${value}</dd></div>`))}</dl>
    <footer>${step(links.newer, 'Newer event', '\u2039')} ${step(links.older, 'Older event', '\u203a')}
      <a class="button" href="#stream=${encodeURIComponent(stream)}">Open camera</a> ${clip.download}
      <a class="button" id="event-close" href=${links.close}>Close</a></footer>
  </article>`;
}

/**
 * The picture of the event; of a camera that is blind or away, what it saw before beside it.
 *
 * @param {KnownEvent} event
 * @param {StreamReport | undefined} report of its stream
 * @param {boolean} isAlert
 */
function pictures(event, report, isAlert) {
  const name = `The event on ${event.stream}`;
  if (event.kind !== 'picture' && event.kind !== 'stream') {
    const kept = eventPictures.of(event);
    const caption = kept !== null && 'facts' in kept ? `Picture of ${formatTime(kept.facts.timeMs)}.` : '';
    return html`${eventPicture(event, report, isAlert, { name, isWhole: true })}<figcaption>${caption}</figcaption>`;
  }
  const both = /** @type {const} */ ([
    ['before', 'Last good picture'],
    ['at', 'First bad picture'],
  ]).flatMap(([moment, what]) => {
    const kept = eventPictures.of(event, moment);
    return kept !== null && 'facts' in kept ? [{ moment, text: `${what}, ${formatTime(kept.facts.timeMs)}` }] : [];
  });
  if (both.length === 0) return eventPicture(event, report, isAlert, { name, isWhole: true });
  return html`<div class="event-pair">${both.map(
    ({ moment, text }) =>
      html`<figure>${eventPicture(event, report, isAlert, { name: text, isWhole: true, moment })}<figcaption>${event.sign === 'target-missed' ? text.replace('First bad picture', 'Picture') : text}</figcaption></figure>`,
  )}</div>`;
}

/**
 * @param {string} name
 * @param {KnownRule | undefined} known
 */
function ruleFact(name, known) {
  if (known === undefined) return html`${name} <small>is not among the rules of the camera now</small>`;
  return `${name}: ${ruleText(/** @type {Rule} */ (known.rule), known.isMetric)}.`;
}

/**
 * The best score so far, as it rose over the life of the event.
 *
 * @param {readonly RuleEvent[]} life
 * @param {RuleEvent} event
 */
function scores(life, { score = 0 }) {
  const known = life.flatMap(({ score: value, ptsUs }) =>
    value === undefined || ptsUs === undefined ? [] : [{ value, ptsUs }],
  );
  const [first, last] = [known[0], known[known.length - 1]];
  const best = `${Math.round(100 * score)} %`;
  if (known.length < 2 || first.ptsUs === last.ptsUs) return best;
  const xOf = (/** @type {number} */ ptsUs) => (CURVE.width * (ptsUs - first.ptsUs)) / (last.ptsUs - first.ptsUs);
  const yOf = (/** @type {number} */ value) => CURVE.height * (1 - value);
  const steps = known.flatMap(({ value, ptsUs }, i) => [
    ...(i === 0 ? [] : [`${xOf(ptsUs).toFixed(1)},${yOf(known[i - 1].value).toFixed(1)}`]),
    `${xOf(ptsUs).toFixed(1)},${yOf(value).toFixed(1)}`,
  ]);
  return html`<svg class="score-curve" viewBox="0 0 ${CURVE.width} ${CURVE.height}" preserveAspectRatio="none" role="img"
      aria-label="Best score so far, from ${Math.round(100 * first.value)} % to ${best}">${svg`<polyline points=${steps.join(' ')} />`}</svg>
    ${Math.round(100 * first.value)} % when it was raised, ${best} at best`;
}
