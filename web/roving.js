/**
 * One tab stop for a group of buttons (WAI-ARIA toolbar): Tab reaches the last one that was used, arrow keys, Home and End the others.
 */
export class RovingTabStop {
  #buttons;
  #current;

  /**
   * @param {HTMLElement} toolbar
   * @param {readonly HTMLButtonElement[]} buttons in their order; those that are not shown are skipped
   */
  constructor(toolbar, buttons) {
    this.#buttons = buttons;
    this.#current = buttons[0];
    toolbar.setAttribute('role', 'toolbar');
    toolbar.addEventListener('focusin', ({ target }) => {
      const button = buttons.find((each) => each === target);
      if (button !== undefined) this.#choose(button);
    });
    toolbar.addEventListener('keydown', (event) => this.#move(event));
    this.#choose(this.#current);
  }

  /** Call it when other buttons are shown than before. */
  update() {
    if (this.#current.checkVisibility()) return;
    const [first] = this.#shown;
    if (first !== undefined) this.#choose(first);
  }

  /** @param {HTMLButtonElement} [button] default: the one that was used last */
  focus(button) {
    if (button !== undefined) this.#choose(button);
    this.update();
    this.#current.focus();
  }

  get #shown() {
    return this.#buttons.filter((button) => button.checkVisibility());
  }

  /** @param {HTMLButtonElement} button */
  #choose(button) {
    this.#current = button;
    for (const each of this.#buttons) each.tabIndex = each === button ? 0 : -1;
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const shown = this.#shown;
    const at = shown.indexOf(this.#current);
    const step = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[
      event.key
    ];
    if (step === undefined || shown.length === 0) return;
    event.preventDefault();
    shown.at(step % shown.length)?.focus();
  }
}
