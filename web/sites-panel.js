/** @import { SiteReport } from './lib/client/index.js' */

import { formatDuration, formatFps, formatNumber } from './format.js';
import { gateway } from './gateway.js';
import { html, nothing, repeat } from './html.js';

const ASK_MS = 5000;

/** The gateways of other sites, those in trouble first. */
export class SitesPanel {
  #onChange;
  /** @type {readonly SiteReport[]} */
  #sites = [];
  #askedMs = -Infinity;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** @param {number} timeMs wall clock of the gateway */
  show(timeMs) {
    this.#askSoon();
    if (this.#sites.length === 0) return nothing;
    const sites = this.#sites.toSorted((a, b) => troubleOf(b) - troubleOf(a));
    const seen = sites.flatMap(({ summary }) => summary ?? []);
    const streams = seen.reduce((sum, each) => sum + each.streams, 0);
    const hosts = seen.reduce((sum, each) => sum + each.hosts, 0);
    return html`<section class="panel" aria-label="Sites">
      <h2>Sites <small>${formatNumber(sites.length, 'other site')}: ${formatNumber(streams, 'camera')}, ${formatNumber(hosts, 'host')}</small></h2>
      <ul class="sites">${repeat(
        sites,
        ({ name }) => name,
        (site) => siteRow(site, timeMs),
      )}</ul>
    </section>`;
  }

  #askSoon() {
    if (performance.now() - this.#askedMs < ASK_MS) return;
    this.#askedMs = performance.now();
    gateway.sites().then(
      ({ sites }) => {
        this.#sites = sites;
        this.#onChange();
      },
      // The page says by itself that its gateway does not answer.
      () => undefined,
    );
  }
}

/** @param {SiteReport} site */
function troubleOf({ summary, problem }) {
  if (problem !== null || summary === null) return Infinity;
  return summary.down + summary.blind + summary.missing + summary.overloaded;
}

/**
 * @param {SiteReport} site
 * @param {number} timeMs
 */
function siteRow(site, timeMs) {
  const { name, url, summary, seenMs, problem } = site;
  const tone = problem !== null ? 'bad' : troubleOf(site) > 0 ? 'warn' : 'good';
  const age = seenMs === null ? '' : `, last seen ${formatDuration(Math.max(0, timeMs - seenMs) / 1000)} ago`;
  return html`<li data-site=${name} data-tone=${tone}>
    <div>
      <p><a class="link" href=${url} rel="noreferrer">${name}</a>
        <span class="badge">${problem !== null ? 'No answer' : tone === 'good' ? 'All well' : 'Trouble'}</span></p>
      <p class="site-note">${problem === null ? troubleText(summary) : `${problem}${age}`}</p>
    </div>
    <p class="fleet-figure">${summary === null ? '' : `${summary.running} of ${formatNumber(summary.streams, 'camera')}, ${formatFps(summary.fps)} frames/s`}</p>
    <p class="fleet-figure">${summary === null ? '' : formatNumber(summary.hosts, 'host')}</p>
  </li>`;
}

/** @param {SiteReport['summary']} summary */
function troubleText(summary) {
  if (summary === null) return '';
  const { down, blind, missing, overloaded } = summary;
  const parts = [
    down > 0 ? `${formatNumber(down, 'camera')} down` : '',
    blind > 0 ? `${blind} blind` : '',
    missing > 0 ? `${formatNumber(missing, 'target')} missed` : '',
    overloaded > 0 ? `${formatNumber(overloaded, 'host')} overloaded` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}
