/** @import { StreamReport } from './lib/client/index.js' */

import { needsAttention } from './card.js';
import { element, setData, setText } from './element.js';
import { formatFps, formatMs } from './format.js';

/** The line at the top: all streams in four figures. */
export class Summary {
  #figures = {
    running: figure('running'),
    attention: figure('need attention', 'attention'),
    fps: figure('frames/s', 'fps'),
    p99: figure('ms worst p99', 'ms p99'),
  };

  /** @param {HTMLElement} node */
  constructor(node) {
    node.append(...Object.values(this.#figures).map((each) => each.node));
  }

  /** @param {readonly StreamReport[]} streams */
  update(streams) {
    const { running, attention, fps, p99 } = this.#figures;
    setText(running.value, `${streams.filter(({ state }) => state === 'running').length}/${streams.length}`);
    const attentionCount = streams.filter(needsAttention).length;
    setText(attention.value, String(attentionCount));
    setData(attention.node, 'bad', attentionCount > 0 ? 'true' : null);
    setText(fps.value, formatFps(streams.reduce((sum, stream) => sum + stream.fps.published, 0)));
    setText(p99.value, formatMs(Math.max(0, ...streams.map(({ latencyMs }) => latencyMs.window.p99))));
  }
}

/**
 * @param {string} label
 * @param {string} [shortLabel] on a phone
 */
function figure(label, shortLabel = label) {
  const value = element('dd', {});
  const [long, short] = [element('span', { class: 'long' }, label), element('span', { class: 'short' }, shortLabel)];
  return { value, node: element('div', {}, value, element('dt', {}, long, short)) };
}
