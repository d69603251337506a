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
  const dialog = byId('remove-dialog');
  byId('remove-text').textContent = `"${id}" stops, and its figures go with it. Its source is not touched.`;
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'remove'), { once: true });
  });
}

/** Says that something went wrong; goes by itself. */
export function showToast(text) {
  const toast = element('p', { class: 'toast' }, text);
  byId('toasts').append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}
