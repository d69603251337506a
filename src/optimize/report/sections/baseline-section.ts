import type { TargetVerdict } from '../../result.ts';
import { LEVER_NAMES, LEVERS } from '../configuration-text.ts';
import {
  type Block,
  type Cell,
  code,
  heading,
  measured,
  paragraph,
  type Section,
  type Span,
  tableOf,
} from '../document.ts';
import { amount, counted, fps, megabytes, ms, percent, times, whole } from '../figures.ts';
import type { Findings } from '../findings.ts';
import { latencyCurve } from '../plots/latency-curve.ts';
import { stageBars } from '../plots/stage-bars.ts';
import type { ReportMachineUse, ReportSide, ReportTrial } from '../report-input.ts';

/** Largest gap of Little's law that a measurement should have. */
const LITTLE_LAW_LIMIT = 0.05;

/** What the baseline does, where the time of a frame goes, and how far every target is. */
export function baselineSection(findings: Findings): Section {
  const { input, before, after, hasChanged } = findings;
  const ids = measured(input.baseline.measurement, ...(hasChanged ? [input.best.measurement] : []));
  const bars = [
    { name: 'Before', stagesMs: before.stagesMs },
    ...(hasChanged ? [{ name: 'After', stagesMs: after.stagesMs }] : []),
  ];
  const rest = before.stagesMs.unaccounted ?? 0;
  const whole_ = Object.values(before.stagesMs).reduce((a, b) => a + b, 0);
  return {
    id: 'baseline',
    title: 'Baseline assessment',
    blocks: [
      paragraph(
        'Measured on ',
        `${input.machine.cpuModel} with ${counted(input.machine.cores, 'core')} and ${amount(input.machine.memoryBytes / 2 ** 30)} GiB of memory. `,
        ...reliability(before, input.baseline),
      ),
      { kind: 'table', table: figuresTable(findings) },
      ...latencyByStage(bars, ids, rest, whole_),
      ...distribution(findings, ids),
      ...targets(findings),
      heading('Configuration'),
      ...(hasChanged ? [paragraph('Settings that the best configuration changes are marked.')] : []),
      { kind: 'table', table: configurationTable(findings) },
    ],
  };
}

/** Says whether the measurement may be relied on. */
function reliability(trial: ReportTrial, { measurement }: ReportSide): readonly Span[] {
  const stable = trial.isStable
    ? 'Rate and latency were stable'
    : 'Rate and latency did not become stable, so the figures are less certain';
  const discarded =
    trial.discardedWindows === 0
      ? ''
      : `; ${counted(trial.discardedWindows, 'window')} in which others took the CPU ${trial.discardedWindows === 1 ? 'was' : 'were'} left out`;
  const law =
    trial.littleLawGap <= LITTLE_LAW_LIMIT
      ? `; rate, latency and frames in flight agree within ${percent(trial.littleLawGap)} (Little's law)`
      : `; rate, latency and frames in flight differ by ${percent(trial.littleLawGap)} (Little's law): read them with care`;
  return [`${stable}${discarded}${law}`, measured(measurement), '.'];
}

