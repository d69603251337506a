/** @import { DeadLetter } from '../src/protocol/fleet.ts' */
/** @import { EventMessage } from '../src/protocol/feed.ts' */

/**
 * Calls the gateway's REST API. Throws an Error with the gateway's message if it refuses.
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
  if (!response.ok) throw new Error(reply?.error?.message ?? `The gateway answered ${response.status}.`);
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
/** @type {() => Promise<readonly EventMessage[]>} */
export const recentEvents = async () => (await call('GET', '/api/events')).events;
export const signOut = () => call('POST', '/sign-out');
/**
 * @param {string} verb
 * @param {{ rollout: string, step: number }} seen roll-out and step that the user saw; only `promote` takes it
 */
export const actOnRollout = (verb, seen) =>
  call('POST', `/api/rollouts/${verb}`, verb === 'promote' ? seen : undefined);
