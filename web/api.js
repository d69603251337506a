/** Calls the gateway's REST API. Throws an Error with the gateway's message if it refuses. */
async function call(method, path, body) {
  const request = { method, headers: { accept: 'application/json' } };
  if (body !== undefined) {
    request.headers['content-type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
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

const streamPath = (id) => `/api/streams/${encodeURIComponent(id)}`;

export const addStream = (stream) => call('POST', '/api/streams', stream);
export const pauseStream = (id) => call('POST', `${streamPath(id)}/pause`);
export const resumeStream = (id) => call('POST', `${streamPath(id)}/resume`);
export const removeStream = (id) => call('DELETE', streamPath(id));
export const drainHost = (id, isDraining) =>
  call('POST', `/api/hosts/${encodeURIComponent(id)}/${isDraining ? 'drain' : 'undrain'}`);
const jobPath = (id) => `/api/jobs/${encodeURIComponent(id)}`;
export const cancelJob = (id) => call('POST', `${jobPath(id)}/cancel`);
export const retryJob = (id) => call('POST', `${jobPath(id)}/retry`);
export const deadLetters = async (id) => (await call('GET', jobPath(id))).deadLetters;
export const recentEvents = async () => (await call('GET', '/api/events')).events;
export const signOut = () => call('POST', '/sign-out');
/** `seen`: roll-out and step that the user saw; only `promote` takes it. */
export const actOnRollout = (verb, seen) =>
  call('POST', `/api/rollouts/${verb}`, verb === 'promote' ? seen : undefined);
