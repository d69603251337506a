import { element } from './element.js';
import { gateway } from './gateway.js';
import { html } from './html.js';

/** The labels of the model in use; empty while they are not known. @type {readonly string[]} */
let known = [];
/** @type {string | null} */
let model = null;

/** What browsers say of a text that was chosen and not typed, or nothing. */
const PICKED = 'insertReplacementText';

/**
 * Suggests the labels of this model from now on.
 *
 * @param {string} own the detector of the pipeline
 * @param {string} [detector] the name of the one that the stream has instead
 */
export async function useModel(own, detector) {
  const name = detector ?? own;
  if (name === model) return;
  model = name;
  try {
    const isMeant = (/** @type {{ name: string, detectors?: readonly string[] }} */ each) =>
      detector === undefined ? each.name === own : each.detectors?.includes(detector) === true;
    const found = (await gateway.models()).find(isMeant);
    if (name === model) known = found?.labels ?? [];
  } catch {
    // Labels are typed then; the gateway refuses those that the model lacks.
  }
}

/**
 * A field that collects labels, from the model's own list.
 *
 * @param {object} field
 * @param {string} field.name
 * @param {string} field.of what they are for, for screen readers
 * @param {readonly string[]} field.labels
 * @param {(labels: string[]) => void} field.onChange
 */
export function labelField({ name, of, labels, onChange }) {
  const id = `setting-${name}`;
  const add = (/** @type {HTMLInputElement} */ input) => {
    const typed = input.value.split(',').map((label) => label.trim());
    input.value = '';
    const next = [...new Set([...labels, ...typed.filter((label) => label !== '')])];
    if (next.length > labels.length) onChange(next);
  };
  const inputOf = (/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.currentTarget);
  return html`<div class="field">
    <label for=${id}>Labels</label>
    <ul class="chips" aria-label="Labels of ${of}">
      ${labels.map(
        (label) => html`<li>${label} <button type="button" aria-label="Remove label ${label} of ${of}"
        @click=${() => onChange(labels.filter((each) => each !== label))}>\u00d7</button></li>`,
      )}
    </ul>
    <input id=${id} name=${name} list="${id}-list" autocomplete="off" spellcheck="false" aria-describedby="${id}-error"
      placeholder=${labels.length === 0 ? 'All labels; type to choose' : 'Add a label'}
      @change=${(/** @type {Event} */ event) => add(inputOf(event))}
      @input=${(/** @type {InputEvent} */ event) => {
        // One that was picked from the list.
        if ((event.inputType ?? PICKED) === PICKED && known.includes(inputOf(event).value)) add(inputOf(event));
      }}
      @keydown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key !== 'Enter' || inputOf(event).value === '') return;
        event.preventDefault();
        add(inputOf(event));
      }}>
    <datalist id="${id}-list">${known.filter((label) => !labels.includes(label)).map((label) => html`<option value=${label}></option>`)}</datalist>
    <p class="field-error" id="${id}-error"></p>
  </div>`;
}

/** Returns the list that suggests the detectors of the pipeline in a field. @param {HTMLInputElement} input */
export function detectorList(input) {
  const list = element('datalist', { id: `${input.id}-list` });
  input.setAttribute('list', list.id);
  // Without it a name is typed; the gateway refuses one that is not there, and names those that are.
  gateway.pipeline.get().then(
    ({ effective }) => {
      const { models = {} } = /** @type {{ models?: object }} */ (effective);
      list.append(...Object.keys(models).map((value) => element('option', { value })));
    },
    () => undefined,
  );
  return list;
}
