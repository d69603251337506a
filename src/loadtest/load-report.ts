import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWholeFile } from '../disk/replace-file.ts';
import type { TargetVerdict } from '../measure/trial-result.ts';
import {
  type Block,
  type Cell,
  code,
  heading,
  paragraph,
  type ReportDocument,
  type Section,
  strong,
  tableOf,
} from '../optimize/report/document.ts';
import { amount, counted, duration, fps, megabytes, ms, percent } from '../optimize/report/figures.ts';
import { renderHtml } from '../optimize/report/render-html.ts';
import { renderMarkdown } from '../optimize/report/render-markdown.ts';
import type { FigureSlope, LoadResult, LoadStep, LoadVerdict } from './load-result.ts';

/**
 * Writes `loadtest.json`, `loadtest.md` and `loadtest.html` into a folder, which is made if it does not exist. Each file
 * appears whole or not at all.
 *
 * @returns the paths. @throws the system's error.
 */
export async function writeLoadReport(folder: string, result: LoadResult): Promise<readonly string[]> {
  const document = loadReport(result);
  const files: readonly (readonly [name: string, content: string])[] = [
    ['loadtest.json', `${JSON.stringify(result, null, 2)}\n`],
    ['loadtest.md', renderMarkdown(document)],
    ['loadtest.html', renderHtml(document)],
  ];
  await mkdir(folder, { recursive: true });
  for (const [name, content] of files) await writeWholeFile(join(folder, name), content);
  return files.map(([name]) => join(folder, name));
}

/** Makes the report of a load test; every figure follows from the result. */
export function loadReport(result: LoadResult): ReportDocument {
  return {
    title: 'Load test',
    subtitle: [
      code(result.subject),
      `, profile ${result.profile}, ${result.createdAt.slice(0, 10)}, ${duration(result.seconds)}, seed ${result.seed}`,
    ],
    sections: loadSections(result),
    measurementTitles: new Map(),
  };
}

/** The sections alone, for a report that embeds them. */
export function loadSections(result: LoadResult): readonly Section[] {
  return [
    verdictSection(result),
    ...breakSections(result),
    ...slopeSections(result.slopes),
    stepsSection(result.steps),
    camerasSection(result),
  ];
}

const VERDICT_TONES = { met: 'good', missed: 'bad', 'not enough frames': 'neutral' } as const;

function verdictCell(verdict: LoadVerdict): Cell {
  return { text: [verdict], tone: VERDICT_TONES[verdict] };
}

function verdictSection({ verdict, reason, targets, notes }: LoadResult): Section {
  const blocks: Block[] = [
    paragraph(strong(`Verdict: ${verdict}.`), ` ${sentence(reason)}`),
    { kind: 'table', table: tableOf(['Target', '>Measured', 'Verdict', 'Reason'], targets.map(targetRow)) },
    paragraph(
      'Each target holds for every camera. A percentile is met only if the frames of each camera make it 99 % sure, by the binomial bound.',
    ),
  ];
  if (notes.length > 0) blocks.push({ kind: 'list', items: notes.map((note) => [sentence(note)]) });
  return { id: 'verdict', title: 'Verdict', blocks };
}

function targetRow({ target, measured, state, reason }: TargetVerdict) {
  return [
    [code(target)],
    measured === null ? '–' : measuredText(target, measured),
    verdictCell(state),
    sentence(reason),
  ];
}

/** In the unit of the target. */
export function measuredText(target: string, value: number): string {
  if (target.endsWith('%')) return percent(value);
  if (target.endsWith('ms')) return ms(value);
  return target.startsWith('fps') ? fps(value) : amount(value);
}

