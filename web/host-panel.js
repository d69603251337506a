/** @import { BusyStage, HostReport } from './lib/client/index.js' */

import { formatBytes, formatCount, formatDuration, formatMs } from './format.js';
import { html, nothing } from './html.js';
import { BOTTLENECK_RATIO } from './stages.js';

/** @type {Record<BusyStage, string>} */
const STAGES = { decode: 'Decode', preprocess: 'Preprocess', infer: 'Infer', main: 'Main thread' };

/**
 * The cards of one host: load of each stage, batches, inference device, resources of the machine.
 *
 * @param {HostReport} host
 */
export function hostPanel({ busyRatio, bottleneck, device, batch, ...machine }) {
  const { engine, provider, precision, threads, model, inputWidth, inputHeight, comparison } = device;
  const { cpuCores, cores, rssBytes, childRssBytes, memoryTotalBytes, eventLoop, uptimeS } = machine;
  const { gpus, gpuProblem, power, secondStages } = machine;
  return html`<div class="panel-host">
    <section class="panel">
      <h2>Stages <small>busy, last second</small></h2>
      <ul class="busy">
        ${Object.entries(STAGES).map(([stage, name]) =>
          busyBar(stage, name, busyRatio[/** @type {BusyStage} */ (stage)], stage === bottleneck),
        )}
      </ul>
    </section>
    <section class="panel"><h2>Batches</h2>${batches(batch)}</section>
    <section class="panel">
      <h2>Inference</h2>
      <dl class="facts">
        ${fact('Model', model)} ${fact('Engine', `${engine}, ${provider}, ${threads} threads`)}
        ${fact('Compared', comparison?.replaceAll(', ', '\n'), 'Time of a frame on each engine, measured once on this machine for engine auto')}
        ${fact('Device', device.device)} ${fact('Precision', precision)} ${fact('Input', `${inputWidth} x ${inputHeight}`)}
      </dl>
    </section>
    <section class="panel">
      <h2>This machine</h2>
      <dl class="facts">
        ${fact('Processor', `${cpuCores.toFixed(1)} of ${cores} cores`)}
        ${fact('Memory', `${formatBytes(rssBytes + childRssBytes)} of ${formatBytes(memoryTotalBytes)}`)}
        ${fact('Decoders', formatBytes(childRssBytes))}
        ${fact('Event-loop delay p99', `${formatMs(eventLoop.p99DelayMs)} ms`)} ${fact('Running', formatDuration(uptimeS))}
        ${fact('Power', powerText(power))}
        ${fact('Energy a frame', power?.joulesPerFrame == null ? undefined : `${power.joulesPerFrame.toFixed(2)} J`, 'Of the whole machine')}
        ${fact('GPU figures', gpuProblem)}
      </dl>
    </section>
    ${gpus?.map(gpuPanel)} ${secondStages?.map(stagePanel)}
  </div>`;
}

/** @param {NonNullable<HostReport['secondStages']>[number]} stage */
function stagePanel({ name, model, engine, wanted, looked, skipped, inFlight, fps, latencyMs }) {
  const why = Object.entries(skipped).map(([reason, count]) => `${formatCount(count)} ${reason}`);
  return html`<section class="panel">
    <h2>${name} <small>second stage</small></h2>
    <dl class="facts">
      ${fact('Model', model)} ${fact('Engine', engine)} ${fact('Rate', `${fps.toFixed(1)} objects/s`)}
      ${fact('Latency', `${formatMs(latencyMs.p50)} ms, p99 ${formatMs(latencyMs.p99)} ms`)}
      ${fact('Looked at', `${formatCount(looked)} of ${formatCount(wanted)}`, `${formatCount(inFlight)} wait`)}
      ${fact('Skipped', why.length === 0 ? undefined : why.join('\n'))}
    </dl>
  </section>`;
}

/** @param {HostReport['power']} power */
function powerText(power) {
  const parts = [
    ['CPU', power?.cpuW],
    ['GPU', power?.gpuW],
  ];
  const known = parts.flatMap(([name, watts]) => (typeof watts === 'number' ? [`${name} ${Math.round(watts)} W`] : []));
  return known.length === 0 ? undefined : known.join(', ');
}

/** @param {NonNullable<HostReport['gpus']>[number]} gpu */
function gpuPanel({ index, name, busyRatio, decoderRatio, memoryUsedBytes, memoryTotalBytes, powerW, temperatureC }) {
  const memory =
    memoryUsedBytes === null || memoryTotalBytes === null
      ? undefined
      : `${formatBytes(memoryUsedBytes)} of ${formatBytes(memoryTotalBytes)}`;
  return html`<section class="panel">
    <h2>GPU ${index} <small>${name}</small></h2>
    <ul class="busy">
      ${busyRatio === null ? nothing : busyBar(`gpu-${index}`, 'Compute', busyRatio, true)}
      ${decoderRatio === null ? nothing : busyBar(`decoder-${index}`, 'Video decoder', decoderRatio, true)}
    </ul>
    <dl class="facts">
      ${fact('Memory', memory)} ${fact('Power', powerW === null ? undefined : `${Math.round(powerW)} W`)}
      ${fact('Temperature', temperatureC === null ? undefined : `${Math.round(temperatureC)} °C`)}
    </dl>
  </section>`;
}

/**
 * @param {string} label
 * @param {string | undefined} value undefined: no row
 * @param {string} [title]
 */
function fact(label, value, title) {
  return value === undefined ? nothing : html`<div title=${title ?? nothing}><dt>${label}</dt><dd>${value}</dd></div>`;
}

/**
 * @param {string} stage
 * @param {string} name
 * @param {number} ratio 0 to 1
 * @param {boolean} isBusiest
 */
function busyBar(stage, name, ratio, isBusiest) {
  const percent = Math.round(Math.min(1, Math.max(0, ratio)) * 100);
  const isBottleneck = isBusiest && ratio >= BOTTLENECK_RATIO;
  return html`<li data-busy=${stage} data-bottleneck=${isBottleneck || nothing}>
    <span>${name}</span><span class="tag">${isBottleneck ? 'bottleneck' : ''}</span><b>${percent} %</b>
    ${meter(`${name} busy`, percent, html`<i .style=${`width: ${percent}%`}></i>`)}
  </li>`;
}

/**
 * @param {string} label
 * @param {number} percent
 * @param {unknown} bars
 * @param {'meter' | 'progressbar'} [role]
 */
export function meter(label, percent, bars, role = 'meter') {
  return html`<div class="meter" role=${role} aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percent}>${bars}</div>`;
}

/** @param {HostReport['batch']} batch */
function batches({ histogram, maxBatch, settledSize, reason }) {
  const most = Math.max(1, ...Object.values(histogram));
  const settled = settledSize === null ? `Measuring, up to ${maxBatch}` : `Settled on ${settledSize} of ${maxBatch}`;
  return html`<ul class="histogram" aria-label="Batches by size">
      ${Object.entries(histogram).map(([size, count]) => {
        const label = `${formatCount(count)} batches of ${size}`;
        return html`<li title=${label} aria-label=${label} data-settled=${Number(size) === settledSize || nothing}>
          <span class="column"><i class="bar" .style=${`height: ${Math.max(4, (100 * count) / most)}%`}></i></span>
          <span class="size">${size}</span>
        </li>`;
      })}
    </ul>
    <p class="settled">${reason === '' ? settled : `${settled}: ${reason}`}</p>`;
}
