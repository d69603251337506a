/** @import { BusyStage, HostReport } from './lib/client/index.js' */

import { element, setData, setText } from './element.js';
import { formatBytes, formatCount, formatDuration, formatMs } from './format.js';

/** @type {Record<BusyStage, string>} */
const STAGES = { decode: 'Decode', preprocess: 'Preprocess', infer: 'Infer', main: 'Main thread' };
/** Below this busy ratio the busiest stage limits nothing; `BOTTLENECK_RATIO` of the gateway. */
const BOTTLENECK_RATIO = 0.8;

const BUSY_STAGES = /** @type {BusyStage[]} */ (Object.keys(STAGES));

/** The host panel: load of each stage, inference device, batches and machine resources. */
export class HostPanel {
  node;
  #bars = new Map(BUSY_STAGES.map((stage) => [stage, busyBar(stage, STAGES[stage])]));
  #facts = Object.fromEntries(
    ['Model', 'Engine', 'Compared', 'Device', 'Precision', 'Input'].map((label) => [label, fact(label)]),
  );
  #figures = Object.fromEntries(['CPU', 'Memory', 'Event-loop delay p99', 'Up'].map((label) => [label, fact(label)]));
  #histogram = element('ul', { class: 'histogram', 'aria-label': 'Batches by size' });
  #settled = element('p', { class: 'settled' });

  constructor() {
    this.node = element(
      'div',
      { class: 'panel-host' },
      section('Stages', element('ul', { class: 'busy' }, ...[...this.#bars.values()].map(({ node }) => node))),
      section('Inference', element('dl', { class: 'facts' }, ...Object.values(this.#facts).map(({ node }) => node))),
      section('Batches', this.#histogram, this.#settled),
      section('Host', element('dl', { class: 'facts' }, ...Object.values(this.#figures).map(({ node }) => node))),
    );
  }

  /** @param {HostReport} host */
  update(host) {
    for (const [stage, bar] of this.#bars) {
      const ratio = host.busyRatio[stage];
      bar.update(ratio, stage === host.bottleneck && ratio >= BOTTLENECK_RATIO);
    }
    this.#updateDevice(host.device);
    this.#updateBatch(host.batch);
    const { CPU, Memory, Up, 'Event-loop delay p99': delay } = this.#figures;
    setText(CPU.value, `${host.cpuCores.toFixed(1)} of ${host.cores} cores`);
    const memory = `${formatBytes(host.rssBytes + host.childRssBytes)} of ${formatBytes(host.memoryTotalBytes)}`;
    setText(Memory.value, memory);
    Memory.node.title = `process ${formatBytes(host.rssBytes)}, decoders ${formatBytes(host.childRssBytes)}`;
    setText(delay.value, `${formatMs(host.eventLoop.p99DelayMs)} ms`);
    setText(Up.value, formatDuration(host.uptimeS));
  }

  /** @param {HostReport['device']} device */
  #updateDevice({ engine, provider, device, precision, threads, model, inputWidth, inputHeight, comparison }) {
    setText(this.#facts.Model.value, model);
    setText(this.#facts.Engine.value, `${engine}, ${provider}, ${threads} threads`);
    // One engine a line.
    setText(this.#facts.Compared.value, (comparison ?? '').replaceAll(', ', '\n'));
    this.#facts.Compared.node.hidden = comparison === undefined;
    this.#facts.Compared.node.title = 'Time of a frame on each engine, measured once on this machine for engine auto';
    setText(this.#facts.Device.value, device);
    setText(this.#facts.Precision.value, precision);
    setText(this.#facts.Input.value, `${inputWidth} x ${inputHeight}`);
  }

  /** @param {HostReport['batch']} batch */
  #updateBatch({ histogram, maxBatch, settledSize, reason }) {
    const sizes = Object.entries(histogram).map(([size, batches]) => ({ size: Number(size), batches }));
    const max = Math.max(1, ...sizes.map(({ batches }) => batches));
    this.#histogram.replaceChildren(
      ...sizes.map(({ size, batches }) => {
        const bar = element('i', { class: 'bar' });
        bar.style.height = `${Math.max(4, (100 * batches) / max)}%`;
        const title = `${formatCount(batches)} batches of ${size}`;
        const isSettled = size === settledSize;
        return element(
          'li',
          { title, 'aria-label': title, 'data-settled': isSettled ? 'true' : null },
          element('span', { class: 'column' }, bar),
          element('span', { class: 'size' }, String(size)),
        );
      }),
    );
    const settled = settledSize === null ? `Measuring, up to ${maxBatch}` : `Settled on ${settledSize} of ${maxBatch}`;
    setText(this.#settled, reason === '' ? settled : `${settled}: ${reason}`);
  }
}

/**
 * @param {BusyStage} stage
 * @param {string} label
 */
function busyBar(stage, label) {
  const fill = element('i', {});
  const value = element('b', {});
  const tag = element('span', { class: 'tag' });
  const meter = element(
    'div',
    { class: 'meter', role: 'meter', 'aria-label': `${label} busy`, 'aria-valuemin': 0, 'aria-valuemax': 100 },
    fill,
  );
  const node = element('li', { 'data-busy': stage }, element('span', { class: 'name' }, label), tag, value, meter);
  return {
    node,
    /**
     * @param {number} ratio 0 to 1
     * @param {boolean} isBottleneck
     */
    update(ratio, isBottleneck) {
      const percent = Math.round(Math.min(1, Math.max(0, ratio)) * 100);
      fill.style.width = `${percent}%`;
      meter.setAttribute('aria-valuenow', String(percent));
      setText(value, `${percent} %`);
      setText(tag, isBottleneck ? 'bottleneck' : '');
      setData(node, 'bottleneck', isBottleneck ? 'true' : null);
    },
  };
}

/** @param {string} label */
function fact(label) {
  const value = element('dd', {});
  return { value, node: element('div', {}, element('dt', {}, label), value) };
}

/**
 * @param {string} title
 * @param {Node[]} children
 */
function section(title, ...children) {
  return element('section', { class: 'panel-section' }, element('h2', {}, title), ...children);
}
