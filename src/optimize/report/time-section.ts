import { type FaultCounts, PARTS } from '../../measure/trial-result.ts';
import { BUSY_STAGES } from '../../protocol/report.ts';
import { amount, counted, DASH, fps, joules, megabytes, ms, percent, targetValue, whole } from './figures.ts';
import type { Findings } from './findings.ts';
import { blocks, code, folded, image, type Markdown, md, measured, NOTHING, table } from './markdown.ts';
import { latencyPlot, stagePlot } from './plots.ts';
import { joulesPerFrame, type ReportSide, type ReportTrial } from './report-input.ts';

/** Largest gap of Little's law that a measurement should have. */
const LITTLE_LAW_LIMIT = 0.05;

/** A trial under the title of its column. */
interface Side {
  readonly name: string;
  readonly trial: ReportTrial;
}

/** Where the time of a frame goes: live first, then, folded, in a file that is read as fast as it can be. */
export function timeSection(findings: Findings): Markdown {
  return folded('Where the time of a frame goes', liveFigures(findings), targetsTable(findings), offline(findings));
}

function liveFigures({ live, input }: Findings): Markdown {
  if (live.length === 0)
    return md`No run at the speed of cameras was measured: that needs ${code('--target')}, or a budget from eight minutes. What a camera sees is therefore not known.`;
  const sides = live.map(({ name, cameras, cameraFps, trial }) => ({
    ...{ name: `${name}: ${counted(cameras, 'camera')} of ${fps(cameraFps)}`, trial },
  }));
  const latencies = live.flatMap(({ name, trial: { latenciesMs } }) =>
    latenciesMs === null || latenciesMs.length === 0 ? [] : [{ name, latenciesMs }],
  );
  const stages = sides.map(({ name, trial }) => ({ name, stagesMs: trial.stagesMs }));
  return blocks(
    md`Measured at the speed of cameras, with the number of cameras in the head of each column${measured(...live.map(({ measurement }) => measurement))}.`,
    image('stages', 'Where the time of a frame goes, live', stagePlot(stages)),
    latencies.length === 0
      ? NOTHING
      : image('latency', 'Latency of single frames, live', latencyPlot(latencies, limitMs(input.baseline))),
    folded('All figures of the live runs', trialTable(sides)),
  );
}

/** The limit of a target for the 99th percentile; null without one. */
function limitMs({ targets }: ReportSide): number | null {
  const target = targets.find(({ target }) => target.startsWith('p99'))?.target ?? '';
  const limit = /^p99<=(\d+(?:\.\d+)?)(ms|s)$/.exec(target);
  return limit === null ? null : Number(limit[1]) * (limit[2] === 's' ? 1000 : 1);
}

