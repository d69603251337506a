import { addStream } from './api.js';
import { element } from './element.js';

const TOAST_MS = 8_000;

const byId = (id) => document.getElementById(id);

/** Sets up the form that adds a stream. Errors of the gateway are shown beside the fields. */
export function setUpAddDialog() {
  const [dialog, form, errorText, submit] = ['add-dialog', 'add-form', 'add-error', 'add-submit'].map(byId);
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
      await addStream(Object.fromEntries(new FormData(form)));
      form.reset();
      dialog.close();
    } catch (error) {
      errorText.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });
}

/** Asks for confirmation before a stream is removed; resolves to the answer. */
export function confirmRemoval(id) {
  byId('remove-text').textContent = `"${id}" stops and its figures are deleted. Its source is not changed.`;
  return confirmed(byId('remove-dialog'), 'remove');
}

/** Asks for confirmation before a job is cancelled; resolves to the answer. */
export function confirmCancel(id) {
  byId('cancel-text').textContent =
    `No more tasks of "${id}" will start. Existing results stay. A cancelled job cannot be resumed.`;
  return confirmed(byId('cancel-dialog'), 'cancel-job');
}

/** Asks for confirmation before a roll-out is changed; resolves to the answer. */
export function confirmRollout(title, text, button) {
  byId('rollout-title').textContent = title;
  byId('rollout-text').textContent = text;
  byId('rollout-do').textContent = button;
  return confirmed(byId('rollout-dialog'), 'do');
}

function confirmed(dialog, yes) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === yes), { once: true });
  });
}

/** Shows the tasks of a job that failed for good. */
export function showDeadLetters(id, letters) {
  byId('letters-title').textContent = `Failed tasks of ${id}`;
  byId('letters').replaceChildren(
    ...letters.map(({ kind, input, reason, attempts }) =>
      element('li', { class: 'letter' }, element('b', {}, `${kind} of ${input}`), `${reason} (${attempts} attempts)`),
    ),
  );
  byId('letters-dialog').showModal();
}

/** Shows an error message that disappears after 8 s. */
export function showToast(text) {
  const toast = element('p', { class: 'toast' }, text);
  byId('toasts').append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}
