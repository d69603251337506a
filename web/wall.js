/** @import { Preview, StreamReport } from './lib/client/index.js' */

import { setData } from './element.js';
import { Tile } from './tile.js';
import { needsAttention } from './trouble.js';

const PHONE = matchMedia('(max-width: 560px)');
const GAP_PX = 8;
/** A picture that is narrower shows nobody; the wall scrolls instead. */
const LEAST_TILE_PX = 190;
/** Height of the line below a picture, by the number of tiles up to which it applies. */
const BARS = /** @type {const} */ ([
  [1, 40],
  [4, 48],
  [Number.POSITIVE_INFINITY, 24],
]);
const PICTURE_RATIO = 16 / 9;

/** The wall of pictures: adds and removes tiles, sizes them to the window, filters them and tracks which are in view. Tiles keep their order. */
export class Wall {
  #node;
  #empty;
  /** @type {string | null} */
  #refusal = null;
  /** Whether the first report has come. */
  #isKnown = false;
  #onVisible;
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  #filter = { text: '', onlyAttention: false };
  #visibility;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.node
   * @param {HTMLElement} parts.empty shown while there is no tile
   * @param {(ids: string[]) => void} parts.onVisible called with the ids of the tiles in view whenever they change
   */
  constructor({ node, empty, onVisible }) {
    this.#node = node;
    this.#empty = empty;
    this.#onVisible = onVisible;
    // The margin subscribes a picture shortly before its tile scrolls into view.
    this.#visibility = new IntersectionObserver((entries) => this.#onIntersection(entries), { rootMargin: '80px' });
    addEventListener('resize', () => this.#arrange());
    node.addEventListener('keydown', (event) => this.#move(event));
    node.addEventListener('focusin', ({ target }) => {
      if (target instanceof HTMLElement) this.#setTabStop(target);
    });
  }

  /**
   * The report of each stream that the filter shows, in the order of the tiles.
   *
   * @returns {StreamReport[]}
   */
  get shown() {
    return [...this.#tiles.values()].flatMap(({ node, report }) => (node.hidden || report === null ? [] : [report]));
  }

  /** @param {readonly StreamReport[]} reports */
  update(reports) {
    this.#isKnown = true;
    const ids = new Set(reports.map(({ id }) => id));
    for (const [id, tile] of this.#tiles) if (!ids.has(id)) this.#remove(id, tile);
    for (const report of reports) (this.#tiles.get(report.id) ?? this.#add(report.id)).update(report);
    this.#arrange();
  }

  /** @param {Preview} message */
  showPreview(message) {
    this.#tiles.get(message.stream)?.showPreview(message);
  }

  /** @param {ReadonlyMap<string, string>} alerts what people should look at, by stream */
  set alerts(alerts) {
    for (const [id, tile] of this.#tiles) tile.alert = alerts.get(id) ?? '';
  }

  /** @param {Partial<{ text: string, onlyAttention: boolean }>} change */
  filter(change) {
    this.#filter = { ...this.#filter, ...change };
    this.#arrange();
  }

  /** @param {string} why no report comes, which is shown instead of pictures from now on */
  refuse(why) {
    this.#refusal = why;
    this.#arrange();
  }

  /**
   * Moves the focus to a tile, or to the first one if there is no such tile.
   *
   * @param {string | null} id
   */
  focusTile(id) {
    const tile = id === null ? undefined : this.#tiles.get(id);
    (tile !== undefined && !tile.node.hidden ? tile.node : (this.#shownNodes[0] ?? this.#node)).focus();
  }

  /** @param {string} id */
  #add(id) {
    const tile = new Tile(id);
    this.#tiles.set(id, tile);
    this.#node.append(tile.node);
    this.#visibility.observe(tile.node);
    return tile;
  }

  /**
   * @param {string} id
   * @param {Tile} tile
   */
  #remove(id, tile) {
    this.#visibility.unobserve(tile.node);
    const hadFocus = tile.node.contains(document.activeElement);
    const neighbour = tile.node.nextElementSibling ?? tile.node.previousElementSibling;
    tile.destroy();
    this.#tiles.delete(id);
    if (hadFocus) (neighbour instanceof HTMLElement ? neighbour : this.#node).focus();
    this.#reportVisible();
  }

  #arrange() {
    for (const { id, node, report } of this.#tiles.values()) node.hidden = !this.#isShown(id, report);
    const shown = this.#shownNodes;
    this.#empty.hidden = shown.length > 0;
    if (shown.length === 0) this.#empty.textContent = this.#emptyText();
    if (!shown.some(({ tabIndex }) => tabIndex === 0) && shown[0] !== undefined) this.#setTabStop(shown[0]);
    this.#fit();
  }

  /** Chooses the number of columns at which all pictures are largest without scrolling. */
  #fit() {
    // Filtering hides tiles but does not change the size of the others.
    const count = Math.max(1, this.#tiles.size);
    const bar = BARS.find(([most]) => count <= most)?.[1] ?? 24;
    setData(this.#node, 'size', count === 1 ? 'one' : count <= 4 ? 'few' : 'many');
    this.#node.style.setProperty('--bar', `${bar}px`);
    if (PHONE.matches) {
      this.#node.style.setProperty('--columns', count <= 4 ? '1' : '2');
      this.#node.style.removeProperty('--tile');
      return;
    }
    const width = this.#node.clientWidth;
    const height = innerHeight - this.#node.getBoundingClientRect().top - scrollY - GAP_PX;
    if (width === 0) return;
    let [columns, widest] = [1, 0];
    for (let tried = 1; tried <= count; tried++) {
      const rows = Math.ceil(count / tried);
      const fitsWidth = (width - GAP_PX * (tried - 1)) / tried;
      const fitsHeight = ((height - GAP_PX * (rows - 1)) / rows - bar) * PICTURE_RATIO;
      const tile = Math.min(fitsWidth, fitsHeight);
      if (tile > widest) [columns, widest] = [tried, tile];
    }
    if (widest < LEAST_TILE_PX) {
      columns = Math.max(1, Math.floor((width + GAP_PX) / (LEAST_TILE_PX + GAP_PX)));
      widest = (width - GAP_PX * (columns - 1)) / columns;
    }
    this.#node.style.setProperty('--columns', String(columns));
    this.#node.style.setProperty('--tile', `${Math.floor(widest)}px`);
  }

  get #shownNodes() {
    return [...this.#tiles.values()].filter(({ node }) => !node.hidden).map(({ node }) => node);
  }

  /**
   * @param {string} id
   * @param {StreamReport | null} report
   */
  #isShown(id, report) {
    if (report === null) return false;
    if (this.#filter.onlyAttention && !needsAttention(report)) return false;
    return `${id} ${report.source} ${report.host ?? ''}`.toLowerCase().includes(this.#filter.text.toLowerCase());
  }

  #emptyText() {
    if (this.#refusal !== null) return this.#refusal;
    if (!this.#isKnown) return '';
    if (this.#tiles.size === 0) return 'No streams. Add one to begin.';
    return this.#filter.onlyAttention ? 'No stream needs attention.' : 'No stream matches.';
  }

  /** @param {HTMLElement} node */
  #setTabStop(node) {
    for (const tile of this.#tiles.values()) tile.node.tabIndex = tile.node === node ? 0 : -1;
  }

  /**
   * Arrows move between tiles; Enter opens one, as any link.
   *
   * @param {KeyboardEvent} event
   */
  #move(event) {
    const shown = this.#shownNodes;
    const at = shown.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    const columns = Number(this.#node.style.getPropertyValue('--columns')) || 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const to = { Home: 0, End: shown.length - 1 }[event.key] ?? (step === undefined ? undefined : at + step);
    if (at < 0 || to === undefined || shown[to] === undefined) return;
    event.preventDefault();
    shown[to].focus();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #onIntersection(entries) {
    for (const { target, isIntersecting } of entries) {
      const tile = this.#tiles.get(/** @type {HTMLElement} */ (target).dataset.stream ?? '');
      if (tile === undefined) continue;
      tile.isVisible = isIntersecting;
      if (isIntersecting) tile.draw();
    }
    this.#reportVisible();
  }

  #reportVisible() {
    this.#onVisible([...this.#tiles.values()].filter(({ isVisible }) => isVisible).map(({ id }) => id));
  }
}
