import {
  amount,
  capacityText,
  counted,
  duration,
  megabytes,
  ms,
  percent,
  targetValue,
} from '../optimize/report/figures.ts';
import { blocks, code, list, type Markdown, md, NOTHING, strong, table } from '../optimize/report/markdown.ts';
import { type Report, renderHtml } from '../optimize/report/render-html.ts';
import { writeFiles } from '../optimize/report/write-files.ts';
import type { Degradation, FigureSlope, LoadResult, LoadStep } from './load-result.ts';

/** Writes `loadtest.json`, `loadtest.md` and `loadtest.html` into a folder. @returns the paths. @throws as `writeFiles` */
export function writeLoadReport(folder: string, result: LoadResult): Promise<readonly string[]> {
  const report = loadReport(result);
  return writeFiles(folder, {
    'loadtest.json': result,
    'loadtest.md': report.body.source,
    'loadtest.html': renderHtml(report),
  });
}

/** Makes the report of a load test; every figure follows from the result. */
export function loadReport(result: LoadResult): Report {
  const { subject, profile, createdAt, seconds, seed, verdict } = result;
  return {
    title: `Load test: ${verdict}`,
    tone: verdict === 'met' ? 'good' : verdict === 'missed' ? 'bad' : 'neutral',
    body: blocks(
      md`# Load test: ${verdict}`,
      md`${code(subject)}, profile ${profile}, ${createdAt.slice(0, 10)}, ${duration(seconds)}, seed ${String(seed)}`,
      verdictSection(result),
      breakSection(result),
      slopeSection(result.slopes),
      stepsSection(result.steps),
      camerasSection(result),
    ),
  };
}

function verdictSection({ verdict, reason, targets, notes }: LoadResult): Markdown {
  return blocks(
    md`## Verdict`,
    md`**Verdict: ${verdict}.** ${sentence(reason)}`,
    table(targets, {
      Target: ({ target }) => code(target),
      '>Measured': ({ target, measured }) => (measured === null ? null : targetValue(target, measured)),
      Verdict: ({ state }) => strong(state),
      Reason: ({ reason: why }) => sentence(why),
    }),
    'Each target holds for every camera. A percentile is met only if the frames of each camera make it 99 % sure, by the binomial bound.',
    list(notes.map(sentence)),
  );
}

function breakSection({ breakPoint, degradation, recoverySeconds }: LoadResult): Markdown {
  if (breakPoint === null) return NOTHING;
  const { cameras, brokenAt, target, explanation, firstToGive, isProven } = breakPoint;
  const held = capacityText(cameras, isProven);
  const recovery =
    degradation === null
      ? 'Recovery was not measured, since nothing broke.'
      : recoverySeconds === null
        ? 'The pipeline did not recover while it was watched.'
        : `After the load fell, all results were within the targets again after ${duration(recoverySeconds)}.`;
  return blocks(
    md`## Break point`,
    md`${strong(held)}${
      brokenAt === null ? '; more were not tried.' : `; ${brokenAt} do not: ${target ?? 'a target'} is missed.`
    }`,
    explanation === null ? NOTHING : md`First to give way: ${strong(firstToGive ?? 'unknown')}. ${explanation}`,
    degradation === null ? NOTHING : degradationTable(degradation),
    recovery,
  );
}

function degradationTable(degradation: Degradation): Markdown {
  const { cameras, areAgesBounded, oldestMs, maxAgeMs, isFair, fairness, leastShare, areDropsNamed, dropped } =
    degradation;
  const answer = (isGood: boolean): Markdown => strong(isGood ? 'yes' : 'no');
  const limit = Number.isFinite(maxAgeMs) ? `; maxAgeMs is ${ms(maxAgeMs)}` : '';
  return blocks(
    md`### How it degrades: ${counted(cameras, 'camera')}`,
    table(
      [
        ['Are ages bounded?', answer(areAgesBounded), `the oldest result was ${ms(oldestMs)} old${limit}`],
        [
          'Are shares fair?',
          answer(isFair),
          `Jain's index ${amount(fairness)}; the smallest share is ${percent(leastShare)} of the mean`,
        ],
        ['Does every missing frame have a reason?', answer(areDropsNamed), reasonsText(dropped)],
      ] as const,
      { Question: ([question]) => question, Answer: ([, found]) => found, Figures: ([, , figures]) => figures },
    ),
  );
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

function slopeSection(slopes: readonly FigureSlope[]): Markdown {
  if (slopes.length === 0) return NOTHING;
  const text = (value: (slope: FigureSlope) => number) => (slope: FigureSlope) =>
    figureText(slope.figure, value(slope));
  const span = ({ figure, interval: [low, high] }: FigureSlope): string =>
    `${figureText(figure, low)} to ${figureText(figure, high)}`;
  return blocks(
    md`## Change over time`,
    table(slopes, {
      Figure: ({ figure }) => FIGURE_NAMES[figure].name,
      '>Mean': text(({ mean }) => mean),
      '>Per hour': text(({ perHour }) => perHour),
      '>95 % interval': span,
      '>Allowed': text(({ allowedPerHour }) => allowedPerHour),
      Verdict: ({ verdict }) => strong(verdict),
    }),
    'grows: the whole interval is above what is allowed. unclear: a part of it is, and a longer run would decide.',
  );
}

function stepsSection(steps: readonly LoadStep[]): Markdown {
  const last = steps.find(({ verdict }) => verdict === 'missed') ?? steps.at(-1);
  const limits = (last?.constraints ?? []).slice(0, 3).map(({ explanation, remedy }) => `${explanation} ${remedy}`);
  return blocks(
    md`## Measured steps`,
    table(steps, {
      Step: ({ name }) => name,
      '>Cameras': ({ cameras }) => amount(cameras),
      '>Offered/s': ({ offeredFps }) => amount(offeredFps),
      '>Got/s': ({ fps }) => amount(fps),
      '>p50': ({ latencyMs }) => ms(latencyMs.p50),
      '>p99': ({ latencyMs }) => ms(latencyMs.p99),
      '>Oldest': ({ oldestMs }) => ms(oldestMs),
      '>Dropped': ({ dropRatio }) => percent(dropRatio),
      Verdict: ({ verdict }) => strong(verdict),
    }),
    limits.length === 0 ? NOTHING : blocks(md`### What limits: ${last!.name}`, list(limits)),
  );
}

function camerasSection({ cameras }: LoadResult): Markdown {
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
  return blocks(
    md`## The cameras`,
    table(rows, { Figure: ([figure]) => figure, '>Value': ([, value]) => value }),
    'Cameras are an open loop: they send by their own clock, and count what a reader does not take.',
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
