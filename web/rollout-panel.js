/** @import { Preview, RolloutReport, RolloutState, ShadowMessage, StreamReport } from './lib/client/index.js' */

import { element, runBusy, setData, setText } from './element.js';
import { formatCount, formatDuration, formatName, formatNumber } from './format.js';
import { RolloutCompare } from './rollout-compare.js';
import { RolloutGuards } from './rollout-guards.js';

/**
 * A question before an action, null if it needs none.
 *
 * @typedef {[title: string, text: string, button: string] | null} Question
 *
 * @typedef {'hold' | 'promote' | 'abort' | 'undo'} Verb
 *
 * @typedef {object} RolloutActions
 * @property {(verb: Verb | 'resume', question: Question, seen: { rollout: string, step: number }) => Promise<void>} act
 * @property {() => void} onWatch called when the panel needs the pictures of other streams
 */

/** @type {Record<RolloutState, string>} */
const TONES = { running: 'busy', holding: 'warn', promoted: 'good', 'rolled-back': 'bad', aborted: 'idle' };
const ACTIVE = new Set(['running', 'holding']);
/** @type {readonly Verb[]} */
const BUTTONS = ['hold', 'promote', 'abort', 'undo'];
/** The roll-out whose end this browser no longer shows. */
const DISMISSED = 'sightline.dismissed-rollout';

/** The roll-out of the pipeline: steps, guards, and the pictures of both versions. Hidden until there is one. */
export class RolloutPanel {
  #node;
  #title = element('h2', {});
  #state = element('span', { class: 'badge' });
  #reason = element('p', { class: 'rollout-reason' });
  #steps = element('ol', { class: 'rollout-steps', 'aria-label': 'Steps' });
  #progress = element('p', { class: 'rollout-progress' });
  #waits = element('p', { class: 'rollout-waits', role: 'status' });
  #dismiss = element('button', { type: 'button', class: 'button', 'data-verb': 'dismiss' }, 'Dismiss');
  #guards = new RolloutGuards();
  #compare;
  #buttons;
  /** @type {RolloutReport | null} */
  #report = null;

  /**
   * @param {HTMLElement} node
   * @param {RolloutActions} actions
   */
  constructor(node, actions) {
    this.#node = node;
    this.#compare = new RolloutCompare(actions.onWatch);
    this.#buttons = new Map(BUTTONS.map((verb) => [verb, this.#button(verb, actions)]));
    node.append(
      element(
        'header',
        { class: 'rollout-head' },
        this.#title,
        this.#state,
        element('div', { class: 'rollout-texts' }, this.#waits, this.#reason),
        element('div', { class: 'rollout-actions', 'data-needs': 'admin' }, ...this.#buttons.values()),
        element('div', { class: 'rollout-actions' }, this.#dismiss),
      ),
      element('div', { class: 'rollout-evidence' }, this.#steps, this.#progress, this.#guards.node),
      this.#compare.node,
    );
    this.#dismiss.addEventListener('click', () => {
      if (this.#report !== null) remember(keyOf(this.#report));
      node.hidden = true;
    });
  }

  /** Streams whose pictures the panel needs. */
  get watched() {
    return this.#report === null ? [] : this.#compare.watched;
  }

  /**
   * @param {RolloutReport | undefined} report the `rollout` of a `stats` message; undefined if there was none
   * @param {readonly StreamReport[]} streams
   * @param {number} timeMs
   */
  update(report, streams, timeMs) {
    const isActive = report !== undefined && ACTIVE.has(report.state);
    const isShown = report !== undefined && (isActive || !isDismissed(report));
    this.#node.hidden = !isShown;
    this.#report = isShown ? report : null;
    if (!isShown) return;
    setData(this.#node, 'tone', TONES[report.state]);
    setData(this.#node, 'active', isActive ? 'true' : null);
    setText(this.#title, `${report.from} → ${report.to}`);
    setText(this.#state, stateText(report));
    setText(this.#reason, report.reason);
    this.#showSteps(report);
    setText(this.#progress, isActive ? progressText(report, timeMs) : '');
    setText(this.#waits, report.waitsFor ?? '');
    this.#guards.update(report.guards);
    this.#compare.update(report, streams, isActive);
    this.#showButtons(report, isActive);
  }

  /** @param {Preview} message */
  showPreview(message) {
    this.#compare.showPreview(message);
  }

  /** @param {ShadowMessage} message */
  showShadow(message) {
    this.#compare.showShadow(message);
  }

  /** @param {RolloutReport} report */
  #showSteps({ steps, step, state, share }) {
    const items = steps.map((percent, i) => {
      const isDone = state === 'promoted' || (ACTIVE.has(state) && i < step);
      const isNow = ACTIVE.has(state) && i === step;
      const text = percent === 0 ? 'Baseline' : isAlone(steps, i) ? '100 % alone' : `${percent} %`;
      const phase = isNow ? 'now' : isDone ? 'done' : null;
      return element('li', { 'data-phase': phase, 'aria-current': isNow ? 'step' : null }, text);
    });
    const key = `${steps} ${step} ${state} ${share}`;
    if (this.#steps.dataset.key === key) return;
    this.#steps.dataset.key = key;
    this.#steps.replaceChildren(...items);
  }

  /**
   * @param {RolloutReport} report
   * @param {boolean} isActive
   */
  #showButtons({ state, heldBy }, isActive) {
    for (const [verb, button] of this.#buttons) {
      button.hidden = verb === 'undo' ? state !== 'promoted' : !isActive;
      if (verb === 'hold') setText(button, heldBy === null ? 'Hold' : 'Release');
    }
    this.#dismiss.hidden = isActive;
  }

  /**
   * @param {Verb} verb
   * @param {RolloutActions} actions
   */
  #button(verb, actions) {
    const style = verb === 'abort' || verb === 'undo' ? 'button button-danger' : 'button';
    const button = element('button', { type: 'button', class: style, 'data-verb': verb }, formatName(verb));
    button.addEventListener('click', () => {
      const report = this.#report;
      if (report === null) return;
      const isRelease = verb === 'hold' && report.heldBy !== null;
      // The step that the user sees now: the roll-out may advance while the dialog is open.
      const seen = { rollout: report.id, step: report.step };
      runBusy(button, () => actions.act(isRelease ? 'resume' : verb, question(verb, report), seen));
    });
    return button;
  }
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
