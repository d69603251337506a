import { LEVER_IDS, LEVERS } from '../levers/levers.ts';
import {
  amount,
  counted,
  duration,
  factor,
  fps,
  interval,
  money,
  ms,
  percent,
  score,
  signedScore,
  targetValue,
  whole,
} from './figures.ts';
import { type Findings, LEAST_RATIO, type LiveFindings, type Outcome } from './findings.ts';
import { hostLoad, pricePerCamera } from './host-plan.ts';
import {
  blocks,
  type Content,
  code,
  joined,
  list,
  type Markdown,
  md,
  measured,
  NOTHING,
  numbered,
  strong,
  table,
} from './markdown.ts';
import { qualityWarnings } from './quality-section.ts';
import { type CountChange, joulesPerFrame, type ReportSide } from './report-input.ts';
import { type RoadmapRow, roadmapOf } from './roadmap-section.ts';

/** Cameras for which the price of one is shown. */
const PRICED_CAMERAS = 100;
/** First things to do. */
const MOST_NEXT = 3;

/** The page for everybody: verdict, validity, the figures, what changes in the user's counts, what to run and what to do next. */
export function frontPage(findings: Findings): Markdown {
  const { input, outcome } = findings;
  const { subject, createdAt, machine, seconds, seed } = input;
  return blocks(
    md`# ${headline(findings)}`,
    md`${code(subject)}, ${createdAt.slice(0, 10)}, on ${machine.cpuModel} with ${counted(machine.cores, 'core')}; ${duration(seconds)} of measuring, seed ${String(seed)}`,
    validity(findings),
    ...(outcome === 'invalid'
      ? [
          md`### What to do`,
          list(['Stop other programs on the machine, then run the same command again, without --resume.']),
        ]
      : [
          md`### ${outcome === 'unchanged' || outcome === 'untried' ? 'Today' : 'Before and after'}`,
          keyFigures(findings),
          changes(findings),
          counts(findings),
          md`### What to do`,
          next(findings),
        ]),
  );
}

/** The verdict in one line, without markup. */
export function headline({ outcome, input: { speedup }, quality, mayDetectOthers, verdict }: Findings): string {
  const faster = speedup === null ? '' : `${amount(speedup.ratio)} times the frames per second`;
  switch (outcome) {
    case 'invalid':
      return 'Measurement invalid';
    case 'untried':
      return 'Nothing was tried';
    case 'unchanged':
      return 'Leave the pipeline as it is';
    case 'unproven':
      return speedup !== null && speedup.interval[0] > 1 ? 'No gain worth a change' : 'No gain is proven';
    case 'quality open':
      return `${faster}, but the quality is ${verdict?.verdict === 'refused' ? 'refused' : 'not proven'}`;
    case 'counts differ':
      return `${faster}, but your counts change`;
    case 'faster':
      if (mayDetectOthers && quality === null) return `${faster}, with the counts that you accepted`;
      return mayDetectOthers && quality !== null && quality.loss > 0
        ? `${faster}, for a loss within the allowed ${score(quality.allowed)}`
        : `${faster}, at no loss`;
  }
}

function validity({ outcome, input, verdict }: Findings): Markdown {
  const { speedup, quality } = input;
  const reasons = input.validity.reasons;
  if (outcome === 'invalid')
    return blocks(
      md`**These figures say nothing about what is faster.** Other programs used the machine while they were measured:`,
      list(reasons),
    );
  const notes = reasons.length === 0 ? NOTHING : list(reasons);
  if (outcome === 'untried')
    return blocks(
      input.ended === 'budget'
        ? 'The time was too short to measure a single change. Give a larger --budget; --plan says how long it takes.'
        : 'None of the chosen levers has another value on this machine that could be faster.',
      notes,
    );
  if (outcome === 'unchanged')
    return blocks(
      `The measurement is valid. Nothing that was tried is faster and keeps the quality.${input.ended === 'budget' ? ' The time ended before everything was tried.' : ''}`,
      notes,
    );
  const ratio =
    speedup === null
      ? md`The best configuration was not compared with the baseline in turn, so its gain is not known.`
      : md`The ratio is ${strong(factor(speedup.ratio))}, 95\u00a0% interval ${interval(speedup.interval)}, from ${counted(speedup.pairs, 'pair')} of runs that took turns${measured(...speedup.measurements)}${doubtOf(outcome, speedup.interval)}`;
  const open =
    outcome === 'quality open'
      ? md`${quality.heldOut === null ? 'Its quality was judged, if at all, only by the part that chose it, which flatters it' : 'The held-out part does not pass it'}${verdict === null ? '' : `: ${verdict.reason}`}. Do not use it before that is settled.`
      : NOTHING;
  return blocks(md`The measurement is valid. ${ratio}`, open, notes);
}