/** Figures that no side has are absent. */
function trialTable(sides: readonly Side[]): Markdown {
  const rows: { readonly name: string; readonly cells: readonly string[] }[] = [];
  const row = (name: string, text: (trial: ReportTrial) => string | null): void => {
    const cells = sides.map(({ trial }) => text(trial) ?? DASH);
    if (cells.some((cell) => cell !== DASH)) rows.push({ name, cells });
  };
  row('frames per second', (trial) => amount(trial.fps));
  for (const quantile of ['p50', 'p95', 'p99', 'max'] as const)
    row(`latency ${quantile}`, ({ latencyMs }) => ms(latencyMs[quantile]));
  for (const part of PARTS)
    row(`of the mean: ${part}`, ({ stagesMs }) => (stagesMs[part] === 0 ? null : ms(stagesMs[part])));
  row('serialise and send, after publication', ({ sendMs = 0 }) => (sendMs === 0 ? null : ms(sendMs)));
  row('frames dropped', ({ dropRatio }) => percent(dropRatio));
  const faults = (name: string, count: (faults: FaultCounts) => number): void =>
    row(`${name} per million frames`, ({ faults: found }) =>
      found === undefined ? null : perMillion(count(found), found),
    );
  faults('decode errors', ({ decodeErrors }) => decodeErrors);
  faults('failed inferences', ({ failedInferences }) => failedInferences);
  faults('reconnects', ({ reconnects }) => reconnects);
  for (const reason of new Set(sides.flatMap(({ trial }) => Object.keys(trial.faults?.dropped ?? {}))))
    faults(`dropped (${reason})`, ({ dropped }) => dropped[reason] ?? 0);
  row('CPU a frame', ({ cpuMsPerFrame }) => ms(cpuMsPerFrame?.total));
  for (const stage of BUSY_STAGES) {
    row(`of it ${stage}`, ({ cpuMsPerFrame }) => ms(cpuMsPerFrame?.[stage]));
    row(`capacity of ${stage} in use`, ({ busyRatio }) => percent(busyRatio[stage]));
  }
  const gpus = Math.max(...sides.map(({ trial }) => trial.gpus?.length ?? 0));
  for (let i = 0; i < gpus; i++) {
    const name = gpus === 1 ? 'GPU' : `GPU ${i}`;
    row(`${name} in use`, ({ gpus: found }) => percent(found?.[i]?.busyRatio));
    row(`video decoder of the ${name} in use`, ({ gpus: found }) => percent(found?.[i]?.decoderRatio));
    row(`memory of the ${name}`, ({ gpus: found }) => megabytes(found?.[i]?.memoryUsedBytes));
  }
  row('energy a frame', (trial) => joules(joulesPerFrame(trial)));
  row('memory', ({ rssBytes }) => megabytes(rssBytes));
  row('CPU that others took', ({ machine }) => percent(machine?.otherRatio));
  row('CPU that other virtual machines took', ({ machine }) => percent(machine?.stealRatio));
  row('device', ({ device }) => (device === undefined ? null : `${device.device} (${device.provider})`));
  row('windows left out', ({ discardedWindows: n }) => (n === 0 ? null : whole(n)));
  row('became stable', ({ isStable }) => (isStable ? 'yes' : 'no: read it with care'));
  row(
    "gap of Little's law",
    ({ littleLawGap: gap }) => percent(gap) + (gap > LITTLE_LAW_LIMIT ? ': read it with care' : ''),
  );
  type Row = (typeof rows)[number];
  const columns = sides.map(({ name }, i) => [`>${name}`, ({ cells }: Row) => cells[i]!]);
  return table<Row>(rows, { '': ({ name }) => name, ...Object.fromEntries(columns) });
}

function perMillion(count: number, { frames }: FaultCounts): string | null {
  return frames === 0 ? null : amount((count / frames) * 1e6);
}

function targetsTable({ input: { baseline, best }, hasChanged }: Findings): Markdown {
  const { targets } = baseline;
  if (targets.length === 0) return NOTHING;
  const text = (one: (typeof targets)[number] | undefined): string | null =>
    one === undefined
      ? null
      : `${one.measured === null ? '' : `${targetValue(one.target, one.measured)}: `}${one.state}, ${one.reason}`;
  const after = ({ target }: (typeof targets)[number]): string | null =>
    text(best.targets.find((one) => one.target === target));
  return blocks(
    md`### Targets`,
    table(targets, { Target: ({ target }) => code(target), Before: text, ...(hasChanged ? { After: after } : {}) }),
    'A percentile counts as met only if so few frames were late that chance explains it in less than one run of 100.',
  );
}

function offline({ input, before, after, hasChanged }: Findings): Markdown {
  const sides = [{ name: 'before', trial: before }, ...(hasChanged ? [{ name: 'after', trial: after }] : [])];
  return folded(
    'The file read as fast as it can be',
    md`One file that is read flat out is one queue: frames wait because the reader is ahead, so the wait and p99 here are not what a camera sees. The CPU time of a frame and the share of each stage's capacity are what these runs are for${measured(input.baseline.measurement, input.best.measurement)}.`,
    trialTable(sides),
  );
}
