/** @import { FrameCounters, StreamReport } from './lib/client/index.js' */

import { element } from './element.js';

/** @type {readonly (keyof StreamReport['stagesMs'])[]} */
export const STAGES = ['decode', 'preprocess', 'queue', 'infer', 'publish'];
/** Below this busy ratio the busiest stage limits nothing; `BOTTLENECK_RATIO` of the gateway. */
export const BOTTLENECK_RATIO = 0.8;

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