function doubtOf(outcome: Outcome, [low]: readonly [number, number]): string {
  if (outcome !== 'unproven') return '.';
  return low > 1 ? `: less than ${percent(LEAST_RATIO - 1)} is not worth a change.` : ': it may be no gain at all.';
}

function keyFigures(findings: Findings): Markdown {
  const { input, before, after, hasChanged, live, quality } = findings;
  const { baseline, best, speedup, skipped } = input;
  const both = [baseline.measurement, best.measurement];
  const row = (
    name: Content,
    sides: readonly (Content | null)[],
    change: Content,
    ids: readonly string[],
  ): Content[] => [md`${name}${measured(...ids)}`, ...sides.map((side) => side ?? '–'), change];
  /** A row of a figure that may be unknown; none where no side has it. */
  const figure = (
    name: Content,
    sides: readonly [number | null, number | null],
    text: (value: number) => string,
    ids: readonly string[],
  ): Content[][] => {
    const [old, now] = sides;
    if (old === null && now === null) return [];
    const change = hasChanged && old !== null && now !== null && old > 0 ? factor(now / old) : '';
    return [row(name, [old === null ? null : text(old), now === null ? null : text(now)], change, ids)];
  };
  const capacity = baseline.capacity ?? best.capacity;
  const isProven = [baseline, best].every((side) => side.capacity?.isProven ?? true);
  const [old, now] = (['before', 'after'] as const).map((side) => live.find(({ name }) => name === side));
  const late = (side: LiveFindings | undefined): string | null =>
    side === undefined ? null : `${ms(side.trial.latencyMs.p99)} (${whole(side.cameras)})`;
  const joules = (value: number): string => `${amount(value)}\u00a0J`;
  const rows: Content[][] = [
    row(
      'frames per second',
      [amount(speedup?.beforeFps ?? before.fps), amount(speedup?.afterFps ?? after.fps)],
      speedup === null ? 'not compared' : md`${strong(factor(speedup.ratio))} (${interval(speedup.interval)})`,
      speedup?.measurements ?? both,
    ),
    ...(capacity === null
      ? []
      : figure(
          md`cameras of ${fps(capacity.cameraFps)}, ${code(capacity.target)}${isProven ? '' : ', not proven: the time was short'}`,
          [baseline.capacity?.cameras ?? null, best.capacity?.cameras ?? null],
          whole,
          [baseline, best].flatMap((side) => side.capacity?.measurements.at(-1) ?? []),
        )),
    ...(live.length === 0
      ? []
      : [
          row(
            'p99 live (at so many cameras)',
            [late(old), late(now)],
            '',
            live.map((side) => side.measurement),
          ),
        ]),
    ...baseline.targets.map(({ target }) =>
      row(md`target ${code(target)}`, [targetCell(baseline, target), targetCell(best, target)], '', []),
    ),
    ...(quality === null
      ? []
      : [
          row(
            `${quality.kind === 'ap' ? 'AP' : 'agreement (F1)'}, ${input.quality.heldOut === null ? 'part that chose' : 'held-out part'}`,
            [score(quality.baseline), score(quality.best)],
            `${signedScore(-quality.loss)} (${signedScore(-quality.interval[1])}\u00a0to\u00a0${signedScore(-quality.interval[0])})`,
            quality.measurements,
          ),
        ]),
    ...(skipped === null
      ? []
      : [
          row(
            'F1 against inference of every frame',
            [score(1), score(skipped.f1)],
            signedScore(skipped.f1 - 1),
            skipped.measurements,
          ),
        ]),
    ...figure('CPU a frame', [before.cpuMsPerFrame?.total ?? null, after.cpuMsPerFrame?.total ?? null], ms, both),
    ...figure('energy a frame', [joulesPerFrame(before), joulesPerFrame(after)], joules, both),
    ...(input.options.hostPrice === null
      ? []
      : [
          row(
            `a camera a month, of ${whole(PRICED_CAMERAS)}`,
            [priceOf(findings, baseline, before.fps), priceOf(findings, best, after.fps)],
            '',
            [],
          ),
        ]),
  ];
  return hasChanged
    ? table(['', '>Before', '>After', '>Change'], rows)
    : table(
        ['', '>Today'],
        rows.map(([name, value]) => [name!, value!]),
      );
}

