import { LEVERS } from '../levers/levers.ts';
import type { Step } from '../result.ts';
import { describeStep } from './configuration-text.ts';
import { counted, factor, fps, interval, percent, signedScore, whole } from './figures.ts';
import { type Findings, isMeasured, predictionError } from './findings.ts';
import { blocks, folded, image, type Markdown, md, measured, NOTHING, strong, table } from './markdown.ts';
import { gainPlot, type PlotSpec } from './plots.ts';

/** How the adopted changes lead from the old rate to the new one, each beside a baseline of its own. */
export function gainsSection(findings: Findings): Markdown {
  const { adopted, input, hasChanged } = findings;
  if (!hasChanged || adopted.length === 0) return NOTHING;
  const { speedup } = input;
  const rows = adopted.map((step) => {
    return [
      md`${describeStep(step)}${measured(...step.measurements)}`,
      factor(step.predictedGain),
      factor(step.measuredGain),
      step.interval === null ? '–' : interval(step.interval),
      step.beside === null ? '–' : `${fps(step.beside[0])} to ${fps(step.beside[1])}`,
    ];
  });
  return folded(
    'From the old rate to the new one',
    md`Each change was measured in turn with what it started from, A B B A. Bars of equal length are equal ratios; the upright stroke is what was predicted. The last bar is measured by itself, both sides in turn${measured(...(speedup?.measurements ?? []))}.`,
    gainPlots(findings).length === 0 ? NOTHING : image('gains', 'From the old rate to the new one'),
    table(['Change', '>Predicted', '>Measured', '>95 % interval', '>In turn'], rows),
  );
}

export function gainPlots({
  adopted,
  input: { speedup },
  hasChanged,
}: Findings): readonly (readonly [string, PlotSpec])[] {
  if (!hasChanged || adopted.length === 0 || speedup === null) return [];
  const gains = adopted.map((step) => ({
    ...{
      name: describeStep(step),
      predicted: step.predictedGain,
      measured: step.measuredGain,
      interval: step.interval,
    },
  }));
  const whole = {
    name: 'all of them, before and after in turn',
    predicted: null,
    measured: speedup.ratio,
    interval: speedup.interval,
  };
  return [['gains', gainPlot(gains, whole)]];
}

/** The bottlenecks, and how good the predictions were. */
export function bottlenecksSection(findings: Findings): Markdown {
  const { bottlenecks } = findings.input;
  const rows = bottlenecks.map(
    ({ part, busyRatio, explanation, remedy, predictedGain, measuredGain, measurements }) => [
      md`${part}${measured(...measurements)}`,
      percent(busyRatio),
      md`${explanation} ${strong('Remedy:')} ${remedy}`,
      factor(predictedGain),
      measuredGain === null
        ? 'not compared'
        : `${factor(measuredGain)}, ${percent(predictionError(predictedGain, measuredGain))} off`,
    ],
  );
  return folded(
    'Bottlenecks and predictions',
    rows.length === 0
      ? 'No bottleneck was found.'
      : table(['Part', '>Busy', 'What was seen', '>Predicted', '>Measured'], rows),
    rows.some((row) => row[4] === 'not compared')
      ? 'A prediction is compared only with a change that does what it assumes, such as one that halves the time for inference.'
      : NOTHING,
    predictionText(findings),
  );
}

function predictionText({ predictions: { medianError, count, nothing } }: Findings): Markdown {
  const { largest } = nothing;
  return blocks(
    medianError === null
      ? 'No predicted effect above 5\u00a0% was put to the test.'
      : md`Over ${counted(count, 'change')} with a predicted effect above 5\u00a0%, the median error of the predictions is ${percent(medianError)}.`,
    nothing.count === 0 || largest === null
      ? NOTHING
      : md`${counted(nothing.count, 'change')} ${nothing.count === 1 ? 'was' : 'were'} predicted to change nothing; the largest surprise is ${describeStep(largest)}, ${factor(largest.measuredGain)}${measured(...largest.measurements)}.`,
  );
}

/** Whether the gate could not decide on the quality of a change, so that its gain was not measured. */
function isJudged({ verdict, apLoss }: Step): boolean {
  return verdict === 'inconclusive' && apLoss !== null;
}

/** Every change that was considered, and the techniques that somebody would ask about. */
export function triedSection({ input }: Findings): Markdown {
  const run = input.steps.filter(
    (step) => isMeasured(step) || isJudged(step) || step.verdict === 'refused' || step.verdict === 'failed',
  );
  const ruledOut = input.steps.filter((step) => !run.includes(step));
  const rows = run.map((step) => [
    md`${describeStep(step)}${measured(...step.measurements)}`,
    factor(step.predictedGain),
    step.measuredGain === null ? 'not run' : factor(step.measuredGain),
    step.interval === null ? '–' : interval(step.interval),
    step.apLoss === null ? '–' : signedScore(-step.apLoss),
    strong(step.verdict),
    step.reason,
  ]);
  const sentences = [...new Set(run.map(({ lever }) => lever))].map((lever) => LEVERS[lever].does);
  return folded(
    'Everything that was tried, and what was not',
    table(
      ['Technique', '', 'Outcome, or why not'],
      input.techniques.map(({ name, state, reason, measurements }) => [
        name,
        state,
        md`${reason}${measured(...measurements)}`,
      ]),
    ),
    sentences.join(' '),
    table(['Change', '>Predicted', '>Measured', '>95 % interval', '>Quality', 'Verdict', 'Why'], rows),
    folded(
      `Not run, because they could not win: ${whole(ruledOut.length)}`,
      table(
        ['Change', '>Predicted', 'Why'],
        ruledOut.map((step) => [describeStep(step), factor(step.predictedGain), step.reason]),
      ),
    ),
  );
}
