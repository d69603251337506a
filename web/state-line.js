/** @import { FleetReport, HostReport, OverloadReport, StreamReport } from './lib/client/index.js' */

import { byId, element, setData, setText } from './element.js';
import { formatFps, formatMs, formatNumber } from './format.js';
import { mayApply, OverloadRemedies } from './overload.js';
import { isBlind, lateText, missText, needsAttention, signText } from './trouble.js';

const NAMES_SHOWN = 3;

/**
 * What the line says: one trouble, the one that is fixed first; the others follow as "Also".
 *
 * @typedef {object} Said
 * @property {'calm' | 'overload' | 'blind' | 'alert'} state
 * @property {string} title
 * @property {string} text
 * @property {string} [trouble] what is wrong with the machine, beside an alert
 */

/** The line above the wall: says trouble once, and that all is well. */
export class StateLine {
  #node = byId('state');
  #title = byId('state-title');
  #text = byId('state-text');
  #fps = byId('state-fps');
  #p99 = byId('state-p99');
  #attention = byId('attention');
  #remedies;
  #trouble = element('p', { class: 'state-trouble', hidden: true });
  #look = element('a', { class: 'button', id: 'look', 'aria-keyshortcuts': 'N', hidden: true }, 'Look');

  /** @param {(error: unknown) => void} onError */
  constructor(onError) {
    this.#remedies = new OverloadRemedies(onError);
    byId('state-text').parentElement?.after(this.#trouble);
    this.#attention.before(this.#look, this.#remedies.node);
  }

  /**
   * @param {readonly StreamReport[]} streams
   * @param {HostReport} host
   * @param {FleetReport | undefined} fleet
   * @param {{ title: string, text: string, also: string, href: string } | null} alert the newest one that is open
   */
  update(streams, host, fleet, alert) {
    const { state, title, text, trouble = '' } = withAlert(alert, whatToSay(streams, host, fleet));
    this.#look.hidden = alert === null;
    if (alert !== null) this.#look.href = alert.href;
    setData(this.#node, 'state', state);
    setText(this.#title, title);
    setText(this.#text, text);
    this.#trouble.hidden = trouble === '';
    this.#trouble.title = trouble;
    setText(this.#trouble, trouble);
    const own = fleet === undefined ? host : undefined;
    this.#remedies.update(own?.overload, own?.lowered);
    setText(this.#fps, formatFps(streams.reduce((sum, stream) => sum + stream.fps.published, 0)));
    setText(this.#p99, formatMs(Math.max(0, ...streams.map(({ latencyMs }) => latencyMs.window.p99))));
    const isPressed = this.#attention.getAttribute('aria-pressed') === 'true';
    this.#attention.hidden = !isPressed && !streams.some(needsAttention);
  }
}

/**
 * @param {readonly StreamReport[]} streams
 * @param {HostReport} host
 * @param {FleetReport | undefined} fleet
 * @returns {Said}
 */
function whatToSay(streams, host, fleet) {
  const blind = streams.filter(isBlind);
  const missing = streams.filter((stream) => missText(stream) !== '' && !isBlind(stream));
  const late = streams.filter((stream) => lateText(stream) !== '' && !isBlind(stream));
  const blindText = `${blind.length} of ${formatNumber(streams.length, 'camera')} ${blind.length === 1 ? 'is' : 'are'} blind`;
  const overload = overloadText(host, fleet);
  if (overload !== undefined) {
    const also = blind.length === 0 ? '' : ` Also: ${blindText}.`;
    const [title = '', ...rest] = overload.split(': ');
    const text = rest.join(': ');
    return { state: 'overload', title, text: `${text[0]?.toUpperCase()}${text.slice(1)}${also}` };
  }
  const others = [
    ...(late.length === 0 ? [] : [`Pictures come late: ${names(late)}.`]),
    ...(missing.length === 0
      ? []
      : [`${missing.length} ${missing.length === 1 ? 'misses its' : 'miss their'} target: ${names(missing)}.`]),
  ].join(' ');
  if (blind.length > 0)
    return { state: 'blind', title: blindText, text: `${names(blind)}.${others === '' ? '' : ` Also: ${others}`}` };
  return { state: 'calm', title: watchingText(streams), text: others };
}

/**
 * An alert comes first; what is wrong with the machine stands apart from it.
 *
 * @param {{ title: string, text: string, also: string } | null} alert
 * @param {Said} other
 * @returns {Said}
 */
function withAlert(alert, other) {
  if (alert === null) return other;
  const trouble = other.state === 'calm' ? other.text : `${other.title}.`;
  return { state: 'alert', title: alert.title, text: [alert.text, alert.also].filter(Boolean).join(' '), trouble };
}

/** @param {readonly StreamReport[]} streams */
function watchingText(streams) {
  if (streams.length === 0) return 'No camera yet';
  const watching = streams.filter(({ state }) => state === 'running').length;
  if (watching < streams.length) return `${watching} of ${formatNumber(streams.length, 'camera')} watching`;
  return streams.length === 1 ? 'The camera is watching' : `All ${streams.length} cameras watching`;
}

/**
 * What the host says that is short, and what helps; in a fleet that of the first host that says so, with its name.
 *
 * @param {HostReport} host
 * @param {FleetReport | undefined} fleet
 */
function overloadText({ overload }, fleet) {
  if (fleet === undefined) return overload && withoutButtons(overload);
  const short = fleet.hosts.find((each) => each.overload !== undefined);
  return short?.overload && `Host ${short.id}, ${short.overload}`;
}

/** What is short, and only those ways out that have no button here. @param {OverloadReport} overload */
function withoutButtons({ text, remedies }) {
  if (remedies.length === 0) return text;
  const ways = remedies.filter((remedy) => !mayApply(remedy)).map((remedy) => remedy.text);
  const said = text.replace(/\.$/, '').split(': ').slice(0, 2).join(': ');
  return `${said}${ways.length === 0 ? '' : `: ${ways.join(', or ')}`}.`;
}

/**
 * @param {string} id
 * @param {string} sign
 */
function named(id, sign) {
  return sign === '' ? id : `${id} (${sign.charAt(0).toLowerCase()}${sign.slice(1)})`;
}

/** @param {readonly StreamReport[]} streams */
function names(streams) {
  const shown = streams.slice(0, NAMES_SHOWN).map((stream) => named(stream.id, signText(stream) || lateText(stream)));
  const more = streams.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
