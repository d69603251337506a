import {
  amount,
  capacityText,
  counted,
  duration,
  megabytes,
  ms,
  percent,
  targetValue,
} from '../measure/report/figures.ts';
import { code, type Html, html, list, NOTHING, table, verdict as word } from '../measure/report/html.ts';
import { reportPage } from '../measure/report/report-page.ts';
import { writeFiles } from '../measure/report/write-files.ts';
import type { Degradation, FigureSlope, LoadResult, LoadStep } from './load-result.ts';

/** Writes `loadtest.json` and `loadtest.html` into a folder. @returns the paths. @throws as `writeFiles` */
export function writeLoadReport(folder: string, result: LoadResult): Promise<readonly string[]> {
  return writeFiles(folder, { 'loadtest.json': result, 'loadtest.html': loadReport(result) });
}

/** Makes the page of a load test; every figure follows from the result. */
export function loadReport(result: LoadResult): string {
  const { subject, profile, createdAt, seconds, seed, verdict } = result;
  return reportPage({
    title: `Load test: ${verdict}`,
    tone: verdict === 'met' ? 'good' : verdict === 'missed' ? 'bad' : 'neutral',
    body: html`<header><h1>Load test: ${verdict}</h1><p>${code(subject)}, profile ${profile}, ${createdAt.slice(0, 10)}, ${duration(seconds)}, seed ${seed}</p></header>
${verdictSection(result)}
${breakSection(result)}
${slopeSection(result.slopes)}
${stepsSection(result.steps)}
${camerasSection(result)}`,
  });
}

function section(title: string, content: Html): Html {
  return html`<section class="wide"><h2>${title}</h2>${content}</section>`;
}

function verdictSection({ reason, targets, notes }: LoadResult): Html {
  return section(
    'Targets',
    html`<p>${sentence(reason)}</p>${table(targets, {
      Target: ({ target }) => code(target),
      '>Measured': ({ target, measured }) => (measured === null ? null : targetValue(target, measured)),
      Verdict: ({ state }) => word(state),
      Reason: ({ reason: why }) => sentence(why),
    })}<p>Each target holds for every camera. A percentile is met only if the frames of each camera make it 99 % sure, by the binomial bound.</p>${list(notes.map(sentence))}`,
  );
}

function breakSection({ breakPoint, degradation, recoverySeconds }: LoadResult): Html {
  if (breakPoint === null) return NOTHING;
  const { cameras, brokenAt, target, explanation, firstToGive, isProven } = breakPoint;
  const recovery =
    degradation === null
      ? 'Recovery was not measured, since nothing broke.'
      : recoverySeconds === null
        ? 'The pipeline did not recover while it was watched.'
        : `After the load fell, all results were within the targets again after ${duration(recoverySeconds)}.`;
  return section(
    'Break point',
    html`<p><strong>${capacityText(cameras, isProven)}</strong>${
      brokenAt === null ? '; more were not tried.' : `; ${brokenAt} do not: ${target ?? 'a target'} is missed.`
    }</p>${explanation === null ? NOTHING : html`<p>First to give way: <strong>${firstToGive ?? 'unknown'}</strong>. ${explanation}</p>`}${
      degradation === null ? NOTHING : degradationTable(degradation)
    }<p>${recovery}</p>`,
  );
}

function degradationTable(degradation: Degradation): Html {
  const { cameras, areAgesBounded, oldestMs, maxAgeMs, isFair, fairness, leastShare, areDropsNamed, dropped } =
    degradation;
  const answer = (isGood: boolean): Html => word(isGood ? 'yes' : 'no');
  const limit = Number.isFinite(maxAgeMs) ? `; maxAgeMs is ${ms(maxAgeMs)}` : '';
  const rows = [
    ['Are ages bounded?', answer(areAgesBounded), `the oldest result was ${ms(oldestMs)} old${limit}`],
    [
      'Are shares fair?',
      answer(isFair),
      `Jain's index ${amount(fairness)}; the smallest share is ${percent(leastShare)} of the mean`,
    ],
    ['Does every missing frame have a reason?', answer(areDropsNamed), reasonsText(dropped)],
  ] as const;
  return html`<h3>How it degrades: ${counted(cameras, 'camera')}</h3>${table(rows, {
    Question: ([question]) => question,
    Answer: ([, found]) => found,
    Figures: ([, , figures]) => figures,
  })}`;
}