function figuresTable({ input, before, after, hasChanged }: Findings) {
  const sides = hasChanged ? [before, after] : [before];
  const titles = hasChanged ? ['>Baseline', '>Best'] : ['>Baseline'];
  const row = (name: string, text: (trial: ReportTrial) => string | null): string[] => [
    name,
    ...sides.map((trial) => text(trial) ?? '–'),
  ];
  const use = (name: string, text: (machine: ReportMachineUse) => string | null): string[][] =>
    sides.some(({ machine }) => machine !== undefined && text(machine) !== null)
      ? [row(name, ({ machine }) => (machine === undefined ? null : text(machine)))]
      : [];
  const share = (ratio: number | null): string | null => (ratio === null ? null : percent(ratio));
  const rows: (readonly (string | readonly Span[])[])[] = [
    row('frames per second', (trial) => amount(trial.fps)),
    row('frames measured', (trial) => whole(trial.frames)),
    row('latency p50', (trial) => ms(trial.latencyMs.p50)),
    row('latency p95', (trial) => ms(trial.latencyMs.p95)),
    row('latency p99', (trial) => ms(trial.latencyMs.p99)),
    row('latency, longest', (trial) => ms(trial.latencyMs.max)),
    row('frames dropped', (trial) => percent(trial.dropRatio)),
    row('CPU a frame', (trial) => (trial.cpuMsPerFrame === null ? null : ms(trial.cpuMsPerFrame.total))),
    ...(['decode', 'preprocess', 'infer', 'main'] as const).map((stage) =>
      row(`of it ${stage}`, ({ cpuMsPerFrame }) => (cpuMsPerFrame === null ? null : ms(cpuMsPerFrame[stage]))),
    ),
    ...(sides.some(({ sendMs }) => sendMs !== undefined)
      ? [row('serialise and send, after publication', ({ sendMs }) => (sendMs === undefined ? null : ms(sendMs)))]
      : []),
    row('memory', (trial) => megabytes(trial.rssBytes)),
    ...use('CPU of all cores, Sightline', ({ ownRatio }) => share(ownRatio)),
    ...use('CPU of all cores, other processes', ({ otherRatio }) => share(otherRatio)),
    ...use('CPU taken by other virtual machines', ({ stealRatio }) => share(stealRatio)),
    ...use('network in', ({ networkInBytesPerS: rate }) => (rate === null ? null : `${amount(rate / 1e6)} MB/s`)),
    ...use('network out', ({ networkOutBytesPerS: rate }) => (rate === null ? null : `${amount(rate / 1e6)} MB/s`)),
    ...(sides.some(({ device }) => device !== undefined)
      ? [row('device', ({ device }) => (device === undefined ? null : `${device.device} (${device.provider})`))]
      : []),
    [
      'measured',
      ...(hasChanged ? [input.baseline, input.best] : [input.baseline]).map((side) => [measured(side.measurement)]),
    ],
  ];
  return tableOf(['Figure', ...titles], rows);
}

function latencyByStage(
  bars: readonly { name: string; stagesMs: Readonly<Record<string, number>> }[],
  ids: Span,
  rest: number,
  whole_: number,
): readonly Block[] {
  const [slowest, time] = Object.entries(bars[0]!.stagesMs).sort(([, a], [, b]) => b - a)[0] ?? ['', 0];
  if (slowest === '') return [];
  return [
    {
      kind: 'plot',
      plot: stageBars(
        'Where the time of a frame goes',
        [
          `Before, ${slowest} takes most: ${ms(time)} of ${ms(whole_)}, ${percent(time / whole_)}. `,
          `The parts add up to the whole; ${rest === 0 ? 'nothing' : `${ms(rest)} before the changes`} is unaccounted for`,
          ids,
          '.',
        ],
        bars,
      ),
    },
  ];
}

function distribution({ input, before, after, hasChanged }: Findings, ids: Span): readonly Block[] {
  const samples = [
    { name: 'Before', latenciesMs: before.latenciesMs ?? [] },
    ...(hasChanged ? [{ name: 'After', latenciesMs: after.latenciesMs ?? [] }] : []),
  ].filter(({ latenciesMs }) => latenciesMs.length > 0);
  if (samples.length === 0)
    return [paragraph('No sample of single latencies was kept, so their distribution is not drawn.')];
  const limit = input.baseline.targets
    .map(({ target }) => parseTarget(target))
    .find((target) => target !== null && target.metric === 'p99');
  const caption: Span[] = [
    'The further left and the steeper, the better. Dots mark the half and 99',
    '\u00a0% of the frames',
    ids,
    '.',
  ];
  return [{ kind: 'plot', plot: latencyCurve('Latency of single frames', caption, samples, limit?.limit ?? null) }];
}

