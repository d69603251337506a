import type { Refusal } from '../../result.ts';
import { describeConfiguration, describeStep } from '../configuration-text.ts';
import {
  type Block,
  type Cell,
  code,
  heading,
  measured,
  paragraph,
  type Section,
  type Span,
  type Text,
  tableOf,
} from '../document.ts';
import { factor, score } from '../figures.ts';
import type { Findings } from '../findings.ts';
import { PRUNED } from '../published-results.ts';
import { distillationRange, gainOfPruning } from './training-section.ts';

type Row = readonly (Span | Cell | Text)[];

/** What to do within days, weeks and months, with expected and measured gains, effort and risk. */
export function roadmapSection(findings: Findings): Section {
  const horizons = [
    ['Days', days(findings)],
    ['Weeks', weeks(findings)],
    ['Months', months(findings)],
  ] as const;
  return {
    id: 'roadmap',
    title: 'Roadmap',
    blocks: [
      paragraph(
        'Gains are ratios of the rate, predicted before a change and measured after it, unless they are marked as AP.',
      ),
      ...horizons.flatMap(([title, rows]): Block[] =>
        rows.length === 0
          ? []
          : [
              heading(title),
              { kind: 'table', table: tableOf(['What', '>Expected', '>Measured', 'Effort', 'Risk'], rows) },
            ],
      ),
    ],
  };
}

/** Adopt what was found. */
function days({ input, adopted, speedup, hasChanged }: Findings): readonly Row[] {
  if (!hasChanged) return [];
  const expected = adopted.reduce((product, { predictedGain }) => product * predictedGain, 1);
  return [
    [
      [
        'Adopt ',
        code(input.options.bestPath),
        ' by a roll-out in steps',
        measured(input.baseline.measurement, input.best.measurement),
      ],
      adopted.length === 0 ? '–' : factor(expected),
      factor(speedup),
      'one command',
      'low: it goes back by itself if a guard fails',
    ],
    ...adopted.map((step) => [
      [`part of it: ${describeStep(step)}`, measured(...step.measurements)],
      factor(step.predictedGain),
      factor(step.measuredGain),
      input.levers[step.lever].effort,
      input.levers[step.lever].risk,
    ]),
  ];
}

/** What needs more pictures, more measuring or a change of the set-up. */
function weeks({ input }: Findings): readonly Row[] {
  const undecided = input.steps.filter(({ verdict }) => verdict === 'inconclusive');
  const remedies = input.bottlenecks.filter(({ measuredGain }) => measuredGain === null);
  const hasLabels = input.options.annotations !== null;
  const [evidence, effort] = hasLabels
    ? ['label more pictures', 'labelling']
    : ['judge on a longer recording', 'hours'];
  return [
    ...remedies.map(({ remedy, predictedGain, part, measurements }) => [
      [`${part}: ${remedy}`, measured(...measurements)],
      factor(predictedGain),
      'not tried',
      'depends on the set-up',
      'measure it first',
    ]),
    ...undecided.map((step) => [
      [`measure again for longer: ${describeStep(step)}`, measured(...step.measurements)],
      factor(step.predictedGain),
      step.measuredGain === null ? 'not run' : `${factor(step.measuredGain)}, inconclusive`,
      input.levers[step.lever].effort,
      input.levers[step.lever].risk,
    ]),
    ...input.refusals
      .filter(isUndecided)
      .map(({ configuration, reason, measurements }) => [
        [`${evidence} for ${describeConfiguration(configuration)}`, measured(...measurements)],
        '–',
        'inconclusive',
        effort,
        reason,
      ]),
  ];
}

/** The estimate is within the allowance, but its upper bound is not: more pictures would decide. */
function isUndecided({ loss, allowed, upperBound }: Refusal): boolean {
  return loss !== null && loss <= allowed && upperBound !== null && upperBound > allowed;
}

/** What needs training. */
function months(findings: Findings): readonly Row[] {
  const { input } = findings;
  const { model } = input.best.configuration;
  const [low, high] = distillationRange();
  const pruned = PRUNED[0]!;
  const gain = gainOfPruning(findings, pruned.keptRatio);
  return [
    [
      [`distil ${model} from a larger network, gain as published, and bring it in with `, code('--candidates')],
      `AP +${score(low)} to +${score(high)}`,
      'not tried',
      'training data, a GPU for days',
      'low: the gate judges it',
    ],
    [
      [`prune ${model} and train it again`, ...(gain === null ? [] : [measured(input.best.measurement)])],
      gain === null ? '–' : `at most ${factor(gain)}`,
      'not tried',
      'training data, a GPU for days',
      `${pruned.network} lost ${score(pruned.apBefore - pruned.apAfter)} AP`,
    ],
  ];
}
