/** @import { FrameCounters, StreamReport } from './lib/client/index.js' */

import { element, setData, setText } from './element.js';
import { formatCount, formatFps, formatMs, formatName } from './format.js';

/** Share of the target rate that counts as reached, as the gateway judges it. */
const FPS_TOLERANCE = 0.95;
/** @type {readonly (keyof StreamReport['stagesMs'])[]} */
export const STAGES = ['decode', 'preprocess', 'queue', 'infer', 'publish'];

/** The numbers of one card: the main tiles and the details. */
export class CardFigures {
  tiles;
  details;
  #tile = { fps: tile('FPS'), p50: tile('p50'), p95: tile('p95'), p99: tile('p99') };
  #counter = {
    in: counter('In'),
    published: counter('Published'),
    inferred: counter('Inferred'),
    dropped: counter('Dropped'),
    inFlight: counter('In flight'),
    queue: counter('Queue'),
    reconnects: counter('Reconnects'),
    errors: counter('Decode errors'),
  };
  #drops = element('ul', { class: 'drops' });
  #dropsTitle = element('h3', {}, 'Drops by reason');
  #places = element('ul', { class: 'places', 'aria-label': 'Zones and lines' });
  #stages = new StageFigures();

  constructor() {
    this.tiles = element('dl', { class: 'tiles' }, ...Object.values(this.#tile).map(({ node }) => node));
    this.details = element(
      'div',
      { class: 'details' },
      element('dl', { class: 'counters' }, ...Object.values(this.#counter).map(({ node }) => node)),
      element('section', { class: 'detail-drops' }, this.#dropsTitle, this.#drops),
      this.#stages.node,
      this.#places,
    );
  }

  /** @param {StreamReport} report */
  update(report) {
    this.#updateTiles(report);
    this.#updateCounters(report);
    this.#updateDrops(report.frames);
    this.#stages.update(report.stagesMs);
    this.#updatePlaces(report);
  }

  /** @param {StreamReport} report */
  #updateTiles(report) {
    const { fps, isMissing, latencyMs } = report;
    const { fps: rate, p50, p95, p99 } = this.#tile;
    setText(rate.value, formatFps(fps.published));
    setText(rate.note, fpsNote(report));
    setData(rate.node, 'missing', isMissing.fps ? 'true' : null);
    const { window } = latencyMs;
    for (const name of /** @type {const} */ (['p50', 'p95', 'p99']))
      setText(this.#tile[name].value, window.count === 0 ? '-' : formatMs(window[name]));
    for (const { note } of [p50, p95]) setText(note, 'ms');
    setText(p99.note, latencyNote(report));
    setData(p99.node, 'missing', isMissing.latency ? 'true' : null);
  }

  /** @param {StreamReport} report */
  #updateCounters({ frames, results, queueDepth, reconnects, decodeErrors }) {
    const dropped = droppedOf(frames);
    const values = {
      in: frames.in,
      published: frames.published,
      // Older hosts infer every frame and send no `results`.
      inferred: results === undefined ? frames.published : results.inferred - results.cached,
      dropped,
      inFlight: frames.inFlight,
      queue: queueDepth,
      reconnects,
      errors: decodeErrors,
    };
    for (const [name, { value }] of Object.entries(this.#counter))
      setText(value, formatCount(values[/** @type {keyof typeof values} */ (name)]));
    setData(this.#counter.dropped.node, 'some', dropped > 0 ? 'true' : null);
    setData(this.#counter.errors.node, 'some', decodeErrors > 0 ? 'true' : null);
  }

  /** @param {FrameCounters} frames */
  #updateDrops(frames) {
    const reasons = Object.entries(frames.dropped).filter(([, count]) => count > 0);
    const text = reasons.map(([reason, count]) => `${reason} ${count}`).join();
    if (this.#drops.dataset.shown === text) return;
    this.#drops.dataset.shown = text;
    this.#drops.replaceChildren(
      ...reasons.map(([reason, count]) => {
        const share = frames.in === 0 ? 0 : (100 * count) / frames.in;
        const figures = `${formatCount(count)} (${share.toFixed(share < 1 ? 2 : 1)} %)`;
        return element('li', {}, element('span', {}, formatName(reason)), element('b', {}, figures));
      }),
    );
    if (reasons.length === 0) this.#drops.append(element('li', { class: 'none' }, 'None'));
  }

  /** @param {StreamReport} report */
  #updatePlaces({ zones, lines }) {
    const texts = [
      ...zones.map(({ id, inside }) => [id, `${inside} inside`]),
      ...lines.map(({ id, leftToRight, rightToLeft }) => [id, `${leftToRight} right, ${rightToLeft} left`]),
    ];
    const text = texts.join();
    if (this.#places.dataset.shown === text) return;
    this.#places.dataset.shown = text;
    this.#places.replaceChildren(...texts.map(([id, count]) => element('li', {}, `${id} `, element('b', {}, count))));
  }
}

/**
 * Also states a miss in words: not everybody can see the red colour.
 *
 * @param {StreamReport} report
 */
function fpsNote(report) {
  const { fps, target, isMissing } = report;
  // A recovery counts only after some seconds: until then the target is missed although the rate is not below it.
  if (isMissing.fps) return `${fps.published < FPS_TOLERANCE * (target.fps ?? 0) ? 'below' : 'target'} ${target.fps}`;
  if (skipsInference(report)) return `inferred ${formatFps(fps.inferred)}`;
  return target.fps === null ? `in ${formatFps(fps.in)}` : `target ${target.fps}`;
}

/**
 * True if results came about without inference. Older hosts do not send `results`.
 *
 * @param {StreamReport} report
 */
function skipsInference({ results }) {
  return results !== undefined && results.tracked + results.unchanged + results.cached > 0;
}

/** @param {StreamReport} report */
function latencyNote({ target, isMissing, latencyMs }) {
  if (target.latencyMs === null) return 'ms';
  const isAbove = isMissing.latency && latencyMs.window.p99 > target.latencyMs;
  return `ms, ${isAbove ? 'above' : 'target'} ${target.latencyMs}`;
}

/**
 * Frames that were dropped, for whatever reason.
 *
 * @param {FrameCounters} frames
 */
export function droppedOf({ dropped }) {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

/** The median latency of each stage, side by side. */
export class StageBar {
  #parts = STAGES.map((stage) => element('i', { 'data-stage': stage }));
  node = element('div', { class: 'stage-bar', 'aria-hidden': 'true' }, ...this.#parts);

  /** @param {StreamReport['stagesMs']} stagesMs */
  update(stagesMs) {
    STAGES.forEach((stage, i) => {
      this.#parts[i].style.flexGrow = String(stagesMs[stage].p50);
    });
  }
}

/** The same with figures. */
class StageFigures {
  #bar = new StageBar();
  #values = STAGES.map(() => element('b', {}));
  node = element(
    'section',
    { class: 'detail-stages' },
    element('h3', {}, 'Median latency by stage, ms'),
    this.#bar.node,
    element(
      'ul',
      { class: 'stage-keys' },
      ...STAGES.map((stage, i) =>
        element('li', { 'data-stage': stage }, element('i', {}), `${stage} `, this.#values[i]),
      ),
    ),
  );

  /** @param {StreamReport['stagesMs']} stagesMs */
  update(stagesMs) {
    this.#bar.update(stagesMs);
    STAGES.forEach((stage, i) => {
      setText(this.#values[i], formatMs(stagesMs[stage].p50));
    });
  }
}

/** @param {string} label */
function tile(label) {
  const value = element('span', { class: 'tile-value' });
  const note = element('span', { class: 'tile-note' });
  const name = label.toLowerCase();
  const node = element(
    'div',
    { class: 'tile', 'data-tile': name },
    element('dt', {}, label),
    element('dd', {}, value, note),
  );
  return { node, value, note };
}

/** @param {string} label */
function counter(label) {
  const value = element('dd', {});
  const name = label.toLowerCase().replaceAll(' ', '-');
  return { node: element('div', { 'data-counter': name }, element('dt', {}, label), value), value };
}
