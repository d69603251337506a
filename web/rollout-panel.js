/** @import { Preview, RolloutReport, RolloutState, ShadowMessage, StreamReport } from './lib/client/index.js' */

import { busy } from './element.js';
import { formatCount, formatDuration, formatName, formatNumber } from './format.js';
import { html, nothing } from './html.js';
import { RolloutCompare } from './rollout-compare.js';
import { guardList, guardTable } from './rollout-guards.js';

/**
 * A question before an action, null if it needs none.
 *
 * @typedef {[title: string, text: string, button: string] | null} Question
 *
 * @typedef {'hold' | 'promote' | 'abort' | 'undo'} Verb
 *
 * @typedef {object} RolloutActions
 * @property {(verb: Verb | 'resume', question: Question, seen: { rollout: string, step: number }, detector?: string) => Promise<void>} act
 * @property {() => void} onWatch called when the panel needs the pictures of other streams
 */

/** @type {Record<RolloutState, string>} */
const TONES = { running: 'busy', holding: 'warn', promoted: 'good', 'rolled-back': 'bad', aborted: 'idle' };
/** @type {readonly Verb[]} */
const BUTTONS = ['hold', 'promote', 'abort', 'undo'];
/** The roll-out whose end this browser no longer shows. */
const DISMISSED = 'sightline.dismissed-rollout';

/** @param {Pick<RolloutReport, 'state'> | undefined} report */
export const isActive = (report) => report?.state === 'running' || report?.state === 'holding';

/** The roll-out of the pipeline: steps, guards, and the pictures of both versions. */
export class RolloutPanel {
  #actions;
  #compare;
  /** The one that is shown. @type {RolloutReport | null} */
  report = null;

  /** @param {RolloutActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#compare = new RolloutCompare(actions.onWatch);
  }

  /** Streams whose pictures the panel needs. */
  get watched() {
    return this.report === null ? [] : this.#compare.watched;
  }

  /** @param {Preview} message */
  showPreview(message) {
    this.#compare.showPreview(message);
  }

  /** @param {ShadowMessage} message */
  showShadow(message) {
    this.#compare.showShadow(message);
  }

  /**
   * @param {RolloutReport | undefined} report the `rollout` of a `stats` message; undefined if there was none
   * @param {readonly StreamReport[]} streams
   * @param {number} timeMs
   * @param {() => void} redraw
   * @returns {unknown} nothing while there is none to show
   */
  show(report, streams, timeMs, redraw) {
    const isShown = report !== undefined && (isActive(report) || !isDismissed(report));
    this.report = isShown ? report : null;
    if (!isShown) return nothing;
    this.#compare.update(report, streams, isActive(report));
    return html`<section class="panel rollout" id="rollout" aria-label="Roll-out" data-tone=${TONES[report.state]}
      data-active=${isActive(report) || nothing}>
      <header class="rollout-head">
        <h2>${report.from} → ${report.to}</h2> <span class="badge">${stateText(report)}</span>
        <div class="rollout-texts">
          <p class="rollout-waits" role="status" ?hidden=${report.waitsFor === null}>${report.waitsFor}</p>
          <p class="rollout-reason">${report.reason}</p>
        </div>
        <div class="rollout-actions">
          ${BUTTONS.map((verb) => this.#button(verb, report))}
          <button type="button" class="button" data-verb="dismiss" ?hidden=${isActive(report)} @click=${() => {
            remember(keyOf(report));
            redraw();
          }}>Dismiss</button>
        </div>
      </header>
      <div class="rollout-evidence">
        <ol class="rollout-steps" aria-label="Steps">${report.steps.map((_, i) => stepItem(report, i))}</ol>
        <p class="rollout-progress">${isActive(report) ? progressText(report, timeMs) : ''}</p>
        ${guardList(report.guards)}
      </div>
      <div class="rollout-cameras" ?hidden=${!isActive(report)}>
        ${guardTable(report.guards, report.candidateStreams)} ${this.#compare.node}
      </div>
    </section>`;
  }

