import type { Configuration } from '../../result.ts';
import { describeConfiguration, differences, furtherDifferences, LEVERS, MODEL_LEVERS } from '../configuration-text.ts';
import { type Block, code, heading, measured, paragraph, type Section, type Text, tableOf } from '../document.ts';
import { counted, score, signedScore, whole } from '../figures.ts';
import { type Findings, trialIn } from '../findings.ts';
import { type ParetoMark, paretoPlot } from '../plots/pareto-plot.ts';
import type { ReportInput, ReportQuality } from '../report-input.ts';
import { stepsTable, untouched } from './steps-table.ts';

/** Which networks, precisions and sizes were tried, what they cost in quality, and what was refused. */
export function modelSection(findings: Findings): Section {
  const { input } = findings;
  const levers = LEVERS.filter((lever) => MODEL_LEVERS.has(lever));
  const steps = input.steps.filter(({ lever }) => MODEL_LEVERS.has(lever));
  const missing = untouched(levers, steps);
  return {
    id: 'model',
    title: 'Model optimisations',
    blocks: [
      paragraph('Networks with the same classes, number formats and input sizes. ', ...qualityText(input.quality)),
      steps.length === 0 ? paragraph('None was tried.') : { kind: 'table', table: stepsTable(steps) },
      ...(missing.length === 0 || steps.length === 0 ? [] : [paragraph(`Not tried: ${missing.join(', ')}.`)]),
      ...qualityTables(input.quality),
      ...pareto(input),
      ...refusals(input),
    ],
  };
}

function qualityText(quality: ReportQuality | null): Text {
  if (quality === null) return ['Quality was not judged, so nothing here says what a change costs in accuracy.'];
  const [low, high] = quality.interval;
  const what =
    quality.kind === 'ap'
      ? `The best configuration has an AP of ${score(quality.best)} where the baseline has ${score(quality.baseline)}, on ${counted(quality.pictures, 'labelled picture')}`
      : `The best configuration agrees with the reference with an F1 of ${score(quality.best)} over ${counted(quality.pictures, 'frame')}`;
  return [
    `${what}: ${quality.loss <= 0 ? 'a gain' : 'a loss'} of ${score(Math.abs(quality.loss))}; with 95\u00a0% confidence the loss lies between ${score(low)} and ${score(high)}, and at most ${score(quality.allowed)} was allowed`,
    measured(...quality.measurements),
    '.',
  ];
}

function qualityTables(quality: ReportQuality | null): readonly Block[] {
  if (quality === null) return [];
  const sizes = Object.entries(quality.bySize);
  const rows = [
    ...sizes.map(([size, loss]) => [`${size} objects`, signedScore(-loss)]),
    ...quality.byClass.map(({ label, loss }) => [`class ${label}`, signedScore(-loss)]),
  ];
  if (rows.length === 0) return [];
  return [
    heading('Quality by size and class'),
    paragraph(
      'Against the baseline, by size of the objects and for the classes that lose most',
      measured(...quality.measurements),
      '.',
    ),
    {
      kind: 'table',
      table: tableOf(['Objects', quality.kind === 'ap' ? '>Change of AP' : '>Change of F1'], rows),
    },
  ];
}

function pareto(input: ReportInput): readonly Block[] {
  const marks = paretoMarks(input);
  if (marks.length === 0) return [];
  const { quality } = input;
  const lowest = quality?.kind === 'ap' ? quality.baseline - quality.allowed : null;
  const ids = measured(...input.pareto.flatMap(({ measurements }) => measurements));
  const caption: Text = [
    'No point of the front is beaten in every figure at once: accuracy, rate, p99 and CPU. Its number is its row in the table',
    ids,
    '.',
  ];
  return [{ kind: 'plot', plot: paretoPlot('Accuracy against rate', caption, marks, lowest) }];
}

/** The front, the baseline, and refused configurations whose rate and loss are known. */
function paretoMarks(input: ReportInput): readonly ParetoMark[] {
  const { baseline, best, quality } = input;
  const byId = new Map(input.measurements.map((record) => [record.id, record]));
  const front = input.pareto.map(({ configuration, measurements, ...figures }): ParetoMark => {
    const kind = isSame(configuration, best.configuration)
      ? 'best'
      : isSame(configuration, baseline.configuration)
        ? 'baseline'
        : 'front';
    return {
      ...figures,
      name: nameOf(configuration, baseline.configuration),
      kind,
      measured: measured(...measurements),
    };
  });
  const refused = input.refusals.flatMap(({ configuration, loss, measurements }): ParetoMark[] => {
    const trial = measurements.map((id) => trialIn(byId.get(id)!)).find((result) => result !== null);
    if (trial === undefined || loss === null || quality?.kind !== 'ap') return [];
    return [
      {
        name: nameOf(configuration, baseline.configuration),
        fps: trial.fps,
        p99Ms: trial.latencyMs.p99,
        ap: quality.baseline - loss,
        cpuMsPerFrame: trial.cpuMsPerFrame?.total ?? null,
        kind: 'refused',
        measured: measured(...measurements),
      },
    ];
  });
  const trial = trialIn(byId.get(baseline.measurement)!)!;
  const start: ParetoMark = {
    name: nameOf(baseline.configuration, baseline.configuration),
    fps: trial.fps,
    p99Ms: trial.latencyMs.p99,
    ap: quality?.kind === 'ap' ? quality.baseline : null,
    cpuMsPerFrame: trial.cpuMsPerFrame?.total ?? null,
    kind: 'baseline',
    measured: measured(baseline.measurement),
  };
  const all = front.some(({ kind }) => kind === 'baseline') ? front : [start, ...front];
  return input.pareto.length === 0 ? [] : [...all, ...refused].sort((a, b) => a.fps - b.fps);
}

function nameOf(configuration: Configuration, baseline: Configuration): Text {
  const more = furtherDifferences(configuration, baseline);
  return [code(describeConfiguration(configuration)), ...(more.length === 0 ? [] : [`; ${more.join(', ')}`])];
}

function isSame(a: Configuration, b: Configuration): boolean {
  return differences(a, b).length === 0;
}

function refusals({ refusals: refused, quality, baseline }: ReportInput): readonly Block[] {
  if (refused.length === 0) return [heading('Refused'), paragraph('The quality gate refused nothing.')];
  const unit = quality?.kind === 'agreement' ? 'F1' : 'AP';
  return [
    heading('Refused'),
    paragraph(
      `The quality gate refused ${counted(refused.length, 'configuration')}. No speed buys one back: ${whole(refused.length) === '1' ? 'it is' : 'they are'} not part of any result above.`,
    ),
    {
      kind: 'table',
      table: tableOf(
        ['Configuration', `>Loss of ${unit}`, '>Upper bound', '>Allowed', 'Why'],
        refused.map((refusal) => [
          [...nameOf(refusal.configuration, baseline.configuration), measured(...refusal.measurements)],
          refusal.loss === null ? '–' : score(refusal.loss),
          refusal.upperBound === null ? '–' : score(refusal.upperBound),
          score(refusal.allowed),
          refusal.reason,
        ]),
      ),
    },
  ];
}