function targets({ input, hasChanged }: Findings): readonly Block[] {
  const { baseline, best } = input;
  if (baseline.targets.length === 0 && best.targets.length === 0)
    return [heading('Targets'), paragraph('No targets were given, so nothing is judged against them.')];
  const ids = (side: ReportSide): Span => measured(side.measurement, ...(side.capacity?.measurements ?? []));
  const after = new Map(best.targets.map((verdict) => [verdict.target, verdict]));
  return [
    heading('Gap to the targets'),
    {
      kind: 'table',
      table: tableOf(
        ['Target', '>Baseline', 'Verdict', 'Gap', ...(hasChanged ? ['>Best', 'Verdict of best', 'Gap of best'] : [])],
        baseline.targets.map((verdict) => [
          [code(verdict.target), ids(baseline), ...(hasChanged ? [ids(best)] : [])],
          ...verdictCells(verdict),
          ...(hasChanged
            ? after.has(verdict.target)
              ? verdictCells(after.get(verdict.target)!)
              : ['–', '–', '–']
            : []),
        ]),
      ),
    },
    paragraph(
      'A percentile counts as met only if so few frames were late that chance explains it in less than one run of 100.',
    ),
  ];
}

function verdictCells(verdict: TargetVerdict): readonly (string | Cell)[] {
  const tone = verdict.state === 'met' ? 'good' : verdict.state === 'missed' ? 'bad' : 'neutral';
  const parsed = parseTarget(verdict.target);
  const value =
    verdict.measured === null ? '–' : parsed === null ? amount(verdict.measured) : parsed.text(verdict.measured);
  return [value, { text: [verdict.state], tone }, gapText(verdict)];
}

/** How far a figure is from its target, in words. */
export function gapText({ target, measured: value, state, reason }: TargetVerdict): string {
  const parsed = parseTarget(target);
  if (parsed === null || value === null || state === 'not enough frames') return reason;
  const { isLowerBetter, limit } = parsed;
  const ratio = isLowerBetter ? value / limit : limit / value;
  if (!Number.isFinite(ratio) || ratio === 0) return reason;
  if (ratio > 1) return `${times(ratio)} too ${isLowerBetter ? 'much' : 'little'}`;
  return ratio === 1 ? 'just met' : `${percent(1 - ratio)} to spare`;
}

interface ParsedTarget {
  readonly metric: string;
  readonly isLowerBetter: boolean;
  /** In the unit of the measured value: ratios for per cent. */
  readonly limit: number;
  text(value: number): string;
}

function parseTarget(text: string): ParsedTarget | null {
  const match = /^([a-z0-9]+)\s*(<=|>=)\s*(\d+(?:\.\d+)?)\s*(ms|s|%)?$/.exec(text.trim());
  if (match === null) return null;
  const [, metric, relation, number, unit] = match as unknown as [string, string, string, string, string | undefined];
  const factor = unit === '%' ? 0.01 : unit === 's' ? 1000 : 1;
  const isTime = unit === 'ms' || unit === 's';
  return {
    metric,
    isLowerBetter: relation === '<=',
    limit: Number(number) * factor,
    text: (value) =>
      unit === '%' ? percent(value) : isTime ? ms(value) : metric === 'fps' ? fps(value) : amount(value),
  };
}

function configurationTable({ input, hasChanged }: Findings) {
  const { baseline, best } = input;
  return tableOf(
    ['Setting', 'Baseline', ...(hasChanged ? ['Best'] : [])],
    LEVERS.map((lever) => {
      const [old, now] = [String(baseline.configuration[lever]), String(best.configuration[lever])];
      return [
        LEVER_NAMES[lever],
        [code(old)],
        ...(hasChanged ? [old === now ? [code(now)] : ({ text: [now], tone: 'good' } as const)] : []),
      ];
    }),
  );
}
