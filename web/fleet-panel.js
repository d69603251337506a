/** @import { FleetReport } from './lib/client/index.js' */
/** @import { HostActions } from './fleet-hosts.js' */
/** @import { JobActions } from './fleet-jobs.js' */

import { element, setData, setText } from './element.js';
import { FleetHosts } from './fleet-hosts.js';
import { FleetJobs } from './fleet-jobs.js';
import { formatNumber } from './format.js';

/** Hosts, jobs and the recommended size of the fleet. Hidden on a machine outside a fleet. */
export class FleetPanel {
  #node;
  #hosts;
  #jobs;
  #summary = element('p', { class: 'fleet-summary' });
  #scale = element('p', { class: 'fleet-scale', role: 'status' });

  /**
   * @param {HTMLElement} node
   * @param {HostActions & JobActions} actions
   */
  constructor(node, actions) {
    this.#node = node;
    this.#hosts = new FleetHosts(actions);
    this.#jobs = new FleetJobs(actions);
    node.append(
      element('header', { class: 'fleet-head' }, this.#summary, this.#scale),
      this.#hosts.node,
      this.#jobs.node,
    );
  }

  /**
   * @param {FleetReport | undefined} fleet of a `stats` message; undefined outside a fleet
   * @param {number} timeMs
   */
  update(fleet, timeMs) {
    this.#node.hidden = fleet === undefined;
    if (fleet === undefined) return;
    this.#hosts.update(fleet.hosts, timeMs);
    this.#jobs.update(fleet.jobs, fleet.queue);
    setText(this.#summary, summaryText(fleet));
    this.#showScale(fleet);
  }

  /** @param {FleetReport} fleet */
  #showScale({ hosts, scale }) {
    const present = hosts.filter(({ state }) => state !== 'silent').length;
    const wanted = scale?.recommendedHosts ?? present;
    setData(this.#scale, 'change', wanted > present ? 'more' : wanted < present ? 'fewer' : null);
    if (scale === null) setText(this.#scale, '');
    else if (wanted === present) setText(this.#scale, sizeText(hosts, scale.reason));
    else setText(this.#scale, `${formatNumber(wanted, 'host')} recommended. ${scale.reason}`);
    this.#scale.title = scale?.reason ?? '';
  }
}

/**
 * @param {FleetReport['hosts']} hosts
 * @param {string} reason
 */
function sizeText(hosts, reason) {
  const short = hosts.filter(({ overload }) => overload !== undefined).length;
  if (short === 0) return 'The fleet has the right size';
  return `${short} of ${formatNumber(hosts.length, 'host')} cannot keep up. ${reason}`;
}

/** @param {FleetReport} fleet */
function summaryText({ hosts, placement }) {
  const present = hosts.filter(({ state }) => state !== 'silent');
  const capacity = present.reduce((sum, { capacityFps }) => sum + capacityFps, 0);
  const load = present.reduce((sum, { liveFps, bulkFps }) => sum + liveFps + bulkFps, 0);
  const share = capacity === 0 ? '' : ` (${Math.round((100 * load) / capacity)} %)`;
  const { placed, waiting, paused } = placement;
  const streams = [
    `${formatNumber(placed, 'stream')} placed`,
    `${waiting} waiting`,
    ...(paused > 0 ? [`${paused} paused`] : []),
  ];
  return `${formatNumber(present.length, 'host')}, ${load.toFixed(0)} of ${capacity.toFixed(0)} inferences/s${share}. ${streams.join(', ')}.`;
}
