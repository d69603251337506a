import { amount, DASH } from '../../measure/report/figures.ts';
import {
  type Content,
  code,
  Html,
  html,
  listing,
  measured,
  NOTHING,
  table,
  verdict,
} from '../../measure/report/html.ts';
import type { Card, FirstScreen } from './first-screen.ts';

/** The first screen for everybody: the verdict, the choice, what to do next, and where the speed comes from. */
export function firstScreen(screen: FirstScreen): Html {
  const { headline, about, sentences, notes, cards, counts, rises, next } = screen;
  return html`<header><h1>${headline}</h1><p>${about}</p></header>
<p class="lead">${sentences.join(' ')}</p>
${notes.length === 0 ? NOTHING : html`<ul class="notes">${notes.map((note) => html`<li>${note}</li>`)}</ul>`}
<div class="cards-row">${cards.map(card)}</div>
<section class="next"><h2>What to do</h2><ul>${next.map(
    ({ text, command, measurements }) =>
      html`<li>${text}${measured(...measurements)}${command === null ? NOTHING : listing([command])}</li>`,
  )}</ul></section>
${counts === null ? NOTHING : countsTable(counts)}
${risesChart(rises)}`;
}

const MARKS = { good: '✓', bad: '✕', neutral: '!' } as const;

function card({ title, configuration, fps, times, isChosen, figures, points, file, review, measurements }: Card): Html {
  return html`<section class="card${isChosen ? ' chosen' : ''}"><h2>${title}</h2>
<p class="detector">${configuration}</p>
<p class="rate"><b>${amount(fps)}</b> frames/s${measured(...measurements)}</p>
${times === '' ? NOTHING : html`<p class="times">${times} of today</p>`}
<dl>${figures.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<ul class="points">${points.map(({ tone, text }) => html`<li class="${tone}"><i aria-hidden="true">${MARKS[tone]}</i>${text}</li>`)}</ul>
${review === null || !/^[\w.-]+$/.test(review) ? NOTHING : html`<p><a class="button" href="${review}">Look at the objects, and answer</a></p>`}
${file === null ? NOTHING : html`<p class="file">${code(file)}</p>`}</section>`;
}

function countsTable({ text, rows }: NonNullable<FirstScreen['counts']>): Html {
  return html`<section class="wide"><h2>What changes in your counts</h2><p>${text}</p>${table(rows, {
    Count: ({ name }) => name,
    '>Before': ({ before }) => before,
    '>After': ({ after }) => after,
    '>Tolerated': ({ tolerated }) => tolerated || DASH,
    '': ({ state }): Content => (state === 'differs' ? verdict('differs') : state),
  })}</section>`;
}

/** Bars of frames per second; the changes follow each other. */
function risesChart(rises: FirstScreen['rises']): Html {
  if (rises.length === 0) return NOTHING;
  const most = Math.max(...rises.map(({ fps }) => fps));
  return html`<section class="wide"><h2>Where the speed comes from</h2><div class="bars" role="img" aria-label="Frames per second after each change">${rises.map(
    ({ name, fps }) =>
      html`<div><span>${name}</span><i style="width:${new Html(((fps / most) * 100).toFixed(1))}%"></i><b>${amount(fps)}</b></div>`,
  )}</div><p class="small">Frames per second. Each change was measured in turn with what it started from; the last bar compares all of them with today.</p></section>`;
}
