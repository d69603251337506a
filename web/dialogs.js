/** @import { DeadLetter, StreamRequest } from './lib/client/index.js' */

import { byId, element } from './element.js';
import { SightlineError } from './lib/client/index.js';

const TOAST_MS = 8_000;

/**
 * Sets up the form that adds a stream. Errors of the gateway are shown beside the fields.
 *
 * @param {(stream: StreamRequest) => Promise<unknown>} add
 */
export function setUpAddDialog(add) {
  const dialog = byId('add-dialog', HTMLDialogElement);
  const form = byId('add-form', HTMLFormElement);
  const errorText = byId('add-error');
  const submit = byId('add-submit', HTMLButtonElement);
  byId('add').addEventListener('click', () => {
    errorText.textContent = '';
    dialog.showModal();
  });
  byId('add-cancel').addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    errorText.textContent = '';
    try {
      const fields = new FormData(form);
      await add({ id: String(fields.get('id')), source: String(fields.get('source')) });
      form.reset();
      dialog.close();
    } catch (error) {
      errorText.textContent = errorMessage(error);
    } finally {
      submit.disabled = false;
    }
  });
}

/**
 * Asks for confirmation before a stream is removed; resolves to the answer.
 *
 * @param {string} id
 */
export function confirmRemoval(id) {
  byId('remove-text').textContent = `"${id}" stops and its figures are deleted. Its source is not changed.`;
  return confirmed('remove-dialog', 'remove');
}

/**
 * Asks for confirmation before a job is cancelled; resolves to the answer.
 *
 * @param {string} id
 */
export function confirmCancel(id) {
  byId('cancel-text').textContent =
    `No more tasks of "${id}" will start. Existing results stay. A cancelled job cannot be resumed.`;
  return confirmed('cancel-dialog', 'cancel-job');
}

/**
 * Asks for confirmation before a roll-out is changed; resolves to the answer.
 *
 * @param {string} title
 * @param {string} text
 * @param {string} button
 */
export function confirmRollout(title, text, button) {
  byId('rollout-title').textContent = title;
  byId('rollout-text').textContent = text;
  byId('rollout-do').textContent = button;
  return confirmed('rollout-dialog', 'do');
}

/**
 * @param {string} id of the dialog
 * @param {string} yes value of the button that confirms
 * @returns {Promise<boolean>}
 */
function confirmed(id, yes) {
  const dialog = byId(id, HTMLDialogElement);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === yes), { once: true });
  });
}

/**
 * Shows the tasks of a job that failed for good.
 *
 * @param {string} id of the job
 * @param {readonly DeadLetter[]} letters
 */
export function showDeadLetters(id, letters) {
  byId('letters-title').textContent = `Failed tasks of ${id}`;
  byId('letters').replaceChildren(
    ...letters.map(({ kind, input, reason, attempts }) =>
      element('li', { class: 'letter' }, element('b', {}, `${kind} of ${input}`), `${reason} (${attempts} attempts)`),
    ),
  );
  byId('letters-dialog', HTMLDialogElement).showModal();
}

/**
 * Shows an error message that disappears after 8 s.
 *
 * @param {string} text
 */
export function showToast(text) {
  const toast = element('p', { class: 'toast' }, text);
  byId('toasts').append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}

/**
 * Returns what to show of an error.
 *
 * @param {unknown} error
 */
export function errorMessage(error) {
  const code = error instanceof SightlineError ? error.code : null;
  if (code === 'GATEWAY_UNREACHABLE') return 'The gateway does not answer.';
  if (code === 'UNAUTHORIZED') return 'The access token is no longer valid. Load the page again to sign in.';
  return /** @type {Error} */ (error).message;
}
