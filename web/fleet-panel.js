/** @import { FleetHost, FleetReport, JobReport, QueueReport } from './lib/client/index.js' */

import { busy } from './element.js';
import { formatCount, formatDuration, formatFps, formatName, formatNumber, formatShort } from './format.js';
import { meter } from './host-panel.js';
import { html, nothing, repeat } from './html.js';

/**
 * @typedef {object} FleetActions
 * @property {(id: string, isDraining: boolean) => Promise<void>} drain
 * @property {(id: string) => void} show shows the streams of a host
 * @property {(id: string) => Promise<void>} cancel
 * @property {(id: string) => Promise<void>} retry
 * @property {(id: string) => Promise<void>} showFailures shows the dead letters
 */

const HOST_TONES = { ready: 'good', draining: 'warn', silent: 'bad' };
const JOB_TONES = { waiting: 'busy', running: 'good', done: 'idle', failed: 'bad', cancelled: 'idle' };

/**
 * Hosts, jobs and the recommended size of the fleet.
 *
 * @param {FleetReport} fleet
 * @param {number} timeMs
 * @param {FleetActions} actions
 */
export function fleetPanel({ hosts, jobs, queue, placement, scale }, timeMs, actions) {
  const present = hosts.filter(({ state }) => state !== 'silent');
  const wanted = scale?.recommendedHosts ?? present.length;
  const change = wanted > present.length ? 'more' : wanted < present.length ? 'fewer' : null;
  const right = scale === null ? '' : sizeText(hosts, scale.reason);
  return html`<section class="panel fleet" id="fleet" aria-label="Fleet">
    <header class="fleet-head">
      <p class="fleet-summary">${summaryText(present, placement)}</p>
      <p class="fleet-scale" role="status" data-change=${change ?? nothing}>${
        change === null ? right : `${formatNumber(wanted, 'host')} recommended. ${scale?.reason}`
      }</p>
    </header>
    <section class="fleet-part">
      <div class="fleet-part-head">
        <h2>Hosts</h2>
        <span class="key"><i></i> live</span><span class="key" data-color="series-2"><i></i> jobs</span>
      </div>
      <ul class="fleet-rows" tabindex="0" aria-label="Hosts of the fleet">
        ${
          hosts.length === 0
            ? html`<li class="none">No hosts.</li>`
            : repeat(
                hosts,
                ({ id }) => id,
                (host) => hostRow(host, timeMs, actions),
              )
        }
      </ul>
    </section>
    <section class="fleet-part">
      <div class="fleet-part-head"><h2>Jobs</h2><span class="fleet-note">${queueText(queue)}</span></div>
      <ul class="fleet-rows" tabindex="0" aria-label="Jobs of the fleet">
        ${
          jobs.length === 0
            ? html`<li class="none">No jobs. "sightline submit" creates one.</li>`
            : repeat(
                jobs,
                ({ id }) => id,
                (job) => jobRow(job, actions),
              )
        }
      </ul>
    </section>
  </section>`;
}

/**
 * @param {FleetHost} host
 * @param {number} timeMs
 * @param {FleetActions} actions
 */
