/**
 * Returns the element of the page with this id. Throws if there is none, or if it is of another type.
 *
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @param {new () => E} [type] class of the element, for its own properties
 * @returns {E}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (found instanceof (type ?? HTMLElement)) return /** @type {E} */ (found);
  throw new TypeError(`#${id} is missing from the page, or is another kind of element`);
}

/**
 * Builds an element. Children are nodes or text. Text never becomes markup, so text from a camera, a file name or an error
 * message cannot run as code.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Readonly<Record<string, string | number | boolean | null | undefined>>} attributes null, undefined and false: none
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * Sets text only if it changed: thirty cards would otherwise update a thousand nodes every second.
 *
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Sets a `data-` attribute, or removes it if the value is null.
 *
 * @param {HTMLElement} node
 * @param {string} name
 * @param {string | null} value
 */
export function setData(node, name, value) {
  if (value === null) delete node.dataset[name];
  else if (node.dataset[name] !== value) node.dataset[name] = value;
}

/**
 * Runs an action of a button, once at a time. The button keeps the focus meanwhile, so that a dialog can give it back.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<void>} action
 */
export async function runBusy(button, action) {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try {
    await action();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

/**
 * A listener that runs an action of a button, once at a time.
 *
 * @param {() => Promise<void>} action
 */
export function busy(action) {
  return (/** @type {Event} */ { currentTarget }) => runBusy(/** @type {HTMLButtonElement} */ (currentTarget), action);
}
