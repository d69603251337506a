import type { Bottleneck } from '../../measure/bottlenecks.ts';
import {
  amount,
  change,
  changeInterval,
  counted,
  factor,
  fps,
  interval,
  joules,
  ms,
  percent,
  score,
  targetValue,
  whole,
} from '../../measure/report/figures.ts';
import { shellQuoted, type Tone } from '../../measure/report/html.ts';
import { AGREEMENT } from '../gate/gate-verdict.ts';
import { changedLevers } from '../levers/levers.ts';
import { describeConfiguration, describeStep, furtherDifferences } from './configuration-text.ts';
import { differs, type Findings, LEAST_RATIO } from './findings.ts';
import { slicesOf } from './loss-slices.ts';
import { type IdentityFigures, joulesPerFrame, type ReportSide, type ReportTrial } from './report-input.ts';

/** Something to know of a configuration: good, bad, or to be looked at. */
interface Point {
  readonly tone: Tone;
  readonly text: string;
}

/** One of the configurations that a user chooses from. */
export interface Card {
  readonly title: string;
  readonly configuration: string;
  readonly fps: number;
  /** Against today, with its interval; empty for today's. */
  readonly times: string;
  readonly isChosen: boolean;
  readonly figures: readonly { readonly name: string; readonly value: string }[];
  readonly points: readonly Point[];
  /** Path of its pipeline; null for today's. */
  readonly file: string | null;
  /** Name of the page beside the report that asks people; null if there is none. */
  readonly review: string | null;
  readonly measurements: readonly string[];
}

/** A line, zone or other count of the user's own streams. */
interface CountRow {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly tolerated: string;
  readonly state: 'same' | 'within' | 'differs';
}

/** Frames per second after a change, the changes one after the other. */
interface Rise {
  readonly name: string;
  readonly fps: number;
}

/** What to do next, with the command for it. */
interface NextStep {
  readonly text: string;
  readonly command: string | null;
  readonly measurements: readonly string[];
}

/** All that the first screen says, as data: a page and a text are made of it. */
export interface FirstScreen {
  readonly headline: string;
  readonly tone: Tone;
  readonly about: string;
  /** Whether the figures may be relied on, and what they say, in whole sentences. */
  readonly sentences: readonly string[];
  readonly notes: readonly string[];
  readonly cards: readonly Card[];
  /** null where no count can change. */
  readonly counts: { readonly text: string; readonly rows: readonly CountRow[] } | null;
  readonly rises: readonly Rise[];
  readonly next: readonly NextStep[];
}

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
/** A smaller share of lost tracks is not worth a mark. */
const SHOWN_TRACK_LOSS = 0.1;
/** First things to do, and classes to look at. */
const MOST_SHOWN = 3;
/** A smaller gain is no plan. */
const LEAST_GAIN = 1.05;
/** A slice of the labels that loses more is looked at, significant or not. */
const LARGE_LOSS = { class: 0.1, size: 0.05, tag: 0.05 } as const;

export function firstScreenOf(findings: Findings): FirstScreen {
  const { input, outcome } = findings;
  const { subject, createdAt, machine, seconds, seed } = input;
  const isValid = outcome !== 'invalid';
  return {
    headline: headline(findings),
    tone: outcome === 'faster' ? 'good' : isValid ? 'neutral' : 'bad',
    about: `${subject}, ${createdAt.slice(0, 10)}, on ${machine.cpuModel} with ${counted(machine.cores, 'core')}; ${amount(Math.round(seconds / 6) / 10)}\u00a0min of measuring, seed ${seed}`,
    sentences: sentences(findings),
    notes: input.validity.reasons,
    cards: isValid ? cards(findings) : [],
    counts: isValid ? countsOf(findings) : null,
    rises: isValid ? rises(findings) : [],
    next: isValid
      ? nextSteps(findings)
      : [
          {
            text: 'Stop other programs on the machine, then run the same command again, without --resume.',
            command: null,
            measurements: [],
          },
        ],
  };
}

