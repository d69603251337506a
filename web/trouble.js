/** @import { StreamReport, StreamState } from './lib/client/index.js' */

import { formatDate, formatMinute, formatName } from './format.js';

/** States in which no frame comes although frames are wanted. @type {ReadonlySet<StreamState>} */
const BLIND = new Set(['reconnecting', 'failed']);

/**
 * Returns whether a camera sees nothing that somebody expects it to see.
 *
 * @param {StreamReport} report
 */
export function isBlind(report) {
  return BLIND.has(report.state) || signText(report) !== '';
}

/**
 * What the pictures of a blind camera are, and since when: `Black since 14:03`. Empty while it sees.
 *
 * @param {StreamReport} report
 */
export function signText({ state, sign }) {
  return state === 'running' && sign != null ? `${formatName(sign.name)} since ${formatMinute(sign.sinceMs)}` : '';
}

/**
 * That the picture is an old one: `95 s late`. Empty if it is not, or if none comes.
 *
 * @param {StreamReport} report
 */
export function lateText({ state, lateMs }) {
  return state === 'running' && lateMs != null ? `${Math.round(lateMs / 1000)} s late` : '';
}

/**
 * Returns whether an operator should look at the stream.
 *
 * @param {StreamReport} report
 */
export function needsAttention(report) {
  return report.isMissing.fps || report.isMissing.latency || isBlind(report) || lateText(report) !== '';
}

/**
 * What is shown in place of a picture: the state and since when, the cause, and what happens next. Null while the picture is live.
 *
 * @param {StreamReport} report
 * @returns {{ title: string, cause: string, next: string } | null}
 */
export function troubleOf(report) {
  const { state, lastError, lastErrorAtMs, startFailure } = report;
  if (state === 'running') return null;
  if (!isBlind(report)) return { title: formatName(state), cause: '', next: '' };
  const since = lastErrorAtMs == null ? '' : ` since ${formatMinute(lastErrorAtMs)}`;
  return { title: `No picture${since}`, cause: lastError ?? '', next: nextTry(state, startFailure) };
}

/**
 * @param {StreamState} state
 * @param {StreamReport['startFailure']} failure
 */
function nextTry(state, failure) {
  if (failure === undefined) return state === 'reconnecting' ? 'It is tried again.' : '';
  const { attempts, retryAtMs } = failure;
  const tries = attempts === 1 ? 'Tried once' : `Tried ${attempts} times`;
  if (retryAtMs === null) return `${tries}, not tried again by itself.`;
  return `${tries}, again at ${formatDate(retryAtMs).split(', ')[1]}.`;
}

/**
 * The last error with its time; of a stream that could not be started, with the attempts so far and whether another one follows.
 *
 * @param {StreamReport} report
 */
export function errorText({ state, lastError, lastErrorAtMs, startFailure }) {
  if (lastError === null) return '';
  const time = lastErrorAtMs == null ? '' : formatDate(lastErrorAtMs);
  if (startFailure === undefined && state === 'running')
    return `Last error${time === '' ? '' : `, ${time}`}: ${lastError}`;
  const since = time === '' ? '' : `, since ${time}`;
  if (startFailure === undefined) return `${lastError}${since}`;
  const { code, attempts, retryAtMs } = startFailure;
  const tries = attempts === 1 ? 'tried once' : `tried ${attempts} times`;
  const idle = state === 'paused' ? 'paused' : 'not tried again by itself';
  return `${lastError} [${code}]${since}, ${tries}, ${retryAtMs === null ? idle : 'will be tried again'}`;
}

/**
 * Why targets are missed; hosts of earlier versions say only that they are. Empty if none is.
 *
 * @param {StreamReport} report
 */
export function missText({ isMissing, missReasons, fps, target, latencyMs }) {
  const misses = [];
  if (isMissing.fps) misses.push(missReasons?.fps ?? `${fps.published.toFixed(1)} fps, target ${target.fps}`);
  if (isMissing.latency)
    misses.push(missReasons?.latency ?? `p99 ${latencyMs.window.p99.toFixed(0)} ms, target ${target.latencyMs} ms`);
  return misses.length === 0 ? '' : `Target missed: ${misses.join('; ')}`;
}
