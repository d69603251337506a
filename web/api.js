/** @import { DeadLetter } from '../src/protocol/fleet.ts' */
/** @import { EventMessage } from '../src/protocol/feed.ts' */
/** @import { StreamReport } from '../src/protocol/report.ts' */
/** @import { HistoryReply, StreamChange } from '../src/protocol/rest.ts' */

/** A refusal of the gateway. */
export class RefusedError extends Error {
  /**
   * @param {string} message
   * @param {string} code of the gateway; empty if it gave none
   */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/**
 * Calls the gateway's REST API. Throws a RefusedError with the gateway's message if it refuses.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function call(method, path, body) {
  const headers = { accept: 'application/json' };
  const request =
    body === undefined
      ? { method, headers }
      : { method, headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error('The gateway does not answer.');
  }
  if (response.status === 401) throw new Error('The access token is no longer valid. Load the page again to sign in.');
  const reply = response.status === 204 ? null : await response.json();
  if (!response.ok) {
    const { message = `The gateway answered ${response.status}.`, code = '' } = reply?.error ?? {};
    throw new RefusedError(message, code);
  }
  return reply;
}

const streamPath = (/** @type {string} */ id) => `/api/streams/${encodeURIComponent(id)}`;

export const addStream = (/** @type {object} */ stream) => call('POST', '/api/streams', stream);
export const pauseStream = (/** @type {string} */ id) => call('POST', `${streamPath(id)}/pause`);
export const resumeStream = (/** @type {string} */ id) => call('POST', `${streamPath(id)}/resume`);
export const removeStream = (/** @type {string} */ id) => call('DELETE', streamPath(id));
export const drainHost = (/** @type {string} */ id, /** @type {boolean} */ isDraining) =>
  call('POST', `/api/hosts/${encodeURIComponent(id)}/${isDraining ? 'drain' : 'undrain'}`);
const jobPath = (/** @type {string} */ id) => `/api/jobs/${encodeURIComponent(id)}`;
export const cancelJob = (/** @type {string} */ id) => call('POST', `${jobPath(id)}/cancel`);
export const retryJob = (/** @type {string} */ id) => call('POST', `${jobPath(id)}/retry`);
/** @type {(id: string) => Promise<readonly DeadLetter[]>} */
export const deadLetters = async (id) => (await call('GET', jobPath(id))).deadLetters;
/**
 * Finds events on the gateway, newest last.
 *
 * @param {Partial<Record<'stream' | 'type' | 'q' | 'since', string>>} query
 * @returns {Promise<readonly EventMessage[]>}
 */
export const findEvents = async (query) => (await call('GET', `/api/events?${new URLSearchParams(query)}`)).events;
/** @type {(id: string, seconds: number) => Promise<HistoryReply>} */
export const streamHistory = (id, seconds) => call('GET', `${streamPath(id)}/history?seconds=${seconds}`);
/**
 * The report of a stream, and its settings if the gateway knows them.
 *
 * @type {(id: string) => Promise<StreamReport & { settings?: StreamChange }>}
 */
export const streamDetails = (id) => call('GET', streamPath(id));
/** @type {(id: string, change: object) => Promise<StreamReport>} */
export const changeStream = (id, change) => call('PATCH', streamPath(id), change);
export const signOut = () => call('POST', '/sign-out');
/**
 * @param {string} verb
 * @param {{ rollout: string, step: number }} seen roll-out and step that the user saw; only `promote` takes it
 */
export const actOnRollout = (verb, seen) =>
  call('POST', `/api/rollouts/${verb}`, verb === 'promote' ? seen : undefined);
