/** @import { FleetActions } from './fleet-panel.js' */
/** @import { Preview, ShadowMessage, SinkReport, StatsMessage, StreamReport } from './lib/client/index.js' */
/** @import { RolloutActions } from './rollout-panel.js' */

import { fleetPanel } from './fleet-panel.js';
import { formatCount, formatFps, formatMs, formatName, formatNumber } from './format.js';
import { hostPanel } from './host-panel.js';
import { html, nothing, render, repeat } from './html.js';
import { isActive, RolloutPanel } from './rollout-panel.js';
import { RolloutStart } from './rollout-start.js';
import { BOTTLENECK_RATIO, droppedOf } from './stages.js';

/** How the system does: the machine, the fleet, the results, the roll-out. */
export class SystemPage {
  #node;
  #actions;
  #rollout;
  #start = new RolloutStart(() => this.#draw());
  /** @type {StatsMessage | null} */
  #newest = null;

  /**
   * @param {HTMLElement} node
   * @param {FleetActions & RolloutActions} actions
   */
  constructor(node, actions) {
    this.#node = node;
    this.#actions = actions;
    this.#rollout = new RolloutPanel(actions);
    this.#start.load();
  }

  /** Streams whose pictures the page needs. */
  get watched() {
    return this.#rollout.watched;
  }

  /** @param {Preview | ShadowMessage} message */
  showPicture(message) {
    if (message.type === 'shadow') this.#rollout.showShadow(message);
    else this.#rollout.showPreview(message);
  }

  /** @param {StatsMessage} message */
  update(message) {
    this.#newest = message;
    this.#draw();
  }

  #draw() {
    if (this.#newest === null) return;
    const { host, streams, fleet, rollout, timeMs } = this.#newest;
    render(
      html`${heading(this.#newest)} ${hostPanel(host)}
        ${fleet === undefined ? nothing : fleetPanel(fleet, timeMs, this.#actions)}
        ${this.#rollout.show(rollout, streams, timeMs, () => this.#draw())} ${ledger(streams, host.sinks ?? [])}
        ${isActive(rollout) ? nothing : this.#start.show(host.device.model)}`,
      this.#node,
    );
  }
}

/** From this share of the cores on, what other programs take is said. */
const OTHERS_RATIO = 0.25;

/** @param {StatsMessage} message */
function heading({ host, streams }) {
  const busiest = host.busyRatio[host.bottleneck];
  const live = streams.filter(({ state, policy }) => state === 'running' && policy === 'live').length;
  const { cpuCores, othersCores = 0, cores, overload } = host;
  // A stage ends it, or the cores that all programs leave.
  const free = Math.max(0, BOTTLENECK_RATIO * cores - cpuCores - othersCores);
  const growth = Math.min(BOTTLENECK_RATIO / Math.max(busiest, 0.01) - 1, free / Math.max(cpuCores, 0.01));
  const room = overload === undefined ? Math.floor(live * growth) : 0;
  // In a fleet the streams are those of all hosts, and the busiest stage is that of one.
  const isKnown = live > 0 && !streams.some((stream) => stream.host !== undefined);
  const text = room < 1 ? 'No room for more cameras' : `Room for ${formatNumber(room, 'more camera')} like these`;
  const others =
    othersCores < OTHERS_RATIO * cores ? '' : `; other programs use ${othersCores.toFixed(1)} of ${cores} cores`;
  const fps = streams.reduce((sum, stream) => sum + stream.fps.published, 0);
  const p99 = Math.max(0, ...streams.map(({ latencyMs }) => latencyMs.window.p99));
  return html`<header class="system-head">
    <h2>${isKnown ? text : 'System'}</h2>
    <p>${formatName(host.bottleneck)} is the busiest stage at ${Math.round(100 * busiest)} %${others}</p>
    <p class="state-figures"><span><b>${formatFps(fps)}</b> frames/s</span> <span><b>${formatMs(p99)}</b> ms worst p99</span></p>
  </header>`;
}

/**
 * The frames of all cameras and what became of them, and what each sink made of the results.
 *
 * @param {readonly StreamReport[]} streams
 * @param {readonly SinkReport[]} sinks
 */
function ledger(streams, sinks) {
  const sum = (/** @type {(report: StreamReport) => number} */ of) =>
    formatCount(streams.reduce((all, each) => all + of(each), 0));
  const parts = [
    ['', sum(({ frames }) => frames.in), 'in'],
    ['=', sum(({ frames }) => frames.published), 'published'],
    ['+', sum(({ frames }) => droppedOf(frames)), 'dropped'],
    ['+', sum(({ frames }) => frames.inFlight), 'in flight'],
  ];
  return html`<section class="panel ledger" aria-label="Frames and results">
    <h2>Frames <small>of these cameras since their start, adds up</small></h2>
    <p class="equation">${parts.map(([sign, value, word]) => html`<i>${sign}</i> <span><b>${value}</b> ${word}</span>`)}</p>
    <ul>${repeat(
      sinks,
      ({ id }) => id,
      (sink) => html`<li data-tone=${sink.problem === null ? 'good' : 'bad'}>${sinkText(sink)}</li>`,
    )}</ul>
  </section>`;
}

/** @param {SinkReport} sink */
function sinkText({ id, sent, waiting, lost, problem }) {
  const losses = Object.entries(lost).map(([reason, count]) => `, ${formatCount(count ?? 0)} lost: ${reason}`);
  return `${id}: ${formatCount(sent)} sent, ${formatCount(waiting)} waiting${losses.join('')}${problem === null ? '' : `. ${problem}`}`;
}
