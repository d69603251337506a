import { LEVERS } from '../levers/levers.ts';
import type { Step } from '../result.ts';
import { describeStep } from './configuration-text.ts';
import { change, counted, factor, fps, interval, percent, whole } from './figures.ts';
import { type Findings, isMeasured, type MeasuredStep, predictionError } from './findings.ts';
import { blocks, folded, image, type Markdown, md, measured, NOTHING, strong, table } from './markdown.ts';
import { gainPlot, type PlotSpec } from './plots.ts';
import type { ReportSpeedup } from './report-input.ts';

/** How the adopted changes lead from the old rate to the new one, each beside a baseline of its own. */
export function gainsSection({ adopted, input: { speedup }, hasChanged }: Findings): Markdown {
  if (!hasChanged || adopted.length === 0) return NOTHING;
  const title = 'From the old rate to the new one';
  return folded(
    title,
    md`Each change was measured in turn with what it started from, A B B A. Bars of equal length are equal ratios; the upright stroke is what was predicted. The last bar is measured by itself, both sides in turn${measured(...(speedup?.measurements ?? []))}.`,
    speedup === null ? NOTHING : image('gains', title, plotOf(adopted, speedup)),
    table(adopted, {
      Change: (step) => md`${describeStep(step)}${measured(...step.measurements)}`,
      '>Predicted': ({ predictedGain }) => factor(predictedGain),
      '>Measured': ({ measuredGain }) => factor(measuredGain),
      '>95 % interval': (step) => interval(step.interval),
      '>In turn': ({ beside }) => beside && `${fps(beside[0])} to ${fps(beside[1])}`,
    }),
  );
}

function plotOf(adopted: readonly MeasuredStep[], { ratio, interval: span }: ReportSpeedup): PlotSpec {
  const gains = adopted.map((step) => ({
    ...{
      name: describeStep(step),
      predicted: step.predictedGain,
      measured: step.measuredGain,
      interval: step.interval,
    },
  }));
  const whole = { name: 'all of them, before and after in turn', predicted: null, measured: ratio, interval: span };
  return gainPlot(gains, whole);
}

/** The bottlenecks, and how good the predictions were. */
export function bottlenecksSection(findings: Findings): Markdown {
  const { bottlenecks } = findings.input;
  return folded(
    'Bottlenecks and predictions',
    bottlenecks.length === 0
      ? 'No bottleneck was found.'
      : table(bottlenecks, {
          Part: ({ part, measurements }) => md`${part}${measured(...measurements)}`,
          '>Busy': ({ busyRatio }) => percent(busyRatio),
          'What was seen': ({ explanation, remedy }) => md`${explanation} ${strong('Remedy:')} ${remedy}`,
          '>Predicted': ({ predictedGain }) => factor(predictedGain),
          '>Measured': ({ predictedGain, measuredGain: gain }) =>
            gain === null ? 'not compared' : `${factor(gain)}, ${percent(predictionError(predictedGain, gain))} off`,
        }),
    bottlenecks.some(({ measuredGain }) => measuredGain === null)
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
  const sentences = [...new Set(run.map(({ lever }) => lever))].map((lever) => LEVERS[lever].does);
  return folded(
    'Everything that was tried, and what was not',
    table(input.techniques, {
      Technique: ({ name }) => name,
      '': ({ state }) => state,
      'Outcome, or why not': ({ reason, measurements }) => md`${reason}${measured(...measurements)}`,
    }),
    sentences.join(' '),
    table(run, {
      Change: (step) => md`${describeStep(step)}${measured(...step.measurements)}`,
      '>Predicted': ({ predictedGain }) => factor(predictedGain),
      '>Measured': ({ measuredGain }) => (measuredGain === null ? 'not run' : factor(measuredGain)),
      '>95 % interval': (step) => interval(step.interval),
      '>Quality': ({ apLoss }) => change(apLoss),
      Verdict: ({ verdict }) => strong(verdict),
      Why: ({ reason }) => reason,
    }),
    folded(
      `Not run, because they could not win: ${whole(ruledOut.length)}`,
      table(ruledOut, {
        Change: describeStep,
        '>Predicted': ({ predictedGain }) => factor(predictedGain),
        Why: ({ reason }) => reason,
      }),
    ),
  );
}
