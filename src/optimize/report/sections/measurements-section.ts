import { describeConfiguration, furtherDifferences } from '../configuration-text.ts';
import { code, paragraph, type Section, type Text, tableOf } from '../document.ts';
import { counted, duration, fps, ms, percent, whole } from '../figures.ts';
import { type Findings, trialIn } from '../findings.ts';
import type { ReportMachine, ReportMeasurement } from '../report-input.ts';

/** Length of a hash in the table: enough to find the line in measurements.jsonl. */
const HASH_LENGTH = 8;

/** Every measurement, with what it measured, under which conditions, and its result. */
export function measurementsSection({ input }: Findings): Section {
  const { measurements, baseline, seed, seconds, machine } = input;
  const table = tableOf(
    ['Id', 'What', 'Configuration', 'Result', '>Took', 'Hash of configuration, model'],
    measurements.map((record) => [
      record.id,
      `${record.kind}, ${record.scenario}`,
      [
        describeConfiguration(record.configuration),
        ...furtherDifferences(record.configuration, baseline.configuration),
      ].join('; '),
      resultText(record),
      duration(record.seconds),
      [
        code(record.configHash.slice(0, HASH_LENGTH)),
        ...(record.modelHash === null ? [] : [' ', code(record.modelHash.slice(0, HASH_LENGTH))]),
      ],
    ]),
  );
  const total = measurements.reduce((sum, record) => sum + record.seconds, 0);
  return {
    id: 'measurements',
    title: 'Measurements',
    blocks: [
      paragraph(
        `${counted(measurements.length, 'measurement')} in ${duration(total)}, of a run of ${duration(seconds)} with seed ${seed}. Each is a line of `,
        code('measurements.jsonl'),
        ' with everything that was recorded. ',
        ...machineText(machine),
      ),
      { kind: 'table', table: { ...table, rowIds: measurements.map(({ id }) => id), isLong: true } },
    ],
  };
}

function machineText({ cpuModel, cores, versions }: ReportMachine): Text {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [`Machine: ${cpuModel}, ${counted(cores, 'core')}${list.length === 0 ? '' : `; ${list.join(', ')}`}.`];
}

/** One line about what a measurement found. */
export function resultText(record: ReportMeasurement): string {
  if (record.error !== null) return `failed: ${record.error}`;
  const trial = trialIn(record);
  if (trial !== null) {
    const { fps: rate, latencyMs, frames, isStable, discardedWindows, dropRatio } = trial;
    return [
      fps(rate),
      `p50\u00a0${ms(latencyMs.p50)}, p99\u00a0${ms(latencyMs.p99)}`,
      `${whole(frames)} frames`,
      ...(dropRatio > 0 ? [`${percent(dropRatio)} dropped`] : []),
      ...(isStable ? [] : ['not stable']),
      ...(discardedWindows > 0 ? [`${counted(discardedWindows, 'window')} left out`] : []),
    ].join('; ');
  }
  return record.result === null ? 'no result' : plainFigures(record.result);
}

/** The numbers of a result of another kind, by name. */
function plainFigures(result: object): string {
  const figures = Object.entries(result).filter(([, value]) => typeof value === 'number') as [string, number][];
  return (
    figures
      .map(([name, value]) => `${name} ${String(Number(value.toPrecision(4))).replace('-', '\u2212')}`)
      .join('; ') || 'judged'
  );
}
