import type { Bottleneck } from '../../measure/bottlenecks.ts';
import { AGREEMENT } from '../gate/gate-verdict.ts';
import { changedLevers, LEVERS } from '../levers/levers.ts';
import {
  amount,
  change,
  changeInterval,
  counted,
  DASH,
  duration,
  factor,
  fps,
  interval,
  joules,
  money,
  ms,
  percent,
  score,
  targetValue,
  whole,
} from './figures.ts';
import { differs, type Findings, LEAST_RATIO, type LiveFindings, type Outcome } from './findings.ts';
import { hostLoad, pricePerCamera } from './host-plan.ts';
import {
  blocks,
  type Columns,
  type Content,
  code,
  joined,
  link,
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
import { joulesPerFrame, type ReportOptions, type ReportSide, type ReportSpeedup } from './report-input.ts';
import { type RoadmapRow, roadmapOf } from './roadmap-section.ts';

/** What limits a pipeline, in a headline. */
const LIMITS: Readonly<Record<Bottleneck['part'], string>> = {
  decode: 'decoding',
  preprocess: 'preprocessing',
  infer: 'inference',
  main: 'the main thread',
  cpu: 'the CPU',
  memory: 'memory',
  others: 'other programs',
  'event-loop': 'the main thread',
  wait: 'waiting',
};
/** Cameras for which the price of one is shown. */
const PRICED_CAMERAS = 100;
/** A smaller share of lost tracks is not worth a mark. */
const SHOWN_TRACK_LOSS = 0.1;
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
          answers(findings),
          md`### ${outcome === 'unchanged' || outcome === 'untried' ? 'Today' : 'Before and after'}`,
          keyFigures(findings),
          changes(findings),
          countChanges(findings),
          md`### What to do`,
          next(findings),
        ]),
  );
}

/** The verdict in one line, without markup. */
export function headline({ outcome, input, quality, mayDetectOthers, verdict }: Findings): string {
  const { speedup } = input;
  const faster = speedup === null ? '' : `${amount(speedup.ratio)} times as fast`;
  switch (outcome) {
    case 'invalid':
      return 'Measurement invalid';
    case 'untried':
    case 'unchanged':
    case 'unproven':
      if (input.faster !== null) {
        const { speedup: gain, differences } = input.faster;
        return `${amount(gain.ratio)} times as fast; look at ${counted(differences.length, 'difference')} first`;
      }
      if (outcome === 'untried') return 'Nothing was tried';
      if (outcome === 'unproven' && speedup !== null && speedup.interval[0] > 1) return 'No gain worth a change';
      return nothingFaster(input);
    case 'quality open':
      return `${faster}, but the quality is ${verdict?.verdict === 'refused' ? 'refused' : 'not proven'}`;
    case 'counts differ':
      return `${faster}, but your counts change`;
    case 'faster':
      if (mayDetectOthers && quality === null) return `${faster}, with the counts that you accepted`;
      return mayDetectOthers && quality !== null && quality.loss > 0
        ? `${faster}, for a loss within the allowed ${score(quality.allowed)}`
        : `${faster} at no proven loss`;
  }
}

/** Says that nothing is faster, what limits the pipeline, and what it could reach without that limit. */
function nothingFaster({ bottlenecks: [limit] }: Findings['input']): string {
  if (limit === undefined) return 'Nothing here is faster';
  const most = limit.predictedGain > 1 ? `, at most ${amount(limit.predictedGain)} times` : '';
  return `Nothing here is faster: limited by ${LIMITS[limit.part]}${most}`;
}

/** Frames per second after: as measured in turn, or by the ratio, so that both agree. */
function ratedBy({ afterFps, ratio }: ReportSpeedup, before: Findings['before']): number {
  return afterFps ?? before.fps * ratio;
}

