/** @import { RuleTrialReply, StreamChange, TriedEvent, TriedRule } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { formatDuration, formatNumber, formatTime } from './format.js';
import { gateway } from './gateway.js';
import { html, nothing } from './html.js';

/** After the last change. */
const PAUSE_MS = 500;
/** What is shorter than that is not all of the last hour. */
const HOUR_MS = 3_540_000;
/** Times that are shown at first. */
const FEW = 6;
/** Blind times that are worth a word. */
const LEAST_BLIND_MS = 1000;
/** @type {Readonly<Record<string, string>>} */
const SUPPRESSED = { times: 'outside of its times', cooldown: 'in its quiet time', when: 'without its condition' };

/** Asks what rules would have done, after the last of several changes. */
export class RuleTrials {
  #stream;
  #onAnswer;
  #onError;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #running = new AbortController();

  /**
   * @param {string} stream
   * @param {(reply: RuleTrialReply | null) => void} onAnswer null: there are no rules
   * @param {(error: unknown) => void} onError
   */
  constructor(stream, onAnswer, onError) {
    this.#stream = stream;
    this.#onAnswer = onAnswer;
    this.#onError = onError;
  }

  /** @param {Pick<StreamChange, 'events' | 'zones' | 'lines'>} rules @param {number} [pauseMs] */
  ask(rules, pauseMs = PAUSE_MS) {
    this.stop();
    const { signal } = this.#running;
    this.#timer = setTimeout(async () => {
      try {
        const reply =
          rules.events?.length === 0 ? null : await gateway.streams.tryRules(this.#stream, rules, { signal });
        if (!signal.aborted) this.#onAnswer(reply);
      } catch (error) {
        if (!signal.aborted) this.#onError(error);
      }
    }, pauseMs);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#running.abort();
    this.#running = new AbortController();
  }
}

/** @param {RuleTrialReply | string | null} trial @param {string} id */
function ruleOf(trial, id) {
  return typeof trial === 'object' ? trial?.rules.find(({ rule }) => rule === id) : undefined;
}

/**
 * How often a rule would have fired, beside its sentence; nothing while that is not known.
 *
 * @param {RuleTrialReply | string | null} trial
 * @param {string} id of the rule
 * @param {boolean} isStale
 */
export function firedText(trial, id, isStale) {
  const rule = ruleOf(trial, id);
  return rule === undefined || isStale
    ? ''
    : html`<b>${rule.raised}</b> in ${spanText(/** @type {RuleTrialReply} */ (trial))}`;
}

/**
 * What a rule would have done, with the times.
 *
 * @param {object} tried
 * @param {RuleTrialReply | string | null} tried.trial a text: why that is not known
 * @param {string} tried.rule id of the rule
 * @param {boolean} tried.isStale the rule has changed since
 * @param {TriedEvent | null} tried.shown on the picture
 * @param {(event: TriedEvent) => void} tried.onShow
 */
export function triedRule({ trial, rule: id, isStale, shown, onShow }) {
  const rule = ruleOf(trial, id);
  const isKnown = rule !== undefined && trial !== null && typeof trial === 'object';
  const untold = typeof trial === 'string' ? trial : 'Counting how often it would have fired …';
  return html`<p class="tried-count" role="status" aria-busy=${isStale}>${isKnown ? headline(trial, rule) : untold}</p>
    <div class="tried" aria-busy=${isStale}>
      ${isKnown ? [times(rule, shown, onShow), shown?.rule === id ? details(shown) : nothing, notes(trial, rule)] : nothing}
    </div>`;
}

/** @param {RuleTrialReply} trial @param {TriedRule} rule */
function headline(trial, { raised }) {
  if (trial.results === 0) return 'Nothing was seen yet, so it is not known how often this would have fired.';
  const fired = raised === 0 ? html`not have fired` : html`have fired <b>${formatNumber(raised, 'time')}</b>`;
  return html`In ${spanText(trial)} this would ${fired}`;
}

/** @param {RuleTrialReply} trial */
function spanText({ fromMs, toMs }) {
  const ms = toMs - fromMs;
  if (ms >= HOUR_MS) return 'the last hour';
  return ms < 60_000 ? `the last ${Math.max(1, Math.round(ms / 1000))} s` : `the last ${Math.round(ms / 60_000)} min`;
}

/**
 * @param {TriedRule} rule
 * @param {TriedEvent | null} shown
 * @param {(event: TriedEvent) => void} onShow
 */
function times({ rule, raised, events }, shown, onShow) {
  if (events.length === 0) return nothing;
  const button = (/** @type {TriedEvent} */ event) => html`<li><button type="button" class="chip" title=${event.reason}
    aria-pressed=${event === shown} @click=${() => onShow(event)}>${momentText(event)}</button></li>`;
  const newest = events.toReversed();
  const more = newest.slice(FEW);
  return html`<ul class="tried-times" aria-label="Times of rule ${rule}, newest first">${newest.slice(0, FEW).map(button)}</ul>
    ${
      more.length === 0
        ? nothing
        : html`<details class="rule-more"><summary>${more.length} more${raised > events.length ? `, of ${raised} in all` : ''}</summary>
            <ul class="tried-times">${more.map(button)}</ul></details>`
    }`;
}

/** @param {TriedEvent} event */
function momentText({ raised: { at, ptsUs = 0 } }) {
  if (at !== undefined) return formatTime(Date.parse(at));
  const seconds = Math.floor(ptsUs / 1_000_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** @param {TriedEvent} event */
function details({ reason, raised, ended, blind }) {
  const [from, to] = [raised.at, ended?.at].map((at) => (at === undefined ? Number.NaN : Date.parse(at)));
  const lasted = to - from >= 1000 ? `, and it lasted ${formatDuration((to - from) / 1000)}` : '';
  const open = ended === undefined ? ', and it is not over' : lasted;
  const seen =
    blind === undefined
      ? ''
      : ` Of the minute before, ${formatDuration(blind.seconds)} were not watched (${blind.reason}).`;
  return html`<p class="tried-event">${sentence(reason)}${open}.${seen} The picture shows where.</p>`;
}

/** @param {string} text */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What the figure leaves out. @param {RuleTrialReply} trial @param {TriedRule} rule */
function notes({ results, kept, isFollowedLater, seeing }, { suppressed, problem }) {
  const blind = Object.entries(seeing.blindMs).filter(([, ms]) => ms >= LEAST_BLIND_MS);
  const blindMs = blind.reduce((sum, [, ms]) => sum + ms, 0);
  const not = Object.entries(suppressed).filter(([, count]) => count > 0);
  const texts = [
    ...(problem === undefined ? [] : [`${sentence(problem)}.`]),
    ...(not.length === 0
      ? []
      : [`Met but not told: ${not.map(([why, count]) => `${count} ${SUPPRESSED[why]}`).join(', ')}.`]),
    ...(blindMs === 0
      ? []
      : [`Not watched: ${formatDuration(blindMs / 1000)} (${blind.map(([why]) => why).join(', ')}).`]),
    ...(kept < results ? [`The host remembers ${Math.round((100 * kept) / results)} % of the results.`] : []),
    ...(isFollowedLater ? ['Objects were not followed all the time, so this is an estimate.'] : []),
  ];
  return texts.length === 0 ? nothing : html`<p class="hint">${texts.join(' ')}</p>`;
}

/** Why it is not known what rules would have done. @param {unknown} error */
export const untriedText = (error) => `Not known how often it would have fired: ${errorMessage(error)}`;