/** The verdict in one line. */
function headline({ outcome, input, quality, mayDetectOthers, verdict }: Findings): string {
  const { speedup } = input;
  const times = (ratio: number): string =>
    `${amount(ratio)} times as ${input.byCpuTime ? 'many frames for the same CPU time' : 'fast'}`;
  const faster = speedup === null ? '' : times(speedup.ratio);
  switch (outcome) {
    case 'invalid':
      return 'Measurement invalid';
    case 'untried':
    case 'unchanged':
    case 'unproven':
      if (input.faster !== null) {
        const { speedup: gain, differences } = input.faster;
        return `${times(gain.ratio)}; look at ${counted(differences.length, 'difference')} first`;
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
      // An interval that reaches zero proves no loss.
      return mayDetectOthers && quality !== null && quality.interval[0] > 0
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

function sentences({ outcome, input, verdict }: Findings): readonly string[] {
  const { speedup, quality } = input;
  switch (outcome) {
    case 'invalid':
      return [
        'These figures say nothing about what is faster. Other programs used the machine while they were measured.',
      ];
    case 'untried':
      // The most promising was ruled out first.
      if (input.steps[0] !== undefined)
        return [
          `Nothing was worth a run beside your pipeline. ${describeStep(input.steps[0])}: ${input.steps[0].reason}.`,
          ...(input.ended === 'budget' ? ['The time ended before everything was tried.'] : []),
        ];
      return [
        input.ended === 'budget'
          ? 'The time was too short to measure a single change. Give a larger --budget; --plan says how long it takes.'
          : 'None of the chosen levers has another value on this machine that could be faster.',
      ];
    case 'unchanged':
      return [
        'The measurement is valid. Nothing that was tried is proven to be faster and to keep the quality.',
        ...(input.ended === 'budget' ? ['The time ended before everything was tried.'] : []),
      ];
    default:
      return [
        'The measurement is valid.',
        speedup === null
          ? 'The best configuration was not compared with the baseline in turn, so its gain is not known.'
          : `The ratio is ${factor(speedup.ratio)}, 95\u00a0% interval ${interval(speedup.interval)}, from ${counted(speedup.pairs, 'pair')} of runs that took turns${outcome === 'unproven' ? doubtOf(speedup.interval) : '.'}`,
        ...(outcome === 'quality open'
          ? [
              `${quality.heldOut === null ? 'Its quality was judged, if at all, only by the part that chose it, which flatters it' : 'The held-out part does not pass it'}${verdict === null ? '' : `: ${verdict.reason}`}. Do not use it before that is settled.`,
            ]
          : []),
      ];
  }
}

function doubtOf([low]: readonly [number, number]): string {
  return low > 1 ? `: less than ${percent(LEAST_RATIO - 1)} is not worth a change.` : ': it may be no gain at all.';
}

/** Today's, what was found, and what is faster if people accept what figures cannot settle. */
function cards(findings: Findings): readonly Card[] {
  const { input, before, after, hasChanged, outcome, quality } = findings;
  const { baseline, best, speedup, faster, options } = input;
  const rate = speedup?.beforeFps ?? before.fps;
  const today: Card = {
    title: 'Today',
    configuration: describeConfiguration(baseline.configuration),
    fps: rate,
    times: '',
    isChosen: !hasChanged,
    figures: [...figuresOf(findings, 'before', baseline, before), ...qualityFigure(quality, 'reference')],
    points: [],
    file: null,
    review: null,
    measurements: speedup?.measurements ?? [baseline.measurement],
  };
  const found: Card = {
    title: outcome === 'faster' ? 'Proven' : 'Found, not proven',
    configuration: changedText(best.configuration, baseline.configuration),
    fps: speedup === null ? after.fps : (speedup.afterFps ?? rate * speedup.ratio),
    times: speedup === null ? 'not compared' : `${factor(speedup.ratio)} (${interval(speedup.interval)})`,
    isChosen: outcome === 'faster',
    figures: [...figuresOf(findings, 'after', best, after), ...qualityFigure(quality, 'candidate')],
    points: pointsOf(findings),
    file: options.bestPath,
    review: null,
    measurements: speedup?.measurements ?? [best.measurement],
  };
  if (faster === null) return hasChanged ? [today, found] : [today];
  const { ratio, interval: span } = faster.speedup;
  const other: Card = {
    title: 'Faster, if you accept',
    configuration: changedText(faster.configuration, baseline.configuration),
    fps: rate * ratio,
    times: `${factor(ratio)} (${interval(span)})`,
    isChosen: false,
    figures: faster.ap === null ? [] : [{ name: quality?.measure ?? 'AP', value: score(faster.ap) }],
    points: faster.differences.map(({ text }) => ({ tone: 'neutral', text })),
    file: faster.file,
    review: faster.review,
    measurements: faster.measurements,
  };
  return hasChanged ? [today, found, other] : [today, other];
}

function changedText(configuration: ReportSide['configuration'], baseline: ReportSide['configuration']): string {
  return [describeConfiguration(configuration), ...furtherDifferences(configuration, baseline)].join('; ');
}

function qualityFigure(quality: Findings['quality'], side: 'reference' | 'candidate'): Card['figures'] {
  if (quality === null) return [];
  return [{ name: quality.measure === AGREEMENT ? 'agreement (F1)' : quality.measure, value: score(quality[side]) }];
}

function figuresOf(
  { live, input }: Findings,
  name: 'before' | 'after',
  { capacity, targets }: ReportSide,
  trial: ReportTrial,
): Card['figures'] {
  const shown = live.find((side) => side.name === name);
  const rows: readonly (readonly [name: string, value: string | null])[] = [
    [
      `cameras of ${fps(capacity?.cameraFps)}${capacity?.isProven === false ? ' (not proven)' : ''}`,
      capacity === null ? null : whole(capacity.cameras),
    ],
    [
      `p99 at ${shown === undefined ? '' : counted(shown.cameras, 'camera')}`,
      shown === undefined ? null : ms(shown.trial.latencyMs.p99),
    ],
    ['CPU a frame', trial.cpuMsPerFrame === null ? null : ms(trial.cpuMsPerFrame.total)],
    ['energy a frame', joulesPerFrame(trial) === null ? null : joules(joulesPerFrame(trial))],
    ...input.baseline.targets.map(({ target }) => {
      const own = targets.find((one) => one.target === target);
      if (own === undefined) return [target, null] as const;
      return [target, `${own.measured === null ? '' : `${targetValue(target, own.measured)}: `}${own.state}`] as const;
    }),
  ];
  return rows.flatMap(([of, value]) => (value === null ? [] : [{ name: of, value }]));
}

/** What is known of the quality of the best configuration, and what to look at. */
function pointsOf(findings: Findings): readonly Point[] {
  const { quality, mayDetectOthers, outcome, input } = findings;
  const { skipped } = input;
  const isPassed = outcome === 'faster' || outcome === 'counts differ';
  const holds: Point[] = [];
  if (!mayDetectOthers) holds.push({ tone: 'good', text: 'It detects what it detects today.' });
  else if (quality !== null) {
    const part = input.quality.heldOut === null ? 'on the part that chose it' : 'on pictures that the search never saw';
    const name = quality.measure === AGREEMENT ? 'F1' : quality.measure;
    holds.push({
      tone: isPassed ? 'good' : 'neutral',
      text: `${name} ${change(quality.loss)} (${changeInterval(quality.interval, '\u00a0')}) ${part}; ${score(quality.allowed)} may be lost`,
    });
  }
  if (skipped !== null)
    holds.push({
      tone: 'neutral',
      text: `F1 ${score(skipped.f1)} against inference of every frame, over ${counted(skipped.frames, 'frame')}`,
    });
  if (input.identities !== null && mayDetectOthers) holds.push(identitiesPoint(input.identities));
  return [
    ...holds,
    ...warningsOf(findings)
      .slice(0, MOST_SHOWN)
      .map((text): Point => ({ tone: 'neutral', text })),
  ];
}

function identitiesPoint({ verdict, loss, interval, allowed, tracks, identities }: IdentityFigures): Point {
  const [before, after] = identities.switches;
  return {
    tone: verdict === 'passed' ? 'good' : 'neutral',
    text: `Identities: IDF1 ${change(loss)} (${changeInterval(interval, '\u00a0')}) on ${counted(tracks, 'true track')}; ${score(allowed)} may be lost; ${before} switches before, ${after} after`,
  };
}

/** Kinds of objects that lose much, with how little there may be to judge them by. */
export function warningsOf({ quality, hasChanged }: Findings): readonly string[] {
  if (quality === null || !hasChanged) return [];
  return slicesOf(quality)
    .filter(({ by, loss }) => loss >= LARGE_LOSS[by])
    .map(({ by, name, loss, interval: span, pictures, objects }) => {
      const ground = [
        ...(pictures === undefined ? [] : [counted(pictures, 'picture')]),
        ...(objects === undefined ? [] : [counted(objects, 'object')]),
      ];
      // Resamples of a single picture are all alike, which is no certainty.
      const certainty = pictures === 1 ? 'too little for an interval' : `95\u00a0% interval ${changeInterval(span)}`;
      return `Look at this ${by}: ${name} ${change(loss)}${ground.length === 0 ? '' : ` on ${ground.join(' with ')}`}, ${certainty}`;
    });
}

/** The user's own lines, zones and tracks before and after. */
function countsOf({ input, hasChanged, mayDetectOthers }: Findings): FirstScreen['counts'] {
  if (!hasChanged || !mayDetectOthers || input.counts === null) return null;
  const { counts, tracks, isOtherDetector, isAccepted } = input.counts;
  const text = (values: readonly number[]): string => values.map(amount).join(' + ') || 'not counted';
  const row = (
    name: string,
    [before, after]: readonly [string, string],
    tolerated: string,
    isOther: boolean,
  ): CountRow => ({
    name,
    before,
    after,
    tolerated,
    state: isOther ? 'differs' : before === after ? 'same' : 'within',
  });
  const rows = [
    ...counts.map((count) =>
      row(
        `${count.kind} ${count.id}`,
        [text(count.reference), text(count.candidate)],
        `± ${amount(count.allowed)}`,
        differs(count),
      ),
    ),
    ...tracks.map(({ tracks: all, kept }) =>
      row('tracks kept', [amount(all), amount(kept)], '', kept < all * (1 - SHOWN_TRACK_LOSS)),
    ),
  ];
  const other = rows.filter(({ state }) => state === 'differs').length;
  const told =
    other === 0
      ? 'Each is within what is tolerated.'
      : `${counted(other, 'count')} of ${rows.length} ${other === 1 ? 'differs' : 'differ'}; ${isAccepted ? '--accept-counts accepts that.' : 'look at the pictures first, then accept them with --accept-counts.'}`;
  return { text: `${isOtherDetector ? 'Another detector finds other objects. ' : ''}${told}`, rows };
}

/** How the adopted changes lead from the old rate to the new one: each as measured in turn with what it started from. */
function rises({ adopted, before, input: { speedup }, hasChanged }: Findings): readonly Rise[] {
  if (!hasChanged || adopted.length === 0) return [];
  let rate = speedup?.beforeFps ?? before.fps;
  const start = { name: 'Today', fps: rate };
  return [
    start,
    ...adopted.map((step) => {
      rate *= step.measuredGain;
      return { name: describeStep(step), fps: rate };
    }),
    ...(speedup === null ? [] : [{ name: 'All of them, measured in turn', fps: start.fps * speedup.ratio }]),
  ];
}

function nextSteps(findings: Findings): readonly NextStep[] {
  const { input, outcome } = findings;
  const { options, faster } = input;
  const isUsable = outcome === 'faster' || outcome === 'counts differ';
  const path = shellQuoted(options.bestPath);
  const steps: NextStep[] = [];
  const add = (text: string, command: string | null = null, measurements: readonly string[] = []): void => {
    steps.push({ text, command, measurements });
  };
  if (isUsable) {
    add('Try it:', `sightline run ${path}`);
    add(
      'Roll it out in steps. It rolls back by itself if a guard fails:',
      `sightline rollout start --pipeline ${path} --steps 1,10,50,100 --hold 60s`,
    );
  }
  if (faster?.review != null)
    add(
      'Say of the objects on which the two detectors disagree which are there; a few answers settle it:',
      `sightline optimize --review --report ${shellQuoted(options.reportDir)}`,
    );
  for (const step of [...undecided(findings), ...remedies(findings, isUsable)].slice(0, MOST_SHOWN))
    add(step.text, null, step.measurements);
  if (steps.length === 0) add('Nothing holds it back that a setting could change.');
  return steps;
}

/** Limits whose lever the search did not try, the greatest gain first. */
function remedies({ input }: Findings, isUsable: boolean): readonly Omit<NextStep, 'command'>[] {
  const tried = new Set<string>(input.steps.map(({ lever }) => lever));
  return (isUsable ? input.nextBottlenecks : input.bottlenecks)
    .filter(({ lever, predictedGain }) => predictedGain >= LEAST_GAIN && (lever === null || !tried.has(lever)))
    .toSorted((a, b) => b.predictedGain - a.predictedGain)
    .map(({ part, remedy, predictedGain, measurements }) => ({
      text: `${remedy.replace(/\.$/, '')} (limited by ${LIMITS[part]}; predicted ${factor(predictedGain)}).`,
      measurements,
    }));
}

/** The fastest configuration that more evidence on its quality would decide. */
function undecided({ input, before, after, verdict, outcome }: Findings): readonly Omit<NextStep, 'command'>[] {
  const { configuration, measurement } = input.best;
  const open = input.finalists.filter((one) => one.verdict === 'inconclusive' || one.verdict === 'not judged');
  const own =
    outcome === 'quality open' && verdict === null
      ? [{ configuration, fps: after.fps, reason: 'no held-out part judged it', measurements: [measurement] }]
      : [];
  const [found] = [...open, ...own].sort((a, b) => b.fps - a.fps);
  if (found === undefined || found.fps / before.fps < LEAST_GAIN) return [];
  // What people settle is said by its own card.
  if (input.faster !== null && changedLevers(found.configuration, input.faster.configuration).length === 0) return [];
  const evidence =
    input.options.annotations === null ? 'Labelled pictures or a longer recording' : 'More labelled pictures';
  return [
    {
      text: `${evidence} would settle ${describeConfiguration(found.configuration)}, ${fps(found.fps)}: ${found.reason}.`,
      measurements: found.measurements,
    },
  ];
}
