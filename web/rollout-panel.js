import { element, setData, setText } from './element.js';
import { formatCount, formatDuration, formatName, formatNumber } from './format.js';
import { RolloutCompare } from './rollout-compare.js';
import { RolloutGuards } from './rollout-guards.js';

const TONES = { running: 'busy', holding: 'warn', promoted: 'good', 'rolled-back': 'bad', aborted: 'idle' };
const ACTIVE = new Set(['running', 'holding']);
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
  #report = null;

  /** `actions`: `act(verb, question, seen)`, where the question is `[title, text, button]` or null, and `onWatch()`. */
  constructor(node, actions) {
    this.#node = node;
    this.#compare = new RolloutCompare(actions.onWatch);
    this.#buttons = Object.fromEntries(BUTTONS.map((verb) => [verb, this.#button(verb, actions)]));
    node.append(
      element(
        'header',
        { class: 'rollout-head' },
        this.#title,
        this.#state,
        element('div', { class: 'rollout-texts' }, this.#waits, this.#reason),
        element('div', { class: 'rollout-actions', 'data-needs': 'admin' }, ...Object.values(this.#buttons)),
        element('div', { class: 'rollout-actions' }, this.#dismiss),
      ),
      element('div', { class: 'rollout-evidence' }, this.#steps, this.#progress, this.#guards.node),
      this.#compare.node,
    );
    this.#dismiss.addEventListener('click', () => {
      remember(keyOf(this.#report));
      node.hidden = true;
    });
  }

  /** Streams whose pictures the panel needs. */
  get watched() {
    return this.#report === null ? [] : this.#compare.watched;
  }

  /** @param report - the `rollout` of a `stats` message; undefined if there was none. */
  update(report, streams, timeMs) {
    const isActive = report !== undefined && ACTIVE.has(report.state);
    this.#node.hidden = report === undefined || (!isActive && isDismissed(report));
    this.#report = this.#node.hidden ? null : report;
    if (this.#node.hidden) return;
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

  showPreview(message) {
    this.#compare.showPreview(message);
  }

  showShadow(message) {
    this.#compare.showShadow(message);
  }

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

  #showButtons({ state, heldBy }, isActive) {
    const { hold, promote, abort, undo } = this.#buttons;
    for (const button of [hold, promote, abort]) button.hidden = !isActive;
    undo.hidden = state !== 'promoted';
    this.#dismiss.hidden = isActive;
    setText(hold, heldBy === null ? 'Hold' : 'Release');
  }

  #button(verb, actions) {
    const style = verb === 'abort' || verb === 'undo' ? 'button button-danger' : 'button';
    const button = element('button', { type: 'button', class: style, 'data-verb': verb }, formatName(verb));
    button.addEventListener('click', async () => {
      button.disabled = true;
      const isRelease = verb === 'hold' && this.#report.heldBy !== null;
      // The step that the user sees now: it may go on while the dialog is open.
      const seen = { rollout: this.#report.id, step: this.#report.step };
      await actions.act(isRelease ? 'resume' : verb, question(verb, this.#report), seen);
      button.disabled = false;
    });
    return button;
  }
}

/** A step that waits for evidence is not held by anybody. */
function stateText({ state, heldBy }) {
  if (heldBy !== null) return `Held by ${heldBy}`;
  return state === 'holding' ? 'Waiting' : formatName(state);
}

/** An undone roll-out has ended once more. */
function keyOf({ id, startedMs, endedMs }) {
  return `${id} ${startedMs} ${endedMs}`;
}

/** The panel can be dismissed where the browser stores nothing as well: until the page is loaded again. */
let dismissed = null;

function remember(key) {
  dismissed = key;
  try {
    localStorage.setItem(DISMISSED, key);
  } catch {
    // Private windows may refuse.
  }
}

function isDismissed(report) {
  try {
    dismissed ??= localStorage.getItem(DISMISSED);
  } catch {
    // As above.
  }
  return dismissed === keyOf(report);
}

function question(verb, { from, to, steps, step }) {
  if (verb === 'hold') return null;
  if (verb !== 'promote')
    return [`${formatName(verb)} the roll-out`, `All streams use ${from} again.`, `Return to ${from}`];
  const next = steps[step + 1];
  const text =
    next === undefined
      ? `${to} is promoted.`
      : isAlone(steps, step + 1)
        ? `${to} carries all streams alone, without ${from} beside it.`
        : `${to} goes to ${next} % of the streams.`;
  return ['Promote', `${text} Guards that have not decided are skipped.`, 'Promote'];
}

/** The second step at 100 %: turns have ended. */
function isAlone(steps, i) {
  return i === steps.length - 1 && steps[i] === 100 && steps[i - 1] === 100;
}

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