  /**
   * @param {Verb} verb
   * @param {RolloutReport} report the step that the user sees now: the roll-out may advance while the dialog is open
   */
  #button(verb, report) {
    const { id: rollout, step, state, heldBy, detector } = report;
    const isRelease = verb === 'hold' && heldBy !== null;
    const isShown = verb === 'undo' ? state === 'promoted' : isActive(report);
    const given = isRelease ? 'resume' : verb;
    const ask = () => this.#actions.act(given, question(verb, report), { rollout, step }, detector);
    const style = verb === 'abort' || verb === 'undo' ? 'button button-danger' : 'button';
    return html`<button type="button" class=${style} data-needs="admin" data-verb=${verb} ?hidden=${!isShown} @click=${busy(ask)}>${isRelease ? 'Release' : formatName(verb)}</button>`;
  }
}

/**
 * @param {RolloutReport} report
 * @param {number} i
 */
function stepItem({ steps, step, state }, i) {
  const isOpen = isActive({ state });
  const isNow = isOpen && i === step;
  const isDone = state === 'promoted' || (isOpen && i < step);
  // The first of two steps at 0 % tries both on recordings.
  const isTrial = i === 0 && steps[1] === 0;
  const text = isTrial
    ? 'Recordings'
    : steps[i] === 0
      ? 'Baseline'
      : isAlone(steps, i)
        ? '100 % alone'
        : `${steps[i]} %`;
  return html`<li data-phase=${isNow ? 'now' : isDone ? 'done' : nothing} aria-current=${isNow ? 'step' : nothing}>${text}</li>`;
}

/**
 * Says who holds the roll-out; a step that waits for evidence is not held.
 *
 * @param {RolloutReport} report
 */
function stateText({ state, heldBy }) {
  if (heldBy !== null) return `Held by ${heldBy}`;
  return state === 'holding' ? 'Waiting' : formatName(state);
}

/**
 * An undone roll-out has a second end.
 *
 * @param {RolloutReport} report
 */
function keyOf({ id, startedMs, endedMs }) {
  return `${id} ${startedMs} ${endedMs}`;
}

/**
 * If the browser stores nothing, the panel stays dismissed until the page is loaded again.
 *
 * @type {string | null}
 */
let dismissed = null;

/** @param {string} key */
function remember(key) {
  dismissed = key;
  try {
    localStorage.setItem(DISMISSED, key);
  } catch {
    // Private windows may refuse.
  }
}

/** @param {RolloutReport} report */
function isDismissed(report) {
  try {
    dismissed ??= localStorage.getItem(DISMISSED);
  } catch {
    // Private windows may refuse.
  }
  return dismissed === keyOf(report);
}

/**
 * @param {Verb} verb
 * @param {RolloutReport} report
 * @returns {Question}
 */
function question(verb, { from, to, steps, step }) {
  if (verb === 'hold') return null;
  if (verb !== 'promote')
    return [`${formatName(verb)} the roll-out`, `All streams use ${from} again.`, `Return to ${from}`];
  const next = steps[step + 1];
  const text =
    next === undefined
      ? `${to} is promoted.`
      : isAlone(steps, step + 1)
        ? `${to} runs all streams, and ${from} is no longer compared with it.`
        : `${to} goes to ${next} % of the streams.`;
  return ['Promote', `${text} Undecided guards are ignored.`, 'Promote'];
}

/**
 * The second step at 100 %: turns have ended.
 *
 * @param {readonly number[]} steps
 * @param {number} i
 */
function isAlone(steps, i) {
  return i === steps.length - 1 && steps[i] === 100 && steps[i - 1] === 100;
}

/**
 * @param {RolloutReport} report
 * @param {number} timeMs
 */
function progressText(report, timeMs) {
  const { share, members, streams, steps, step, stepStartedMs, holdMs, frames, minFrames, shadow } = report;
  const seconds = Math.max(0, timeMs - stepStartedMs) / 1000;
  const parts = [
    `${share} %${isAlone(steps, step) ? ' alone' : ''}: ${members} of ${formatNumber(streams, 'stream')}`,
    `${formatDuration(seconds)} of at least ${formatDuration(holdMs / 1000)}`,
  ];
  if (share > 0 || shadow) parts.push(`${formatCount(frames)} of at least ${formatNumber(minFrames, 'frame')}`);
  return parts.join(' · ');
}