/** Both answers side by side: what is proven, and what is faster if people accept what figures cannot settle. */
function answers({ input, hasChanged, before, quality }: Findings): Markdown {
  const { faster, speedup, options } = input;
  if (faster === null) return NOTHING;
  const none = quality === null ? DASH : score(quality.reference);
  const rows = [
    { name: 'today', ratio: DASH, rate: speedup?.beforeFps ?? before.fps, ap: none, file: DASH as Content },
    ...(hasChanged && speedup !== null
      ? [
          {
            name: 'proven',
            ratio: factor(speedup.ratio),
            rate: ratedBy(speedup, before),
            ap: quality === null ? 'as today' : score(quality.candidate),
            file: code(options.bestPath),
          },
        ]
      : []),
    {
      ...{
        name: 'faster, if you accept',
        ratio: factor(faster.speedup.ratio),
        rate: before.fps * faster.speedup.ratio,
      },
      ap: faster.ap === null ? DASH : score(faster.ap),
      file: code(faster.file),
    },
  ];
  return blocks(
    table(rows, {
      '': ({ name }) => name,
      '>Times today': ({ ratio }) => ratio,
      '>Frames per second': ({ rate }) => amount(rate),
      [`>${quality?.measure ?? 'AP'}`]: ({ ap }) => ap,
      Pipeline: ({ file }) => file,
    }),
    md`What figures cannot settle of the faster one${measured(...faster.measurements)}; look at the pictures before you use it:`,
    list(faster.differences.map((difference) => difference.text)),
    ...(faster.review === null
      ? []
      : [
          md`${link('See the objects and say which of them are there', faster.review)}: each answer takes a key, and a few of them settle it.`,
        ]),
  );
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
  const { baseline, best, speedup, skipped, options } = input;
  const rows: (readonly [name: Content, before: Content, after: Content, change: Content])[] = [];
  const add = (name: Content, old: Content, now: Content, change: Content, ids: readonly string[] = []): void => {
    rows.push([md`${name}${measured(...ids)}`, old, now, change]);
  };
  type Figure = number | null | undefined;
  const addKnown = (
    name: Content,
    old: Figure,
    now: Figure,
    text: (value: Figure) => string,
    ids: readonly string[],
  ) => {
    if (old == null && now == null) return;
    const change = hasChanged && old != null && now != null && old > 0 ? factor(now / old) : '';
    add(name, text(old), text(now), change, ids);
  };
  const late = (side: LiveFindings['name']): string => {
    const found = live.find(({ name }) => name === side);
    return found === undefined ? DASH : `${ms(found.trial.latencyMs.p99)} (${whole(found.cameras)})`;
  };
  const both = [baseline.measurement, best.measurement];
  add(
    'frames per second',
    amount(speedup?.beforeFps ?? before.fps),
    amount(speedup === null ? after.fps : ratedBy(speedup, before)),
    speedup === null ? 'not compared' : md`${strong(factor(speedup.ratio))} (${interval(speedup.interval)})`,
    speedup?.measurements ?? both,
  );
  const capacity = baseline.capacity ?? best.capacity;
  if (capacity !== null) {
    const isProven = [baseline, best].every((side) => side.capacity?.isProven ?? true);
    const name = md`cameras of ${fps(capacity.cameraFps)}, ${code(capacity.target)}${isProven ? '' : ', not proven: the time was short'}`;
    const ids = [baseline, best].flatMap((side) => side.capacity?.measurements.at(-1) ?? []);
    addKnown(name, baseline.capacity?.cameras, best.capacity?.cameras, whole, ids);
  }
  const liveIds = live.map(({ measurement }) => measurement);
  if (live.length > 0) add('p99 live (at so many cameras)', late('before'), late('after'), '', liveIds);
  for (const { target } of baseline.targets)
    add(md`target ${code(target)}`, targetCell(baseline, target), targetCell(best, target), '');
  if (quality !== null) {
    const name = `${quality.measure === AGREEMENT ? 'agreement (F1)' : quality.measure}, ${input.quality.heldOut === null ? 'part that chose' : 'held-out part'}`;
    const gain = `${change(quality.loss)} (${changeInterval(quality.interval, '\u00a0')})`;
    add(name, score(quality.reference), score(quality.candidate), gain, quality.measurements);
  }
  if (skipped !== null) {
    const { f1, measurements } = skipped;
    add('F1 against inference of every frame', score(1), score(f1), change(1 - f1), measurements);
  }
  addKnown('CPU a frame', before.cpuMsPerFrame?.total, after.cpuMsPerFrame?.total, ms, both);
  addKnown('energy a frame', joulesPerFrame(before), joulesPerFrame(after), joules, both);
  if (options.hostPrice !== null) {
    const name = `a camera a month, of ${whole(PRICED_CAMERAS)}`;
    add(name, priceOf(options, baseline, before.fps), priceOf(options, best, after.fps), '');
  }
  return table(rows, {
    '': ([name]) => name,
    [hasChanged ? '>Before' : '>Today']: ([, old]) => old,
    ...(hasChanged ? { '>After': ([, , now]) => now, '>Change': ([, , , difference]) => difference } : {}),
  } satisfies Columns<(typeof rows)[number]>);
}

