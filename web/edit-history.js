/** Most changes that can be undone. */
const MOST_UNDONE = 50;

/** The states of what is edited, before each change. */
export class EditHistory {
  /** Oldest first. @type {string[]} */
  #states = [];
  #last = '';
  #take;
  #restore;

  /**
   * @param {() => string} take returns the state as it is
   * @param {(state: string) => void} restore
   */
  constructor(take, restore) {
    this.#take = take;
    this.#restore = restore;
  }

  get isEmpty() {
    return this.#states.length === 0;
  }

  /** Keeps the state before a change; changes of the same `what` in a row are one. @param {string} what */
  remember(what) {
    if (what === this.#last) return;
    this.#last = what;
    this.#states.push(this.#take());
    if (this.#states.length > MOST_UNDONE) this.#states.shift();
  }

  undo() {
    const before = this.#states.pop();
    this.#last = '';
    if (before !== undefined) this.#restore(before);
  }

  clear() {
    this.#states = [];
    this.#last = '';
  }
}
