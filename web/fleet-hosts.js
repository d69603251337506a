/** @import { FleetHost } from './lib/client/index.js' */

import { element, runBusy, setData, setText } from './element.js';
import { formatDuration, formatFps, formatName, formatNumber } from './format.js';

/**
 * @typedef {object} HostActions
 * @property {(id: string, isDraining: boolean) => Promise<void>} drain
 * @property {(id: string) => void} show
 */

const TONES = { ready: 'good', draining: 'warn', silent: 'bad' };

/** The hosts of the fleet, one row each. */
export class FleetHosts {
  /** @type {Map<string, HostRow>} */
  #rows = new Map();
  #list = element('ul', { class: 'fleet-rows', tabindex: 0, 'aria-label': 'Hosts of the fleet' });
  #emptyRow = element('li', { class: 'none' }, 'No hosts.');
  #actions;
  node = element(
    'section',
    { class: 'fleet-part' },
    element(
      'div',
      { class: 'fleet-part-head' },
      element('h2', {}, 'Hosts'),
      element('span', { class: 'key' }, element('i', {}), ' live'),
      element('span', { class: 'key', 'data-color': 'series-2' }, element('i', {}), ' jobs'),
    ),
    this.#list,
  );

  /** @param {HostActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * @param {readonly FleetHost[]} hosts sorted by name, as the gateway sends them
   * @param {number} timeMs
   */
  update(hosts, timeMs) {
    const ids = new Set(hosts.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    if (hosts.length === 0) this.#list.append(this.#emptyRow);
    else this.#emptyRow.remove();
    hosts.forEach((host, i) => {
      const row = this.#rows.get(host.id) ?? new HostRow(host.id, this.#actions);
      this.#rows.set(host.id, row);
      row.update(host, timeMs);
      const { node } = row;
      // Rows in the right position are not moved, so that they keep the focus.
      if (this.#list.children[i] !== node) this.#list.insertBefore(node, this.#list.children[i] ?? null);
    });
  }
}

class HostRow {
  #state = element('span', { class: 'badge' });
  #model = element('p', { class: 'fleet-note' });
  #live = element('i', { class: 'live' });
  #bulk = element('i', { class: 'bulk' });
  #meter;
  #load = element('p', { class: 'fleet-figure' });
  #streams = element('p', { class: 'fleet-figure' });
  #drain;
  #isDraining = false;

  /**
   * @param {string} id
   * @param {HostActions} actions
   */
  constructor(id, actions) {
    this.#meter = element(
      'div',
      { class: 'meter', role: 'meter', 'aria-label': `Load of ${id}`, 'aria-valuemin': 0, 'aria-valuemax': 100 },
      this.#live,
      this.#bulk,
    );
    const name = element('button', { type: 'button', class: 'link', title: `Show the streams of ${id}` }, id);
    name.addEventListener('click', () => actions.show(id));
    this.#drain = element('button', { type: 'button', class: 'button button-small', 'data-needs': 'admin' });
    this.#drain.addEventListener('click', () => runBusy(this.#drain, () => actions.drain(id, !this.#isDraining)));
    this.node = element(
      'li',
      { 'data-host': id },
      element('div', { class: 'fleet-name' }, element('p', {}, name, this.#state), this.#model),
      element('div', { class: 'fleet-load' }, this.#meter, this.#load),
      this.#streams,
      this.#drain,
    );
  }

  /**
   * @param {FleetHost} host
   * @param {number} timeMs
   */
  update({ id, state, pipeline, model, capacityFps, liveFps, bulkFps, streams, segments, lastSeenMs }, timeMs) {
    setData(this.node, 'tone', TONES[state]);
    const silence = formatDuration(Math.max(0, (timeMs - lastSeenMs) / 1000));
    setText(this.#state, state === 'silent' ? `Silent for ${silence}` : formatName(state));
    setText(this.#model, `${pipeline}: ${model}`);
    this.#model.title = model;
    // If the load exceeds the capacity, the bar is full and still shows the shares of live streams and jobs.
    const whole = Math.max(capacityFps, liveFps + bulkFps);
    this.#live.style.width = `${(100 * liveFps) / whole}%`;
    this.#bulk.style.width = `${(100 * bulkFps) / whole}%`;
    const percent = Math.round((100 * (liveFps + bulkFps)) / capacityFps);
    this.#meter.setAttribute('aria-valuenow', String(Math.min(100, percent)));
    this.#meter.title = `live ${formatFps(liveFps)}, jobs ${formatFps(bulkFps)} of ${formatFps(capacityFps)} inferences/s`;
    setText(this.#load, `${(liveFps + bulkFps).toFixed(0)} of ${capacityFps.toFixed(0)}/s, ${percent} %`);
    setText(this.#streams, `${formatNumber(streams, 'stream')}, ${formatNumber(segments, 'segment')}`);
    this.#isDraining = state === 'draining';
    setText(this.#drain, this.#isDraining ? 'Undrain' : 'Drain');
    this.#drain.setAttribute('aria-label', `${this.#isDraining ? 'Undrain' : 'Drain'} ${id}`);
    this.#drain.title = this.#isDraining
      ? 'Assign work to this host again'
      : 'Move its streams to other hosts and assign it no more work';
    this.#drain.hidden = state === 'silent';
  }
}
