/**
 * Builds an element. Children are nodes or text. Text never becomes markup, so text from a camera, a file name or an error
 * message cannot run as code.
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

/** Sets text only if it changed: thirty cards would otherwise update a thousand nodes every second. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets a `data-` attribute, or removes it if the value is null. */
export function setData(node, name, value) {
  if (value === null) delete node.dataset[name];
  else if (node.dataset[name] !== value) node.dataset[name] = value;
}

const SVG = 'http://www.w3.org/2000/svg';
const ICONS = {
  pause: 'M7 5v10M13 5v10',
  resume: 'M7 4.5v11l8.5-5.5z',
  focus: 'M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4',
  remove: 'M5 5l10 10M15 5L5 15',
};

/** Builds a button with an icon. `label` is its tooltip and its name for screen readers. */
export function iconButton(icon, label, onClick) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'path'));
  const button = element('button', { type: 'button', class: 'icon-button' }, svg);
  button.addEventListener('click', onClick);
  setIcon(button, icon, label);
  return button;
}

export function setIcon(button, icon, label) {
  if (button.title === label) return;
  button.title = label;
  button.setAttribute('aria-label', label);
  button.querySelector('path').setAttribute('d', ICONS[icon]);
}
