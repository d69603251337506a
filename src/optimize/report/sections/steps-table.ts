import type { LeverId, Step, StepVerdict } from '../../result.ts';
import { describeStep, LEVER_NAMES } from '../configuration-text.ts';
import { measured, type Table, type Tone, tableOf } from '../document.ts';
import { amount, factor, signedScore } from '../figures.ts';

const TONES: Readonly<Record<StepVerdict, Tone>> = {
  better: 'good',
  worse: 'bad',
  inconclusive: 'neutral',
  refused: 'bad',
  failed: 'bad',
  'ruled-out': 'neutral',
};

/** Every change that was tried, with its prediction beside its measurement. */
export function stepsTable(steps: readonly Step[]): Table {
  return tableOf(
    ['Change', '>Predicted', '>Measured', '95 % interval', '>Change of AP', 'Verdict', 'Why'],
    steps.map((step) => [
      [describeStep(step), measured(...step.measurements)],
      factor(step.predictedGain),
      step.measuredGain === null ? 'not run' : factor(step.measuredGain),
      intervalText(step.interval),
      step.apLoss === null ? '–' : signedScore(-step.apLoss),
      { text: [step.verdict], tone: TONES[step.verdict] },
      step.reason,
    ]),
  );
}

export function intervalText(interval: readonly [number, number] | null): string {
  return interval === null ? '–' : `${amount(interval[0])}\u00a0to\u00a0${amount(interval[1])}`;
}

/** Names of the levers that no step moved; empty if each was tried. */
export function untouched(levers: readonly LeverId[], steps: readonly Step[]): readonly string[] {
  const tried = new Set(steps.map(({ lever }) => lever));
  return levers.filter((lever) => !tried.has(lever)).map((lever) => LEVER_NAMES[lever]);
}
