import type { FaultCounts } from '../../measure/trial-result.ts';
import { PARTS } from '../../measure/trial-result.ts';
import { BUSY_STAGES } from '../../protocol/report.ts';
import { amount, counted, fps, megabytes, ms, percent, targetValue, whole } from './figures.ts';
import type { Findings } from './findings.ts';
import { blocks, type Content, code, folded, image, type Markdown, md, measured, NOTHING, table } from './markdown.ts';
import { latencyPlot, type PlotSpec, stagePlot } from './plots.ts';
import { joulesPerFrame, type ReportTrial } from './report-input.ts';

/** Largest gap of Little's law that a measurement should have. */
const LITTLE_LAW_LIMIT = 0.05;

/** A trial under the title of its column. */
interface Side {
  readonly name: string;
  readonly trial: ReportTrial;
}

/** Where the time of a frame goes: live first, then, folded, in a file that is read as fast as it can be. */
export function timeSection(findings: Findings): Markdown {
  const sides = liveSides(findings);
  const ids = measured(...findings.live.map(({ measurement }) => measurement));
  const live =
    sides.length === 0
      ? md`No run at the speed of cameras was measured: that needs ${code('--target')}, or a budget from eight minutes. What a camera sees is therefore not known.`
      : blocks(
          md`Measured at the speed of cameras, with the number of cameras in the head of each column${ids}.`,
          image('stages', 'Where the time of a frame goes, live'),
          ...(latencies(findings).length === 0 ? [] : [image('latency', 'Latency of single frames, live')]),
          folded('All figures of the live runs', trialTable(sides)),
        );
  return folded('Where the time of a frame goes', live, targetsTable(findings), offline(findings));
}

function liveSides({ live }: Findings): readonly Side[] {
  return live.map(({ name, cameras, cameraFps, trial }) => ({
    name: `${name}: ${counted(cameras, 'camera')} of ${fps(cameraFps)}`,
    trial,
  }));
}

function latencies({ live }: Findings) {
  return live.flatMap(({ name, trial: { latenciesMs } }) =>
    latenciesMs === null || latenciesMs.length === 0 ? [] : [{ name, latenciesMs }],
  );
}

/** Plots of the live runs; none without them. */
export function timePlots(findings: Findings): readonly (readonly [string, PlotSpec])[] {
  const sides = liveSides(findings).map(({ name, trial }) => ({ name, stagesMs: trial.stagesMs }));
  if (sides.length === 0) return [];
  const limit = /^p99<=(\d+(?:\.\d+)?)(ms|s)$/.exec(
    findings.input.baseline.targets.find(({ target }) => target.startsWith('p99'))?.target ?? '',
  );
  const limitMs = limit === null ? null : Number(limit[1]) * (limit[2] === 's' ? 1000 : 1);
  const lines = latencies(findings);
  return [
    ['stages', stagePlot(sides)],
    ...(lines.length === 0 ? [] : [['latency', latencyPlot(lines, limitMs)] as const]),
  ];
}

/** Rows that no side has are absent. */
function trialTable(sides: readonly Side[]): Markdown {
  const rows: Content[][] = [];
  const row = (name: string, text: (trial: ReportTrial) => string | null): void => {
    const cells = sides.map(({ trial }) => text(trial));
    if (cells.some((cell) => cell !== null)) rows.push([name, ...cells.map((cell) => cell ?? '–')]);
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
  row('CPU a frame', ({ cpuMsPerFrame }) => (cpuMsPerFrame === null ? null : ms(cpuMsPerFrame.total)));
  for (const stage of BUSY_STAGES) {
    row(`of it ${stage}`, ({ cpuMsPerFrame }) => (cpuMsPerFrame === null ? null : ms(cpuMsPerFrame[stage])));
    row(`capacity of ${stage} in use`, ({ busyRatio }) => percent(busyRatio[stage]));
  }
  const gpus = Math.max(...sides.map(({ trial }) => trial.gpus?.length ?? 0));
  for (let i = 0; i < gpus; i++) {
    const name = gpus === 1 ? 'GPU' : `GPU ${i}`;
    row(`${name} in use`, (trial) => {
      const ratio = trial.gpus?.[i]?.busyRatio ?? null;
      return ratio === null ? null : percent(ratio);
    });
    row(`memory of the ${name}`, (trial) => {
      const bytes = trial.gpus?.[i]?.memoryUsedBytes ?? null;
      return bytes === null ? null : megabytes(bytes);
    });
  }
  row('energy a frame', (trial) => {
    const joules = joulesPerFrame(trial);
    return joules === null ? null : `${amount(joules)}\u00a0J`;
  });
  row('memory', ({ rssBytes }) => megabytes(rssBytes));
  row('CPU that others took', ({ machine }) => (machine?.otherRatio == null ? null : percent(machine.otherRatio)));
  row('CPU that other virtual machines took', ({ machine }) =>
    machine?.stealRatio == null ? null : percent(machine.stealRatio),
  );
  row('device', ({ device }) => (device === undefined ? null : `${device.device} (${device.provider})`));
  row('windows left out', ({ discardedWindows: n }) => (n === 0 ? null : whole(n)));
  row('became stable', ({ isStable }) => (isStable ? 'yes' : 'no: read it with care'));
  row(
    "gap of Little's law",
    ({ littleLawGap: gap }) => percent(gap) + (gap > LITTLE_LAW_LIMIT ? ': read it with care' : ''),
  );
  return table(['', ...sides.map(({ name }) => `>${name}`)], rows);
}

function perMillion(count: number, { frames }: FaultCounts): string | null {
  return frames === 0 ? null : amount((count / frames) * 1e6);
}

function targetsTable({ input: { baseline, best }, hasChanged }: Findings): Markdown {
  const { targets } = baseline;
  if (targets.length === 0) return NOTHING;
  const rows = targets.map((verdict) => {
    const now = best.targets.find(({ target }) => target === verdict.target);
    const text = (one: typeof now): string =>
      one === undefined
        ? '–'
        : `${one.measured === null ? '' : `${targetValue(one.target, one.measured)}: `}${one.state}, ${one.reason}`;
    return [code(verdict.target), text(verdict), ...(hasChanged ? [text(now)] : [])];
  });
  return blocks(
    md`### Targets`,
    table(['Target', 'Before', ...(hasChanged ? ['After'] : [])], rows),
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
