import { type Block, measured, paragraph, type Section, strong, tableOf } from '../document.ts';
import { counted, factor, percent } from '../figures.ts';
import { type Findings, predictionError } from '../findings.ts';
import { busyLines } from '../plots/busy-lines.ts';

/** What held the pipeline back, worst first, with predicted and measured gains side by side. */
export function bottlenecksSection(findings: Findings): Section {
  const { bottlenecks } = findings.input;
  const table: Block[] =
    bottlenecks.length === 0
      ? [paragraph('No part of the pipeline holds it back.')]
      : [
          {
            kind: 'table',
            table: tableOf(
              ['Part', '>Busy', 'What was seen, and the remedy', '>Predicted', '>Measured', '>Error'],
              bottlenecks.map((bottleneck) => [
                [bottleneck.part, measured(...bottleneck.measurements)],
                percent(bottleneck.busyRatio),
                [`${bottleneck.explanation} `, strong('Remedy:'), ` ${bottleneck.remedy}`],
                factor(bottleneck.predictedGain),
                bottleneck.measuredGain === null ? 'not tried' : factor(bottleneck.measuredGain),
                bottleneck.measuredGain === null
                  ? '–'
                  : percent(predictionError(bottleneck.predictedGain, bottleneck.measuredGain)),
              ]),
            ),
          },
        ];
  return {
    id: 'bottlenecks',
    title: 'Bottlenecks',
    blocks: [...table, predictions(findings), ...busyOverTime(findings)],
  };
}

function predictions({ predictions: { medianError, count }, input }: Findings): Block {
  if (medianError === null) return paragraph('No prediction was put to the test.');
  const ids = input.steps.filter(({ measuredGain }) => measuredGain !== null).flatMap((step) => step.measurements);
  return paragraph(
    `Every gain was predicted before its change was measured. Over ${counted(count, 'measured change')} `,
    `the median absolute error of the predictions is ${percent(medianError)}`,
    measured(...ids),
    '.',
  );
}

function busyOverTime({ input, before, after, hasChanged }: Findings): readonly Block[] {
  const panels = [
    { name: 'Before', windows: before.windows },
    ...(hasChanged ? [{ name: 'After', windows: after.windows }] : []),
  ].filter(({ windows }) => windows.length > 0);
  if (panels.length === 0) return [];
  const ids = measured(input.baseline.measurement, ...(hasChanged ? [input.best.measurement] : []));
  return [
    {
      kind: 'plot',
      plot: busyLines(
        'How busy each stage is',
        ['Share of its own capacity that each stage uses; the one at the top holds the others back', ids, '.'],
        panels,
      ),
    },
  ];
}