function targetCell({ targets }: ReportSide, target: string): Content {
  const verdict = targets.find((one) => one.target === target);
  if (verdict === undefined) return '–';
  return md`${verdict.measured === null ? '' : `${targetValue(target, verdict.measured)} `}${strong(verdict.state)}`;
}

function priceOf({ input: { options } }: Findings, side: ReportSide, rate: number): string | null {
  if (options.hostPrice === null) return null;
  const load = hostLoad(side.capacity, rate, options.cameraFps, options.headroomRatio);
  const price = pricePerCamera(PRICED_CAMERAS, load, options.hostPrice, true);
  return price === null ? 'not possible' : money(price, options.hostPrice.currency);
}

/** What best.yaml changes, in one line. */
function changes({ input: { baseline, best, options }, hasChanged }: Findings): Markdown {
  if (!hasChanged) return NOTHING;
  const changed = LEVER_IDS.filter((lever) => baseline.configuration[lever] !== best.configuration[lever]).map(
    (lever) =>
      md`${LEVERS[lever].name} ${code(String(baseline.configuration[lever]))} → ${code(String(best.configuration[lever]))}`,
  );
  return md`${code(options.bestPath)} changes: ${joined(changed, '; ')}.`;
}

/** The user's own lines, zones and tracks before and after. */
function counts({ input, hasChanged, mayDetectOthers }: Findings): Markdown {
  if (!hasChanged || !mayDetectOthers) return NOTHING;
  const title = md`### What changes in your counts`;
  if (input.counts === null)
    return blocks(title, 'Not known: the pipeline has no lines or zones, or no video was judged.');
  const { rows, isOtherDetector, isAccepted } = input.counts;
  const text = (values: readonly number[]): string => values.map(amount).join(' + ') || 'not counted';
  const cellsOf = ({ kind, id, before, after, allowed, differs }: CountChange): Content[] => [
    kind === 'tracks' ? `tracks ${id}`.trim() : `${kind} ${id}`,
    text(before),
    text(after),
    allowed === null ? '–' : `± ${amount(allowed)}`,
    differs ? strong('differs') : 'same',
  ];
  const differ = rows.filter(({ differs }) => differs).length;
  const told =
    differ === 0
      ? md`Each is within what is tolerated.`
      : md`${counted(differ, 'count')} of ${whole(rows.length)} ${differ === 1 ? 'differs' : 'differ'}; ${
          isAccepted
            ? md`${code('--accept-counts')} accepts that.`
            : md`look at the pictures first, then accept them with ${code('--accept-counts')}.`
        }`;
  return blocks(
    title,
    table(['Count', '>Before', '>After', '>Tolerated', ''], rows.map(cellsOf)),
    md`${isOtherDetector ? 'Another detector finds other objects. ' : ''}${told}`,
  );
}

function next(findings: Findings): Markdown {
  const warnings = qualityWarnings(findings).slice(0, MOST_NEXT);
  const rows = roadmapOf(findings).slice(0, MOST_NEXT);
  const text = ({ what, gain, fpsAfter, camerasAfter }: RoadmapRow): Markdown => {
    const cameras = camerasAfter === null || camerasAfter === 0 ? '' : `, ${counted(camerasAfter, 'camera')}`;
    return md`${what}${gain === null ? '' : ` (${factor(gain)}: ${fps(fpsAfter)}${cameras})`}.`;
  };
  const items = [...warnings.map((warning) => md`Look first: ${warning}`), ...rows.map(text)];
  return items.length === 0 ? md`Nothing holds it back that a setting could change.` : numbered(items);
}
