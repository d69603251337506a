/** @import { GuardReport, StreamFinding } from './lib/client/index.js' */

import { formatName, formatNumber } from './format.js';
import { html, nothing, repeat, svg } from './html.js';

const [WIDTH, HEIGHT] = [240, 20];
/** Space beyond the outermost figure. */
const ROOM = 1.2;
const TONES = { pass: 'good', fail: 'bad', undecided: 'warn', 'no-data': 'idle' };
/** Rows of the table: those with trouble come first. */
const MOST_ROWS = 50;
/** Of a guard with so many findings not all are known; `MOST_FINDINGS` of the gateway. */
const MOST_FINDINGS = 100;

/**
 * One row a guard: its verdict, and its interval as a bar against its margin.
 *
 * @param {readonly GuardReport[]} reports
 */
export function guardList(reports) {
  if (reports.length === 0) return html`<p class="none">No guard has reported yet.</p>`;
  const open = reports.filter(({ verdict }) => verdict === 'fail' || verdict === 'undecided');
  return html`<ul class="guards" aria-label="Guards">${repeat(reports, ({ guard }) => guard, guardRow)}</ul>
    <ul class="guard-findings">${open.map(({ guard, reason }) => html`<li>${guardName(guard)}: ${reason}</li>`)}</ul>`;
}

/** @param {GuardReport} report */
function guardRow({ guard, kind, verdict, estimate, low, high, margin, frames, reason }) {
  const isHard = kind === 'hard';
  // A hard guard counts from zero to a limit; the others differ from the control in either direction.
  const known = [estimate, low, high].filter((value) => value !== null);
  const reach = Math.max(...[...known, margin].map(Math.abs), 1e-9) * ROOM;
  const from = isHard ? 0 : -reach;
  const x = (/** @type {number} */ value) => {
    const at = ((Math.min(reach, Math.max(from, value)) - from) / (reach - from)) * WIDTH;
    return Math.round(at * 10) / 10;
  };
  const [left, right] = isHard ? [0, estimate ?? 0] : [low ?? -reach, high ?? reach];
  const marginAt = (/** @type {number} */ value, /** @type {boolean} */ isHidden) =>
    svg`<line class="guard-margin" x1=${x(value)} x2=${x(value)} y1="0" y2=${HEIGHT} ?hidden=${isHidden}></line>`;
  return html`<li data-guard=${guard} data-tone=${TONES[verdict]} title=${reason}>
    <span class="guard-name">${guardName(guard)}</span><span class="guard-verdict">${formatName(verdict)}</span>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
      aria-label="${reason} Interval ${figure(low)} to ${figure(high)}, margin ${figure(margin)}.">
      <line class="guard-zero" x1=${x(0)} x2=${x(0)} y1="2" y2="18"></line>
      <rect class="guard-bar" x=${x(left)} width=${Math.max(0, x(right) - x(left))} y="6" height="8" rx="2" ?hidden=${estimate === null}></rect>
      ${marginAt(margin, false)} ${marginAt(-margin, isHard)}
      <circle class="guard-point" cx=${x(estimate ?? 0)} cy="10" r="4" ?hidden=${estimate === null}></circle>
    </svg>
    <span class="guard-figures">${figure(estimate)}, ${isHard ? 'limit' : 'margin'} ${figure(margin)} · ${formatNumber(frames, 'frame')}</span>
  </li>`;
}

/**
 * The guards that judge single cameras, camera by camera, and what they found in words.
 *
 * @param {readonly GuardReport[]} reports
 * @param {readonly string[]} cameras that use the candidate
 */
export function guardTable(reports, cameras) {
  const guards = reports.filter(({ streams }) => streams !== undefined);
  if (guards.length === 0 || cameras.length === 0) return nothing;
  const found = new Map(
    guards.map(({ guard, streams = [] }) => [guard, new Map(streams.map((finding) => [finding.stream, finding]))]),
  );
  const findings = (/** @type {string} */ camera) => guards.flatMap(({ guard }) => found.get(guard)?.get(camera) ?? []);
  const trouble = (/** @type {string} */ camera) =>
    findings(camera).filter(({ verdict }) => verdict !== 'no-data').length;
  const rows = [...cameras].sort((a, b) => trouble(b) - trouble(a)).slice(0, MOST_ROWS);
  const said = rows.flatMap((camera) => findings(camera).filter(({ verdict }) => verdict !== 'no-data'));
  return html`<table class="guard-table">
      <caption class="visually-hidden">Guards by camera</caption>
      <thead><tr><th scope="col">Camera</th>${guards.map(({ guard }) => html`<th scope="col">${guardName(guard)}</th>`)}</tr></thead>
      <tbody>
        ${repeat(
          rows,
          (camera) => camera,
          (camera) => html`<tr data-camera-guards=${camera}>
          <th scope="row">${camera}</th>
          ${guards.map(({ guard, verdict, streams = [] }) => {
            const isKnown = verdict !== 'no-data' && streams.length < MOST_FINDINGS;
            return html`<td>${cell(found.get(guard)?.get(camera), isKnown)}</td>`;
          })}
        </tr>`,
        )}
      </tbody>
    </table>
    <p class="guard-keys">
      ${mark('pass')} within its limit ${mark('no-data')} too little compared
      ${cameras.length > rows.length ? `and ${cameras.length - rows.length} more cameras` : ''}
    </p>
    <ul class="guard-findings camera-findings">${said.map(({ reason }) => html`<li>${reason}</li>`)}</ul>`;
}

/**
 * @param {StreamFinding | undefined} finding
 * @param {boolean} isKnown whether a camera without a finding is within the limit
 */
function cell(finding, isKnown) {
  if (finding === undefined) return mark(isKnown ? 'pass' : 'no-data');
  if (finding.verdict === 'no-data') return mark('no-data');
  return html`<b class="guard-value" data-tone=${TONES[finding.verdict]}>${figure(finding.estimate)}<span class="visually-hidden">, ${finding.verdict}</span></b>`;
}

/** @param {'pass' | 'no-data'} verdict */
function mark(verdict) {
  const [sign, words] = verdict === 'pass' ? ['\u2713', 'within its limit'] : ['\u25f7', 'too little compared'];
  return html`<span class="mark" data-tone=${TONES[verdict]} role="img" aria-label=${words}>${sign}</span>`;
}

/** @param {string} guard */
const guardName = (guard) => formatName(guard.replace(/([A-Z])/g, (letter) => `-${letter.toLowerCase()}`));

/** @param {number | null} value */
function figure(value) {
  return value === null ? 'none' : String(Number(value.toPrecision(3)));
}
