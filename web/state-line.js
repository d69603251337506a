/** @import { BusyStage, HostReport, StreamReport } from './lib/client/index.js' */

import { byId, setData, setText } from './element.js';
import { formatFps, formatMs, formatNumber } from './format.js';
import { BOTTLENECK_RATIO } from './host-panel.js';
import { demandOf, OverloadRemedy } from './overload.js';
import { isBlind, needsAttention, signText } from './trouble.js';

/** What a person calls the work of a stage. @type {Record<BusyStage, string>} */
const WORK = { decode: 'Decoding', preprocess: 'Scaling', infer: 'Detection', main: 'This machine' };
const NAMES_SHOWN = 3;
/** From this share of the cameras on, missed targets are trouble of the host. */
const MANY_RATIO = 0.5;
/** The same, from this share of what is asked for down. */
const ENOUGH_RATIO = 0.95;

/**
 * What the line says: one trouble, the one that is fixed first; the others follow as "Also".
 *
 * @typedef {object} Said
 * @property {'calm' | 'overload' | 'blind'} state
 * @property {string} title
 * @property {string} text
 */

/** The line above the wall: says trouble once, and that all is well. */
export class StateLine {
  #node = byId('state');
  #title = byId('state-title');
  #text = byId('state-text');
  #fps = byId('state-fps');
  #p99 = byId('state-p99');
  #attention = byId('attention');
  #remedy;

  /** @param {(error: unknown) => void} onError */
  constructor(onError) {
    this.#remedy = new OverloadRemedy(onError);
    this.#attention.before(this.#remedy.node);
  }

  /**
   * @param {readonly StreamReport[]} streams
   * @param {HostReport} host
   */
  update(streams, host) {
    const { state, title, text } = whatToSay(streams, host);
    setData(this.#node, 'state', state);
    setText(this.#title, title);
    setText(this.#text, text);
    this.#remedy.update(liveOf(streams), state === 'overload' && host.bottleneck !== 'decode');
    setText(this.#fps, formatFps(streams.reduce((sum, stream) => sum + stream.fps.published, 0)));
    setText(this.#p99, formatMs(Math.max(0, ...streams.map(({ latencyMs }) => latencyMs.window.p99))));
    const isPressed = this.#attention.getAttribute('aria-pressed') === 'true';
    this.#attention.hidden = !isPressed && !streams.some(needsAttention);
  }
}

/**
 * @param {readonly StreamReport[]} streams
 * @param {HostReport} host
 * @returns {Said}
 */
function whatToSay(streams, host) {
  const blind = streams.filter(isBlind);
  const missing = streams.filter((stream) => needsAttention(stream) && !isBlind(stream));
  const blindText = `${blind.length} of ${formatNumber(streams.length, 'camera')} ${blind.length === 1 ? 'is' : 'are'} blind`;
  const live = liveOf(streams);
  const asked = live.reduce((sum, stream) => sum + demandOf(stream), 0);
  const done = live.reduce((sum, { fps }) => sum + fps.published, 0);
  const isMany = missing.length >= MANY_RATIO * streams.length || done < ENOUGH_RATIO * asked;
  // In a fleet the streams are those of all hosts, and the figures those of one.
  const isFleet = streams.some((stream) => stream.host !== undefined);
  if (!isFleet && missing.length > 0 && isMany && host.busyRatio[host.bottleneck] >= BOTTLENECK_RATIO) {
    const also = blind.length === 0 ? '' : ` Also: ${blindText}.`;
    const text =
      done < asked
        ? `You ask ${formatFps(asked)} frames/s, this machine does ${formatFps(done)}.`
        : 'Frames are published too late.';
    return { state: 'overload', title: `${WORK[host.bottleneck]} cannot keep up`, text: text + also };
  }
  const missText =
    missing.length === 0
      ? ''
      : `${missing.length} ${missing.length === 1 ? 'misses its' : 'miss their'} target: ${names(missing)}.`;
  if (blind.length > 0)
    return { state: 'blind', title: blindText, text: `${names(blind)}.${missText === '' ? '' : ` Also: ${missText}`}` };
  return { state: 'calm', title: watchingText(streams), text: missText };
}

/** @param {readonly StreamReport[]} streams */
function watchingText(streams) {
  if (streams.length === 0) return 'No camera yet';
  const watching = streams.filter(({ state }) => state === 'running').length;
  if (watching < streams.length) return `${watching} of ${formatNumber(streams.length, 'camera')} watching`;
  return streams.length === 1 ? 'The camera is watching' : `All ${streams.length} cameras watching`;
}

/**
 * Streams that cannot wait; a file is read as fast as the machine does it.
 *
 * @param {readonly StreamReport[]} streams
 */
function liveOf(streams) {
  return streams.filter(({ state, policy }) => state === 'running' && policy === 'live');
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
  const shown = streams.slice(0, NAMES_SHOWN).map((stream) => named(stream.id, signText(stream)));
  const more = streams.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
