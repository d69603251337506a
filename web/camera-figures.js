/** @import { StreamReport } from './lib/client/index.js' */

import { formatCount, formatFps, formatMs, formatName } from './format.js';
import { html, nothing } from './html.js';
import { droppedOf, STAGES } from './stages.js';

/** Share of the target rate that counts as reached, as the gateway judges it. */
const FPS_TOLERANCE = 0.95;

/**
 * The figures of one camera around its charts.
 *
 * @param {StreamReport} report
 * @param {unknown} charts what the history has, as parts of a template
 */
export function cameraFigures(report, charts) {
  const { frames, fps, isMissing, latencyMs, results, stagesMs, queueDepth, reconnects, decodeErrors } = report;
  const { window } = latencyMs;
  const ms = (/** @type {'p50' | 'p95' | 'p99'} */ name) => (window.count === 0 ? '-' : formatMs(window[name]));
  const dropped = droppedOf(frames);
  // Older hosts infer every frame and send no `results`.
  const inferred = results === undefined ? frames.published : results.inferred - results.cached;
  const reasons = Object.entries(frames.dropped).filter(([, count]) => count > 0);
  return html`<dl class="tiles">
      ${tile('FPS', formatFps(fps.published), fpsNote(report), isMissing.fps)} ${tile('p50', ms('p50'), 'ms')}
      ${tile('p95', ms('p95'), 'ms')} ${tile('p99', ms('p99'), latencyNote(report), isMissing.latency)}
    </dl>
    ${charts}
    <section class="detail">
      <h3>Median latency by stage, ms</h3>
      <div class="stage-bar" aria-hidden="true">
        ${STAGES.map((stage) => html`<i data-stage=${stage} .style=${`flex-grow: ${stagesMs[stage].p50}`}></i>`)}
      </div>
      <ul class="stage-keys">
        ${STAGES.map((stage) => html`<li data-stage=${stage}><i></i>${stage} <b>${formatMs(stagesMs[stage].p50)}</b></li>`)}
      </ul>
    </section>
    <dl class="counters">
      ${counter('In', frames.in)} ${counter('Published', frames.published)} ${counter('Dropped', dropped, dropped > 0)}
      ${counter('In flight', frames.inFlight)} ${counter('Inferred', inferred)} ${counter('Queue', queueDepth)}
      ${counter('Reconnects', reconnects)} ${counter('Decode errors', decodeErrors, decodeErrors > 0)}
    </dl>
    <section class="detail">
      <h3>Drops by reason</h3>
      <ul class="drops">
        ${reasons.map(([reason, count]) => html`<li>${formatName(reason)} <b>${formatCount(count)} (${shareOf(count, frames.in)} %)</b></li>`)}
        ${reasons.length === 0 ? html`<li class="none">None</li>` : nothing}
      </ul>
    </section>
    ${report.canTellFrozen === false ? html`<p class="note">Whether the picture is frozen cannot be told if the encoder writes each one a bit differently: it has no noise of its own, or light that varies all the time.</p>` : nothing}`;
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} note
 * @param {boolean} [isMissing]
 */
function tile(label, value, note, isMissing = false) {
  return html`<div class="tile" data-tile=${label.toLowerCase()} data-missing=${isMissing || nothing}>
    <dt>${label}</dt><dd><span class="tile-value">${value}</span><span class="tile-note">${note}</span></dd>
  </div>`;
}

/**
 * @param {string} label
 * @param {number} value
 * @param {boolean} [isSome] it should be 0
 */
function counter(label, value, isSome = false) {
  const name = label.toLowerCase().replaceAll(' ', '-');
  return html`<div data-counter=${name} data-some=${isSome || nothing}><dt>${label}</dt><dd>${formatCount(value)}</dd></div>`;
}

/**
 * @param {number} count
 * @param {number} all
 */
function shareOf(count, all) {
  const share = all === 0 ? 0 : (100 * count) / all;
  return share.toFixed(share < 1 ? 2 : 1);
}

/**
 * Also states a miss in words: not everybody can see the colour.
 *
 * @param {StreamReport} report
 */
function fpsNote({ fps, target, isMissing, results }) {
  // A recovery counts only after some seconds: until then the target is missed although the rate is not below it.
  if (isMissing.fps) return `${fps.published < FPS_TOLERANCE * (target.fps ?? 0) ? 'below' : 'target'} ${target.fps}`;
  // Results came about without inference. Older hosts do not send `results`.
  if (results !== undefined && results.tracked + results.unchanged + results.cached > 0)
    return `inferred ${formatFps(fps.inferred)}`;
  return target.fps === null ? `in ${formatFps(fps.in)}` : `target ${target.fps}`;
}

/** @param {StreamReport} report */
function latencyNote({ target, isMissing, latencyMs }) {
  if (target.latencyMs === null) return 'ms';
  const isAbove = isMissing.latency && latencyMs.window.p99 > target.latencyMs;
  return `ms, ${isAbove ? 'above' : 'target'} ${target.latencyMs}`;
}