function hostRow({ id, state, pipeline, model, capacityFps, liveFps, bulkFps, ...host }, timeMs, { show, drain }) {
  const load = liveFps + bulkFps;
  // If the load exceeds the capacity, the bar is full and still shows the shares of live streams and jobs.
  const part = (/** @type {number} */ fps) => `width: ${(100 * fps) / Math.max(capacityFps, load)}%`;
  const percent = Math.round((100 * load) / capacityFps);
  const isDraining = state === 'draining';
  const verb = isDraining ? 'Undrain' : 'Drain';
  return html`<li data-host=${id} data-tone=${HOST_TONES[state]}>
    <div class="fleet-name">
      <p>
        <button type="button" class="link" title="Show the streams of ${id}" @click=${() => show(id)}>${id}</button>
        <span class="badge">${state === 'silent' ? `Silent for ${formatDuration(Math.max(0, timeMs - host.lastSeenMs) / 1000)}` : formatName(state)}</span>
      </p>
      <p class="fleet-note" title=${model}>${pipeline}: ${model}</p>
    </div>
    <div class="fleet-load" title="live ${formatFps(liveFps)}, jobs ${formatFps(bulkFps)} of ${formatFps(capacityFps)} inferences/s">
      ${meter(`Load of ${id}`, Math.min(100, percent), html`<i class="live" .style=${part(liveFps)}></i><i class="bulk" .style=${part(bulkFps)}></i>`)}
      <p class="fleet-figure">${load.toFixed(0)} of ${capacityFps.toFixed(0)}/s, ${percent} %</p>
    </div>
    <p class="fleet-figure">${formatNumber(host.streams, 'stream')}, ${formatNumber(host.segments, 'segment')}</p>
    <button type="button" class="button button-small" data-needs="admin" aria-label="${verb} ${id}" ?hidden=${state === 'silent'}
      title=${isDraining ? 'Assign work to this host again' : 'Move its streams to other hosts and assign it no more work'}
      @click=${busy(() => drain(id, !isDraining))}>${verb}</button>
  </li>`;
}

/**
 * @param {JobReport} job
 * @param {FleetActions} actions
 */
function jobRow({ id, state, progressRatio, secondsLeft, deadLetters, ...job }, { cancel, retry, showFailures }) {
  const percent = Math.floor(100 * progressRatio);
  const isOpen = state === 'waiting' || state === 'running';
  const left = isOpen && secondsLeft !== null ? `, ${formatDuration(secondsLeft)} left` : '';
  const hasFailed = deadLetters > 0;
  return html`<li data-job=${id} data-tone=${JOB_TONES[state]}>
    <div class="fleet-name">
      <p><b title=${id}>${id}</b> <span class="badge">${formatName(state)}</span></p>
      <p>
        <span class="fleet-note" title="${formatCount(job.frames)} frames, results in ${job.outDir}">${job.filesDone}/${job.inputs} files, ${formatShort(job.frames)} frames</span>
        <button type="button" class="link link-bad" title="Show the failed tasks and the reasons" ?hidden=${!hasFailed}
          @click=${() => showFailures(id)}>${formatNumber(deadLetters, 'task')} failed</button>
      </p>
    </div>
    <div class="fleet-load">
      ${meter(`Progress of ${id}`, percent, html`<i class="bulk" .style=${`width: ${100 * progressRatio}%`}></i>`, 'progressbar')}
      <p class="fleet-figure">${percent} %${left}</p>
    </div>
    <div class="fleet-buttons">
      ${jobButton('Retry', id, retry, hasFailed)} ${jobButton('Cancel', id, cancel, isOpen)}
    </div>
  </li>`;
}

/**
 * @param {string} label
 * @param {string} id of the job
 * @param {(id: string) => Promise<void>} action
 * @param {boolean} isShown
 */
function jobButton(label, id, action, isShown) {
  return html`<button type="button" class="button button-small" data-needs="operator" aria-label="${label} ${id}"
    ?hidden=${!isShown} @click=${busy(() => action(id))}>${label}</button>`;
}

/**
 * @param {readonly FleetHost[]} present
 * @param {FleetReport['placement']} placement
 */
function summaryText(present, { placed, waiting, paused }) {
  const capacity = present.reduce((sum, { capacityFps }) => sum + capacityFps, 0);
  const load = present.reduce((sum, { liveFps, bulkFps }) => sum + liveFps + bulkFps, 0);
  const share = capacity === 0 ? '' : ` (${Math.round((100 * load) / capacity)} %)`;
  const streams = `${formatNumber(placed, 'stream')} placed, ${waiting} waiting${paused > 0 ? `, ${paused} paused` : ''}`;
  return `${formatNumber(present.length, 'host')}, ${load.toFixed(0)} of ${capacity.toFixed(0)} inferences/s${share}. ${streams}.`;
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

/** @param {QueueReport} queue */
function queueText({ waiting, active, oldestWaitingMs }) {
  const age = waiting === 0 ? '' : `, oldest for ${formatDuration(oldestWaitingMs / 1000)}`;
  return `${active} tasks running, ${waiting} waiting${age}`;
}
