/** @import { Density, StreamActions } from './card.js' */
/** @import { Preview, StreamReport } from './lib/client/index.js' */

import { needsAttention, StreamCard } from './card.js';
import { setData } from './element.js';

/** Several full cards are thousands of pixels high here. */
const PHONE = matchMedia('(max-width: 560px)');
const LARGE_UP_TO = 1;
const MEDIUM_UP_TO = 2;
const COMPACT_UP_TO = 6;

/** Manages the cards: adds and removes them, sets their density, filters them and tracks which are in view. */
export class StreamGrid {
  #node;
  #empty;
  /** @type {string | null} */
  #refusal = null;
  #actions;
  #onVisible;
  /** @type {Map<string, StreamCard>} */
  #cards = new Map();
  /** @type {Density | null} */
  #density = null;
  #filter = { text: '', onlyAttention: false };
  /** @type {string | null} */
  #focused = null;
  #visibility;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.node
   * @param {HTMLElement} parts.empty shown while there is no card
   * @param {StreamActions} parts.actions
   * @param {(ids: string[]) => void} parts.onVisible called with the ids of the cards in view whenever they change
   */
  constructor({ node, empty, actions, onVisible }) {
    this.#node = node;
    this.#empty = empty;
    this.#actions = actions;
    this.#onVisible = onVisible;
    // The margin subscribes a card's picture shortly before the card scrolls into view.
    this.#visibility = new IntersectionObserver((entries) => this.#onIntersection(entries), { rootMargin: '80px' });
    PHONE.addEventListener('change', () => this.#arrange());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#rebuildCharts());
  }

  get ids() {
    return [...this.#cards.keys()];
  }

  /**
   * @param {number} timeMs
   * @param {readonly StreamReport[]} reports
   */
  update(timeMs, reports) {
    const ids = new Set(reports.map(({ id }) => id));
    for (const id of this.#cards.keys()) if (!ids.has(id)) this.#remove(id);
    for (const report of reports) {
      const card = this.#cards.get(report.id) ?? this.#add(report.id);
      card.update(timeMs, report);
    }
    this.#arrange();
  }

  /** Fetches the figures of a time without connection. */
  reloadHistories() {
    for (const card of this.#cards.values()) card.forgetHistory();
  }

  /** @param {Preview} message */
  showPreview(message) {
    this.#cards.get(message.stream)?.showPreview(message);
  }

  /** @param {Partial<{ text: string, onlyAttention: boolean }>} change */
  filter(change) {
    this.#filter = { ...this.#filter, ...change };
    this.#arrange();
  }

  /**
   * Shows one stream large, or all for null.
   *
   * @param {string | null} id
   */
  focus(id) {
    this.#focused = id;
    setData(this.#node, 'focused', id === null ? null : 'true');
    this.#arrange();
  }

  /**
   * Moves the focus to the buttons of a card, or to the grid if there is no such card.
   *
   * @param {string | null} id
   * @param {'focusButtons' | 'focusDetails'} [which]
   */
  focusCard(id, which = 'focusButtons') {
    const card = id === null ? undefined : this.#cards.get(id);
    if (card === undefined || card.node.hidden) this.#node.focus();
    else card[which]();
  }

  /** @param {string} id */
  pictureOf(id) {
    return this.#cards.get(id)?.picture ?? null;
  }

  /** @param {string} id */
  #add(id) {
    const card = new StreamCard(id, this.#actions);
    this.#cards.set(id, card);
    this.#node.append(card.node);
    this.#visibility.observe(card.node);
    if (this.#density !== null) card.setDensity(this.#density);
    return card;
  }

  /** @param {string} id */
  #remove(id) {
    const card = this.#cards.get(id);
    if (card === undefined) return;
    this.#visibility.unobserve(card.node);
    const hadFocus = card.node.contains(document.activeElement);
    const neighbour = card.node.nextElementSibling ?? card.node.previousElementSibling;
    card.destroy();
    this.#cards.delete(id);
    if (hadFocus) this.focusCard(neighbour instanceof HTMLElement ? (neighbour.dataset.stream ?? null) : null);
    this.#reportVisible();
  }

  #arrange() {
    let shown = 0;
    for (const [id, card] of this.#cards) {
      const isShown = this.#isShown(id, card.report);
      card.node.hidden = !isShown;
      if (isShown) shown += 1;
    }
    const isEmpty = shown === 0;
    this.#empty.hidden = !isEmpty;
    if (isEmpty) this.#empty.textContent = this.#emptyText();
    // Filtering hides cards but does not change the size of the others.
    const count = this.#focused !== null && shown === 1 ? 1 : this.#cards.size;
    this.#setDensity(densityFor(count));
  }

  /**
   * @param {string} id
   * @param {StreamReport | null} report
   */
  #isShown(id, report) {
    if (this.#focused !== null && this.#cards.has(this.#focused)) return id === this.#focused;
    // A card is arranged after its first report.
    if (report === null) return false;
    if (this.#filter.onlyAttention && !needsAttention(report)) return false;
    return `${id} ${report.source} ${report.host ?? ''}`.toLowerCase().includes(this.#filter.text.toLowerCase());
  }

  /** @param {string} why no report comes, which is shown instead of cards from now on */
  refuse(why) {
    this.#refusal = why;
    this.#arrange();
  }

  #emptyText() {
    if (this.#refusal !== null) return this.#refusal;
    if (this.#cards.size === 0) return 'No streams. Add one to begin.';
    return this.#filter.onlyAttention ? 'No stream needs attention.' : 'No stream matches.';
  }

  /** @param {Density} density */
  #setDensity(density) {
    if (density === this.#density) return;
    this.#density = density;
    this.#node.dataset.density = density;
    this.#rebuildCharts();
  }

  #rebuildCharts() {
    if (this.#density === null) return;
    for (const card of this.#cards.values()) card.setDensity(this.#density);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #onIntersection(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = this.#cards.get(/** @type {HTMLElement} */ (target).dataset.stream ?? '');
      if (card === undefined) continue;
      card.isVisible = isIntersecting;
      if (isIntersecting) card.draw();
    }
    this.#reportVisible();
  }

  #reportVisible() {
    this.#onVisible([...this.#cards].filter(([, card]) => card.isVisible).map(([id]) => id));
  }
}

/**
 * @param {number} count
 * @returns {Density}
 */
function densityFor(count) {
  if (count <= LARGE_UP_TO) return 'large';
  if (PHONE.matches) return 'dense';
  if (count <= MEDIUM_UP_TO) return 'medium';
  return count <= COMPACT_UP_TO ? 'compact' : 'dense';
}