function targetCell({ targets }: ReportSide, target: string): Content {
  const verdict = targets.find((one) => one.target === target);
  if (verdict === undefined) return DASH;
  return md`${verdict.measured === null ? '' : `${targetValue(target, verdict.measured)} `}${strong(verdict.state)}`;
}

function priceOf(options: ReportOptions, side: ReportSide, rate: number): string {
  if (options.hostPrice === null) return DASH;
  const load = hostLoad(side.capacity, rate, options.cameraFps, options.headroomRatio);
  const price = pricePerCamera(PRICED_CAMERAS, load, options.hostPrice, true);
  return price === null ? 'not possible' : money(price, options.hostPrice.currency);
}

/** What best.yaml changes, in one line. */
function changes({ input: { baseline, best, options }, hasChanged }: Findings): Markdown {
  if (!hasChanged) return NOTHING;
  const changed = changedLevers(baseline.configuration, best.configuration).map(
    (lever) =>
      md`${LEVERS[lever].name} ${code(String(baseline.configuration[lever]))} → ${code(String(best.configuration[lever]))}`,
  );
  const isHeld = best.configuration.decode !== baseline.configuration.decode;
  return md`${code(options.bestPath)} changes: ${joined(changed, '; ')}.${isHeld ? ' Rates and costs count the frames of before: the last result holds for those that are not decoded.' : ''}`;
}

/** The user's own lines, zones and tracks before and after. */
function countChanges({ input, hasChanged, mayDetectOthers }: Findings): Markdown {
  if (!hasChanged || !mayDetectOthers) return NOTHING;
  const title = md`### What changes in your counts`;
  if (input.counts === null)
    return blocks(title, 'Not known: the pipeline has no lines or zones, or no video was judged.');
  const { counts, isOtherDetector, isAccepted } = input.counts;
  const rows = [
    ...counts.map((count) => ({
      ...{ name: `${count.kind} ${count.id}`, before: count.reference, after: count.candidate },
      ...{ allowed: `± ${amount(count.allowed)}`, isOther: differs(count) },
    })),
    ...input.counts.tracks.map(({ tracks, kept }) => ({
      ...{ name: 'tracks kept', before: [tracks], after: [kept], allowed: null },
      isOther: kept < tracks * (1 - SHOWN_TRACK_LOSS),
    })),
  ];
  const text = (values: readonly number[]): string => values.map(amount).join(' + ') || 'not counted';
  const differ = rows.filter(({ isOther }) => isOther).length;
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
    table(rows, {
      Count: ({ name }) => name,
      '>Before': ({ before }) => text(before),
      '>After': ({ after }) => text(after),
      '>Tolerated': ({ allowed }) => allowed,
      '': ({ isOther, before, after }) =>
        isOther ? strong('differs') : text(before) === text(after) ? 'same' : 'within',
    }),
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
