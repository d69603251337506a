/** @import { HistorySpan, SeenRow, StreamReport } from './lib/client/index.js' */

import { formatCount, formatDuration, formatMinute } from './format.js';
import { gateway, PAGE_URL } from './gateway.js';
import { html, nothing } from './html.js';

const HOUR_MS = 3_600_000;
/** Labels that have a colour of their own; the rest is one more. */
const LABELS = 2;
/** Hours between two times below the bars. */
const TICK_HOURS = 3;
/** Share of an hour that counts as all of it: frames at its edges belong to its neighbours. */
const WHOLE = 0.98;

/**
 * @typedef {object} Hour
 * @property {number} timeMs when it began
 * @property {number[]} values height of each series' part of the bar
 * @property {number[]} [figures] what is said of each series, if that is not its height
 * @property {string} more what else is known, in words
 * @property {number} seenS
 *
 * @typedef {object} Hours
 * @property {readonly { name: string, total: string }[]} series
 * @property {readonly Hour[]} hours
 *
 * @typedef {object} BarLinks
 * @property {number | undefined} chosen number of the hour
 * @property {(hour: number) => string} hrefOf
 */

/** @param {string | undefined} stream */
const spanQuery = (stream) => ({
  by: /** @type {const} */ ('hour'),
  utcOffset: -new Date().getTimezoneOffset(),
  ...(stream === undefined ? {} : { stream }),
});

/** The local day of a time, from its beginning to its end. @param {number} timeMs */
export function dayOf(timeMs) {
  const day = new Date(timeMs);
  const fromMs = day.setHours(0, 0, 0, 0);
  return { fromMs, toMs: day.setDate(day.getDate() + 1) };
}

/** What was counted in each hour of a day, as bars: objects, crossings of a line, how full a zone was, time watched. */
export class HourBars {
  #onChange;
  #onError;
  #day = dayOf(Date.now());
  /** @type {string | undefined} */
  #stream;
  /** `objects`, `lines`, `seen`, or a place such as `line gate`. */
  #what = 'objects';
  /** @type {Hours | null} */
  #found = null;
  #asked = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** The hour under the pointer or with the focus. @type {number | null} */
  #at = null;
  #hasTable = false;