function breakSections({ breakPoint, degradation, recoverySeconds }: LoadResult): readonly Section[] {
  if (breakPoint === null) return [];
  const blocks: Block[] = [
    paragraph(
      strong(
        breakPoint.isProven
          ? `${counted(breakPoint.cameras, 'camera')} hold the targets`
          : `${counted(breakPoint.cameras, 'camera')} missed no target, but it is not proven that they hold`,
      ),
      breakPoint.brokenAt === null
        ? '; more were not tried.'
        : `; ${breakPoint.brokenAt} do not: ${breakPoint.target ?? 'a target'} is missed.`,
    ),
  ];
  if (breakPoint.explanation !== null)
    blocks.push(paragraph('First to give way: ', strong(breakPoint.firstToGive ?? ''), `. ${breakPoint.explanation}`));
  if (degradation !== null) {
    const { cameras, areAgesBounded, oldestMs, maxAgeMs, isFair, fairness, leastShare, areDropsNamed, dropped } =
      degradation;
    const answer = (isGood: boolean): Cell => ({ text: [isGood ? 'yes' : 'no'], tone: isGood ? 'good' : 'bad' });
    const limit = Number.isFinite(maxAgeMs) ? `; maxAgeMs is ${ms(maxAgeMs)}` : '';
    blocks.push(heading(`How it degrades: ${counted(cameras, 'camera')}`), {
      kind: 'table',
      table: tableOf(
        ['Question', 'Answer', 'Figures'],
        [
          ['Are ages bounded?', answer(areAgesBounded), `the oldest result was ${ms(oldestMs)} old${limit}`],
          [
            'Are shares fair?',
            answer(isFair),
            `Jain's index ${amount(fairness)}; the smallest share is ${percent(leastShare)} of the mean`,
          ],
          ['Does every missing frame have a reason?', answer(areDropsNamed), reasonsText(dropped)],
        ],
      ),
    });
  }
  blocks.push(
    paragraph(
      degradation === null
        ? 'Recovery was not measured, since nothing broke.'
        : recoverySeconds === null
          ? 'The pipeline did not recover while it was watched.'
          : `After the load fell, results were within the targets for good after ${duration(recoverySeconds)}.`,
    ),
  );
  return [{ id: 'break-point', title: 'Break point', blocks }];
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

function slopeSections(slopes: readonly FigureSlope[]): readonly Section[] {
  if (slopes.length === 0) return [];
  const tones = { steady: 'good', grows: 'bad', unclear: 'neutral' } as const;
  const rows = slopes.map(({ figure, mean, perHour, interval, allowedPerHour, verdict }) => {
    const { name, text } = FIGURE_NAMES[figure];
    const span = `${text(interval[0])} to ${text(interval[1])}`;
    return [name, text(mean), text(perHour), span, text(allowedPerHour), { text: [verdict], tone: tones[verdict] }];
  });
  const columns = ['Figure', '>Mean', '>Per hour', '>95 % interval', '>Allowed', 'Verdict'];
  return [
    {
      id: 'slopes',
      title: 'Change over time',
      blocks: [
        { kind: 'table', table: tableOf(columns, rows) },
        paragraph(
          'grows: the whole interval is above what is allowed. unclear: a part of it is, and a longer run would tell.',
        ),
      ],
    },
  ];
}

function stepsSection(steps: readonly LoadStep[]): Section {
  const columns = ['Step', '>Cameras', '>Offered/s', '>Got/s', '>p50', '>p99', '>Oldest', '>Dropped', 'Verdict'];
  const rows = steps.map((step) => [
    step.name,
    amount(step.cameras),
    amount(step.offeredFps),
    amount(step.fps),
    ms(step.latencyMs.p50),
    ms(step.latencyMs.p99),
    ms(step.oldestMs),
    percent(step.dropRatio),
    verdictCell(step.verdict),
  ]);
  const last = steps.find(({ verdict }) => verdict === 'missed') ?? steps.at(-1);
  const limits = (last?.constraints ?? []).slice(0, 3).map(({ explanation, remedy }) => [explanation, ' ', remedy]);
  return {
    id: 'steps',
    title: 'Measured steps',
    blocks: [
      { kind: 'table', table: tableOf(columns, rows) },
      ...(limits.length === 0
        ? []
        : [heading(`What limits: ${last!.name}`), { kind: 'list', items: limits } satisfies Block]),
    ],
  };
}

function camerasSection({ cameras }: LoadResult): Section {
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
  return {
    id: 'cameras',
    title: 'The cameras',
    blocks: [
      { kind: 'table', table: tableOf(['Figure', '>Value'], rows) },
      paragraph('Cameras are an open loop: they send by their own clock, and count what a reader does not take.'),
    ],
  };
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
