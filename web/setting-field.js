import { element } from './element.js';

/**
 * @typedef {object} Field
 * @property {string} key as the gateway names it, such as `target.fps`
 * @property {HTMLInputElement | HTMLSelectElement} input
 * @property {HTMLElement} error
 * @property {string} shown text when the form was filled
 */

/** @typedef {readonly (readonly [value: string, text: string])[]} Choices */

/**
 * What becomes of the video as it comes.
 *
 * @type {readonly { key: 'record' | 'live' | 'restream', label: string, hint?: string, choices?: Choices }[]}
 */
export const VIDEO_FIELDS = [
  {
    key: 'record',
    label: 'Record',
    choices: [
      ['', 'Nothing'],
      ['events', 'Around events'],
      ['continuous', 'All of it'],
    ],
  },
  {
    key: 'live',
    label: 'Live',
    choices: [
      ['', 'Pictures'],
      ['true', 'Video'],
    ],
  },
  { key: 'restream', label: 'Push to', hint: 'rtsp://, rtmp:// or srt:// of a media server. Empty: none.' },
];

/**
 * Makes the field of a setting.
 *
 * @param {string} key
 * @param {string} label
 * @param {string | number | boolean | undefined} value
 * @param {string} [hint]
 * @param {Choices} [choices] absent: it is typed
 * @returns {{ node: HTMLElement, field: Field }}
 */
export function settingField(key, label, value, hint, choices) {
  const name = `setting-${key}`;
  const shown = value === undefined ? '' : String(value);
  const attributes = {
    id: name,
    name: key,
    autocomplete: 'off',
    'aria-describedby': `${name}-error${hint === undefined ? '' : ` ${name}-hint`}`,
  };
  const inputmode = ['source', 'model', 'restream'].includes(key) ? null : 'decimal';
  // A value that this page does not know is a choice as well: otherwise the field would show another one, and save it.
  const isListed = choices?.some(([choice]) => choice === shown) !== false;
  const input =
    choices === undefined
      ? element('input', { ...attributes, value: shown, spellcheck: 'false', inputmode })
      : element(
          'select',
          attributes,
          ...[...choices, ...(isListed ? [] : [[shown, shown]])].map(([value, text]) =>
            element('option', { value }, text),
          ),
        );
  input.value = shown;
  const error = element('p', { class: 'field-error', id: `${name}-error` });
  const node = element(
    'div',
    { class: 'field' },
    element('label', { for: name }, label),
    input,
    ...(hint === undefined ? [] : [element('p', { class: 'hint', id: `${name}-hint` }, hint)]),
    error,
  );
  // As the browser shows it, which leaves line breaks out.
  return { node, field: { key, input, error, shown: input.value } };
}
