import { addStream } from './api.js';
import { element } from './element.js';

const TOAST_MS = 8_000;

const byId = (id) => document.getElementById(id);

/** Wires the form that adds a stream; what the gateway says against it is shown beside the fields. */
export function setUpAddDialog() {
  const [dialog, form, complaint, submit] = ['add-dialog', 'add-form', 'add-error', 'add-submit'].map(byId);
  byId('add').addEventListener('click', () => {
    complaint.textContent = '';
    dialog.showModal();
  });
  byId('add-cancel').addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    complaint.textContent = '';
    try {
      await addStream(Object.fromEntries(new FormData(form)));
      form.reset();
      dialog.close();
    } catch (error) {
      complaint.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });
}

/** Asks before a stream is removed; resolves to what was answered. */
export function confirmRemoval(id) {
  byId('remove-text').textContent = `"${id}" stops, and its figures go with it. Its source is not touched.`;
  return answered(byId('remove-dialog'), 'remove');
}

/** Asks before a job is cancelled; resolves to what was answered. */
export function confirmCancel(id) {
  byId('cancel-text').textContent =
    `No more of "${id}" is begun. Results that exist stay; a job that is cancelled cannot go on.`;
  return answered(byId('cancel-dialog'), 'cancel-job');
}

function answered(dialog, yes) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === yes), { once: true });
  });
}

/** Shows what failed for good in a job. */
export function showDeadLetters(id, letters) {
  byId('letters-title').textContent = `What failed in ${id}`;
  byId('letters').replaceChildren(
    ...letters.map(({ kind, input, reason, attempts }) =>
      element('li', { class: 'letter' }, element('b', {}, `${kind} of ${input}`), `${reason} (${attempts} attempts)`),
    ),
  );
  byId('letters-dialog').showModal();
}

/** Says that something went wrong; goes by itself. */
export function showToast(text) {
  const toast = element('p', { class: 'toast' }, text);
  byId('toasts').append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}
