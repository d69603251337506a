import { describeStep } from './configuration-text.ts';
import { type Block, code, measured, namedMeasurements, type ReportDocument, type Section } from './document.ts';
import { duration, factor, fps, percent } from './figures.ts';
import { type Findings, findingsOf } from './findings.ts';
import { type Gain, gainWaterfall } from './plots/gain-waterfall.ts';
import type { ReportInput } from './report-input.ts';
import { baselineSection } from './sections/baseline-section.ts';
import { bottlenecksSection } from './sections/bottlenecks-section.ts';
import { inferenceSection, languageModelsSection } from './sections/inference-section.ts';
import { infrastructureSection } from './sections/infrastructure-section.ts';
import { measurementsSection, resultText } from './sections/measurements-section.ts';
import { modelSection } from './sections/model-section.ts';
import { roadmapSection } from './sections/roadmap-section.ts';
import { summarySection } from './sections/summary-section.ts';
import { trainingSection } from './sections/training-section.ts';
import { validationSection } from './sections/validation-section.ts';

/** Below this, what the changes do together beyond each alone is noise and not a row of its own. */
const TOGETHER_LEAST = 0.02;

/**
 * Makes the report of an optimisation: every sentence, table and plot follows from the input.
 *
 * @throws RangeError if the input names a measurement that it does not hold.
 */
export function buildReport(input: ReportInput): ReportDocument {
  const findings = findingsOf(input);
  const summary = summarySection(findings);
  const sections: readonly Section[] = [
    { ...summary, blocks: [...summary.blocks, ...waterfall(findings)] },
    baselineSection(findings),
    bottlenecksSection(findings),
    modelSection(findings),
    inferenceSection(findings),
    infrastructureSection(findings),
    languageModelsSection(findings),
    trainingSection(findings),
    validationSection(findings),
    roadmapSection(findings),
    measurementsSection(findings),
  ];
  const document: ReportDocument = {
    title: 'Optimisation report',
    subtitle: [
      code(input.subject),
      `, ${input.createdAt.slice(0, 10)}, ${duration(input.seconds)} of measuring, seed ${input.seed}`,
    ],
    sections,
    measurementTitles: new Map(input.measurements.map((record) => [record.id, titleOf(record)])),
  };
  for (const id of namedMeasurements(document))
    if (!document.measurementTitles.has(id))
      throw new RangeError(`the report names measurement ${id}, which does not exist`);
  return document;
}

function titleOf(record: ReportInput['measurements'][number]): string {
  return `${record.id}, ${record.kind}, ${record.scenario}: ${resultText(record)}`;
}

/** How the adopted changes lead from the first rate to the last. */
function waterfall({ input, adopted, before, after, speedup, together, hasChanged }: Findings): readonly Block[] {
  if (!hasChanged || adopted.length === 0) return [];
  const gains: Gain[] = adopted.map((step) => ({
    name: describeStep(step),
    predicted: step.predictedGain,
    measured: step.measuredGain,
  }));
  const hasRest = Math.abs(together - 1) >= TOGETHER_LEAST;
  if (hasRest) gains.push({ name: 'together, beyond each alone', predicted: null, measured: together });
  const product = speedup / together;
  const ids = measured(
    input.baseline.measurement,
    ...adopted.flatMap(({ measurements }) => measurements),
    input.best.measurement,
  );
  return [
    {
      kind: 'plot',
      plot: gainWaterfall(
        'From the old rate to the new one',
        [
          `From ${fps(before.fps)} to ${fps(after.fps)}. Equal lengths are equal ratios; the upright stroke is what was predicted. `,
          hasRest
            ? `The changes multiply to ${factor(product)}; measured together they are ${factor(speedup)}, ${percent(Math.abs(together - 1))} ${together > 1 ? 'more' : 'less'}`
            : `The changes multiply to ${factor(product)}, and together they are ${factor(speedup)}`,
          ids,
          '.',
        ],
        { startFps: before.fps, endFps: after.fps },
        gains,
      ),
    },
  ];
}