  /**
   * @param {() => void} onChange
   * @param {(error: unknown) => void} onError
   */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /**
   * Shows a day of a stream, or of all. Asks the gateway again once a minute, while it is called.
   *
   * @param {string | undefined} stream
   * @param {number} dayMs a time within the day
   */
  show(stream, dayMs) {
    const day = dayOf(dayMs);
    const isOther = stream !== this.#stream || day.fromMs !== this.#day.fromMs;
    if (stream !== this.#stream) this.#what = 'objects';
    [this.#stream, this.#day] = [stream, day];
    if (isOther || performance.now() - this.#askedAtMs > 60_000) this.#load(isOther);
  }

  /** Asks again when it is shown next, as after a loss of the connection. */
  forget() {
    this.#askedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** @param {boolean} isOther what is shown is about something else */
  async #load(isOther) {
    this.#asked += 1;
    const asked = this.#asked;
    this.#askedAtMs = performance.now();
    if (isOther) this.#found = null;
    this.#onChange();
    try {
      const found = await fetchHours(this.#what, { ...spanQuery(this.#stream), ...this.#day });
      if (asked !== this.#asked) return;
      this.#found = found;
      this.#onChange();
    } catch (error) {
      if (asked === this.#asked) this.#onError(error);
    }
  }

  /**
   * @param {string} title
   * @param {StreamReport | undefined} report of the stream, whose zones and lines can be chosen
   * @param {BarLinks} [links] makes each bar a link
   */
  template(title, report, links) {
    const { series = [], hours = [] } = this.#found ?? {};
    const most = Math.max(0, ...hours.map(({ values }) => sum(values)));
    const shown = hours[this.#at ?? links?.chosen ?? -1];
    const choices = [
      ['objects', 'Objects that appeared'],
      ['lines', 'All lines'],
      ...(report?.lines ?? []).map(({ id }) => [`line ${id}`, `Line ${id}`]),
      ...(report?.zones ?? []).map(({ id }) => [`zone ${id}`, `Zone ${id}`]),
      ['seen', 'Time watched'],
    ];
    return html`<section class="panel hours" aria-label=${title}>
      <header>
        <h2>${title}</h2>
        <label><span class="visually-hidden">What is counted</span><select @change=${(
          /** @type {Event} */ { target },
        ) => {
          this.#what = /** @type {HTMLSelectElement} */ (target).value;
          this.#load(true);
        }}>${choices.map(([value, text]) => html`<option value=${value} .selected=${value === this.#what}>${text}</option>`)}</select></label>
        <span class="hours-keys">${series.map(({ name, total }, i) => html`<span data-series=${i}><i></i>${name} <b>${total}</b></span>`)}</span>
        <span class="hours-most">${most > 0 ? `Highest: ${formatCount(Math.round(most * 10) / 10)}` : ''}</span>
      </header>
      ${this.#found !== null && hours.every(({ values }) => sum(values) === 0) ? html`<p class="none">${emptyText(this.#what, hours)}</p>` : nothing}
      <ol class="bars" @keydown=${moveFocus}>${hours.map((hour, i) => this.#bar(hour, i, most, series, links))}</ol>
      <div class="hours-foot">
        <p class="hours-said">${shown === undefined ? 'The strip below the bars shows how much of each hour was watched.' : hourText(shown, series)}</p>
        ${this.#table(series, hours)}
      </div>
    </section>`;
  }

  /**
   * @param {Hour} hour
   * @param {number} i
   * @param {number} most
   * @param {Hours['series']} series
   * @param {BarLinks | undefined} links
   */
  #bar(hour, i, most, series, links) {
    const { timeMs, values, seenS } = hour;
    const lengthS = Math.min(HOUR_MS, Date.now() - timeMs) / 1000;
    const seen = lengthS <= 0 ? 0 : Math.min(1, seenS / lengthS);
    const stack = html`<span class="stack">${values.map(
      (value, n) => html`<i data-series=${n} .style=${`height: ${most === 0 ? 0 : (100 * value) / most}%`}></i>`,
    )}</span><span class="watched" data-blind=${(lengthS > 0 && seen < WHOLE) || nothing}><i .style=${`width: ${100 * seen}%`}></i></span>`;
    const enter = () => this.#look(i);
    const leave = () => this.#look(null);
    const stop = links?.chosen ?? 0;
    return html`<li @pointerenter=${enter} @pointerleave=${leave} @focusin=${enter} @focusout=${leave}>
      ${
        links === undefined || lengthS <= 0
          ? html`<span class="hour" role="img" aria-label=${hourText(hour, series)}>${stack}</span>`
          : html`<a class="hour" href=${links.hrefOf(i)} aria-label=${hourText(hour, series)} aria-current=${i === links.chosen ? 'true' : nothing}
              tabindex=${i === stop ? 0 : -1}>${stack}</a>`
      }
      <small>${i % TICK_HOURS === 0 ? formatMinute(timeMs) : ''}</small>
    </li>`;
  }

  /** @param {number | null} hour */
  #look(hour) {
    this.#at = hour;
    this.#onChange();
  }

  /** @param {Hours['series']} series @param {readonly Hour[]} hours */
  #table(series, hours) {
    const path = this.#what.startsWith('zone') ? 'occupancy' : this.#what === 'seen' ? 'seen' : 'counts';
    const { fromMs, toMs } = this.#day;
    const query = new URLSearchParams({
      ...Object.fromEntries(Object.entries(spanQuery(this.#stream)).map(([key, value]) => [key, String(value)])),
      from: String(fromMs),
      to: String(toMs),
      format: 'csv',
    });
    return html`<details @toggle=${(/** @type {Event} */ { target }) => {
      this.#hasTable = /** @type {HTMLDetailsElement} */ (target).open;
      this.#onChange();
    }}>
      <summary>As a table</summary>
      ${
        this.#hasTable
          ? html`      <div class="scroll" tabindex="0" role="region" aria-label="Hours as a table">
        <table>
          <thead><tr><th scope="col">Hour</th>${series.map(({ name }) => html`<th scope="col">${name}</th>`)}<th scope="col">Watched</th></tr></thead>
          <tbody>${hours
            .filter(({ values, seenS, more }) => seenS > 0 || more !== '' || sum(values) > 0)
            .map(
              ({
                timeMs,
                values,
                figures = values,
                seenS,
                more,
              }) => html`<tr><th scope="row">${formatMinute(timeMs)}</th>
                ${figures.map((value) => html`<td>${formatCount(Math.round(value * 10) / 10)}</td>`)}<td>${formatDuration(Math.round(seenS))}${more === '' ? '' : `, ${more}`}</td></tr>`,
            )}</tbody>
        </table>
      </div>`
          : nothing
      }
      <a class="hours-csv" href="${PAGE_URL}api/${path}?${query}" download="${path}.csv">CSV of ${path}</a>
    </details>`;
  }
}

/** @param {Hour} hour @param {Hours['series']} series */
function hourText({ timeMs, values, figures = values, seenS, more }, series) {
  const counts = series.map(({ name }, i) => `${name} ${formatCount(Math.round(figures[i] * 10) / 10)}`);
  const watched = seenS === 0 ? 'not watched' : `watched ${formatDuration(Math.round(seenS))}`;
  const until = formatMinute(timeMs + HOUR_MS);
  return `${formatMinute(timeMs)} to ${until}: ${[...(counts.length === 0 ? ['nothing'] : counts), more, watched].filter(Boolean).join(', ')}`;
}

/** Why an hour was not watched, and for how long. @param {readonly SeenRow[]} rows */
function blindText(rows) {
  /** @type {Map<string, number>} */
  const byReason = new Map();
  for (const { blindS } of rows)
    for (const [reason, seconds] of Object.entries(blindS)) byReason.set(reason, (byReason.get(reason) ?? 0) + seconds);
  const parts = [...byReason].filter(([, seconds]) => seconds >= 1).toSorted(([, a], [, b]) => b - a);
  const texts = parts.map(([reason, seconds]) => `${reason} ${formatDuration(Math.round(seconds))}`);
  return texts.length === 0 ? '' : `not watched: ${texts.join(', ')}`;
}

/** @param {string} what @param {readonly Hour[]} hours */
function emptyText(what, hours) {
  if (hours.every(({ seenS }) => seenS === 0)) return 'Nothing was watched on this day.';
  if (what === 'objects')
    return 'No objects yet: they are counted on cameras with tracks. Turn on Track in the settings of a camera.';
  return what === 'lines'
    ? 'Nothing crossed a line. Draw one under Zones and lines of a camera.'
    : 'Nothing on this day.';
}

/** Arrows move between the bars. @param {KeyboardEvent} event */
function moveFocus(event) {
  const bars = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll('a')];
  const at = bars.indexOf(/** @type {HTMLAnchorElement} */ (event.target));
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: bars.length - 1 }[event.key];
  if (at < 0 || to === undefined || bars[to] === undefined) return;
  event.preventDefault();
  bars[to].focus();
}

/**
 * @param {string} what
 * @param {HistorySpan & { fromMs: number, toMs: number }} span
 * @returns {Promise<Hours>}
 */
async function fetchHours(what, span) {
  const [kind, place = ''] = what.split(' ');
  const length = Math.round((span.toMs - span.fromMs) / HOUR_MS);
  const indexOf = (/** @type {number} */ timeMs) => Math.max(0, Math.floor((timeMs - span.fromMs) / HOUR_MS));
  const [seen, occupancy, counts] = await Promise.all([
    pages(async (fromMs) => {
      const { seen, next } = await gateway.seen({ ...span, fromMs });
      return { rows: seen, next };
    }, span.fromMs),
    kind !== 'zone'
      ? []
      : pages(async (fromMs) => {
          const { occupancy, next } = await gateway.occupancy({ ...span, fromMs, zone: place });
          return { rows: occupancy, next };
        }, span.fromMs),
    kind === 'zone' || kind === 'seen'
      ? []
      : pages(async (fromMs) => {
          const { counts, next } = await gateway.counts({
            ...span,
            fromMs,
            ...(kind === 'line' ? { line: place } : {}),
          });
          return { rows: counts.filter(({ line }) => (kind === 'objects') === (line === null)), next };
        }, span.fromMs),
  ]);
  /** @type {Hour[]} */
  const hours = Array.from({ length }, (_, i) => ({
    timeMs: span.fromMs + i * HOUR_MS,
    values: [],
    more: '',
    seenS: 0,
  }));
  for (const { timeMs, seenS } of seen) hours[indexOf(timeMs)].seenS += seenS;
  if (kind === 'seen') {
    for (const [i, hour] of hours.entries()) {
      hour.values = [hour.seenS / 60];
      hour.more = blindText(seen.filter(({ timeMs }) => indexOf(timeMs) === i));
    }
    return {
      series: [{ name: 'Minutes watched', total: formatCount(Math.round(sum(hours.map(({ seenS }) => seenS)) / 60)) }],
      hours,
    };
  }
  if (kind === 'zone') {
    for (const hour of hours) hour.values = [0, 0];
    for (const { timeMs, max, mean, occupiedS, arrivals } of occupancy) {
      const hour = hours[indexOf(timeMs)];
      hour.values = [mean ?? 0, Math.max(0, max - (mean ?? 0))];
      hour.figures = [mean ?? 0, max];
      hour.more = `somebody inside for ${formatDuration(Math.round(occupiedS))}, ${formatCount(arrivals)} came`;
    }
    const most = Math.max(0, ...occupancy.map(({ max }) => max));
    return {
      series: [
        { name: 'inside on average', total: '' },
        { name: 'at most', total: formatCount(most) },
      ],
      hours,
    };
  }
  return { series: countSeries(counts, hours, indexOf, kind !== 'objects'), hours };
}

/**
 * Fills in the values of the hours: the most frequent labels, and all others together.
 *
 * @param {readonly import('./lib/client/index.js').CountRow[]} counts
 * @param {Hour[]} hours
 * @param {(timeMs: number) => number} indexOf
 * @param {boolean} hasDirections
 */
function countSeries(counts, hours, indexOf, hasDirections) {
  /** @type {Map<string, number>} */
  const totals = new Map();
  for (const { label, count } of counts) totals.set(label, (totals.get(label) ?? 0) + count);
  const byTotal = [...totals].sort((a, b) => b[1] - a[1]);
  const names = byTotal.slice(0, byTotal.length === LABELS + 1 ? LABELS + 1 : LABELS).map(([name]) => name);
  const hasOthers = names.length < byTotal.length;
  for (const hour of hours) hour.values = new Array(names.length + (hasOthers ? 1 : 0)).fill(0);
  for (const { timeMs, label, count } of counts) {
    const i = names.indexOf(label);
    hours[indexOf(timeMs)].values[i < 0 ? names.length : i] += count;
  }
  if (hasDirections)
    for (const [i, hour] of hours.entries()) {
      const to = (/** @type {string} */ way) =>
        sum(counts.flatMap((row) => (indexOf(row.timeMs) === i && row.direction === way ? [row.count] : [])));
      const [right, left] = [to('left-to-right'), to('right-to-left')];
      hour.more = right + left === 0 ? '' : `${formatCount(right)} left to right, ${formatCount(left)} right to left`;
    }
  return [...names, ...(hasOthers ? ['others'] : [])].map((name, i) => ({
    name,
    total: formatCount(sum(hours.map(({ values }) => values[i]))),
  }));
}

/**
 * All rows of a span.
 *
 * @template Row
 * @param {(fromMs: number) => Promise<{ rows: readonly Row[], next: string | null }>} fetchPage
 * @param {number} fromMs
 */
async function pages(fetchPage, fromMs) {
  /** @type {Row[]} */
  const all = [];
  for (let next = /** @type {string | null} */ (String(fromMs)); next !== null; ) {
    const page = await fetchPage(Number(next));
    all.push(...page.rows);
    next = page.next;
  }
  return all;
}

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
