/** @import { Alert } from './alert-watch.js' */
/** @import { AlertFigures, HostReport } from './lib/client/index.js' */

import { formatCount } from './format.js';
import { html, nothing } from './html.js';

const EXAMPLE = `alerts:
  - { on: [lingers], to: [webhook-1], hold: 10m, group: 30s }`;

/** Columns of the ledger: what was raised is the sum of all others. @type {readonly [string, (figures: AlertFigures) => number][]} */
const COLUMNS = [
  ['Raised', ({ raised }) => raised],
  ['= Sent', ({ sent }) => sent],
  ['+ Grouped', ({ grouped }) => grouped],
  ['+ Held back', ({ suppressed }) => suppressed.hold],
  ['+ Quiet time', ({ suppressed }) => suppressed.quiet],
  ['+ Failed', ({ failed }) => failed],
  ['+ Pending', ({ pending }) => pending],
];
/** @param {AlertFigures} figures */
const pictures = ({ snapshots }) => {
  const { sent, failed, pending } = snapshots ?? { sent: 0, failed: 0, pending: 0 };
  if (sent + failed + pending === 0) return '';
  return `${formatCount(sent)} sent, ${formatCount(failed)} failed, ${formatCount(pending)} pending`;
};

/**
 * Who is told of what, and what became of each event in each channel.
 *
 * @param {readonly Alert[]} alerts
 * @param {HostReport} host
 */
export function alertsPanel(alerts, { alerts: ledgers = {}, sinks = [] }) {
  if (alerts.length === 0)
    return html`<section class="panel">
      <h2>No alerts yet</h2>
      <p>An alert says which rules people are told of, and by which channel: a webhook, mail or MQTT. Add it to the pipeline file:</p>
      <pre>${EXAMPLE}</pre>
    </section>`;
  const problems = new Map(sinks.map(({ id, problem }) => [id, problem]));
  return html`<section class="panel alert-ledger">
      <h2>What each channel was to tell <small>since the host started, adds up</small></h2>
      <div class="scroll" tabindex="0" role="region" aria-label="Ledger of alerts">
        <table>
          <thead><tr><th scope="col">Channel</th>${COLUMNS.map(([title]) => html`<th scope="col">${title}</th>`)}<th scope="col">Pictures, after it</th></tr></thead>
          <tbody>${Object.entries(ledgers).map(
            ([channel, figures]) => html`<tr data-channel=${channel}><th scope="row">${channel}</th>
              ${COLUMNS.map(([title, of]) => html`<td data-bad=${(title === '+ Failed' && of(figures) > 0) || nothing}>${formatCount(of(figures))}</td>`)}<td>${pictures(figures)}</td></tr>`,
          )}</tbody>
        </table>
      </div>
      ${Object.keys(ledgers).map((channel) => {
        const problem = problems.get(channel) ?? null;
        return problem === null ? nothing : html`<p class="alert-problem">${channel}: ${problem}</p>`;
      })}
    </section>
    <section class="panel">
      <h2>Who is told of what</h2>
      <ul class="alert-list">${alerts.map(
        ({ on, streams, to, hold, group, quiet }) =>
          html`<li><b>${on.join(', ')}</b>${streams === undefined ? '' : ` of ${streams.join(', ')}`}: to <b>${to.join(', ')}</b>${
            isNone(hold) ? '' : `, no other message for ${hold}`
          }${isNone(group) ? '' : `, further events within ${group} in one message`}${quiet === undefined ? '' : `, not ${quiet.on.join(', ')}`}</li>`,
      )}</ul>
    </section>`;
}

/** @param {string} duration */
const isNone = (duration) => /^0+\D/.test(duration);