const FIGURE_NAMES: Readonly<Record<FigureSlope['figure'], { readonly name: string; text(value: number): string }>> = {
  rssBytes: { name: 'memory of the process', text: megabytes },
  childRssBytes: { name: 'memory of its children', text: megabytes },
  heapUsedBytes: { name: 'JavaScript heap', text: megabytes },
  descriptors: { name: 'file descriptors', text: amount },
  threads: { name: 'threads', text: amount },
  handles: { name: 'handles', text: amount },
  p99Ms: { name: 'latency p99', text: ms },
};

/** In the unit of the figure. */
export function figureText(figure: FigureSlope['figure'], value: number): string {
  return FIGURE_NAMES[figure].text(value);
}

function slopeSection(slopes: readonly FigureSlope[]): Html {
  if (slopes.length === 0) return NOTHING;
  const text = (value: (slope: FigureSlope) => number) => (slope: FigureSlope) =>
    figureText(slope.figure, value(slope));
  const span = ({ figure, interval: [low, high] }: FigureSlope): string =>
    `${figureText(figure, low)} to ${figureText(figure, high)}`;
  return section(
    'Change over time',
    html`${table(slopes, {
      Figure: ({ figure }) => FIGURE_NAMES[figure].name,
      '>Mean': text(({ mean }) => mean),
      '>Per hour': text(({ perHour }) => perHour),
      '>95 % interval': span,
      '>Allowed': text(({ allowedPerHour }) => allowedPerHour),
      Verdict: ({ verdict }) => word(verdict),
    })}<p>grows: the whole interval is above what is allowed. unclear: a part of it is, and a longer run would decide.</p>`,
  );
}

function stepsSection(steps: readonly LoadStep[]): Html {
  const last = steps.find(({ verdict }) => verdict === 'missed') ?? steps.at(-1);
  const limits = (last?.constraints ?? []).slice(0, 3).map(({ explanation, remedy }) => `${explanation} ${remedy}`);
  return section(
    'Measured steps',
    html`${table(steps, {
      Step: ({ name }) => name,
      '>Cameras': ({ cameras }) => amount(cameras),
      '>Offered/s': ({ offeredFps }) => amount(offeredFps),
      '>Got/s': ({ fps }) => amount(fps),
      '>p50': ({ latencyMs }) => ms(latencyMs.p50),
      '>p99': ({ latencyMs }) => ms(latencyMs.p99),
      '>Oldest': ({ oldestMs }) => ms(oldestMs),
      '>Dropped': ({ dropRatio }) => percent(dropRatio),
      Verdict: ({ verdict }) => word(verdict),
    })}${limits.length === 0 ? NOTHING : html`<h3>What limits: ${last!.name}</h3>${list(limits)}`}`,
  );
}

function camerasSection({ cameras }: LoadResult): Html {
  const { count, protocol, cpuCores, rssBytes, framesOffered, framesLost, framesUnread, lateMs } = cameras;
  const rows: [string, string][] = [
    ['Most at a time', amount(count)],
    ['Protocol', protocol],
    ...(cpuCores === null ? [] : [['CPU of their process', `${amount(cpuCores)} cores`] as [string, string]]),
    ...(rssBytes === null ? [] : [['Memory of their process', megabytes(rssBytes)] as [string, string]]),
    ['Frames offered to readers', amount(framesOffered)],
    ['Frames that readers did not take', amount(framesLost)],
    ['Frames made without a reader', amount(framesUnread)],
    ...(lateMs === null ? [] : [['Longest delay of a camera', ms(lateMs)] as [string, string]]),
  ];
  return section(
    'The cameras',
    html`${table(rows, { Figure: ([figure]) => figure, '>Value': ([, value]) => value })}<p>Cameras are an open loop: they send by their own clock, and count what a reader does not take.</p>`,
  );
}

export function reasonsText(dropped: Readonly<Record<string, number>>): string {
  const parts = Object.entries(dropped).map(([reason, count]) => `${reason} ${amount(count)}`);
  return parts.length === 0 ? 'none was dropped' : parts.join(', ');
}

/** A target at the start stays as it is written. */
function sentence(text: string): string {
  const first = /^[a-z0-9]+[<>]=/.test(text) ? text : `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}`;
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
