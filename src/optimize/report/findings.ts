import type { LeverId, Step } from '../result.ts';
import { LEVERS } from './configuration-text.ts';
import { median } from './figures.ts';
import type { ReportInput, ReportMeasurement, ReportSide, ReportTrial } from './report-input.ts';

/** A step with a measured gain. */
export type MeasuredStep = Step & { readonly measuredGain: number };

/** What follows from the measurements and is used by several sections. */
export interface Findings {
  readonly input: ReportInput;
  readonly before: ReportTrial;
  readonly after: ReportTrial;
  /** Frames per second after divided by before. */
  readonly speedup: number;
  /** False if the search ended where it began. */
  readonly hasChanged: boolean;
  /** Steps whose changes are in the best configuration, in order. */
  readonly adopted: readonly MeasuredStep[];
  /** The speedup divided by the product of the adopted steps: what they do together beyond each alone, and noise. */
  readonly together: number;
  readonly predictions: PredictionError;
}

/** How far predicted gains were from measured ones. */
export interface PredictionError {
  /** Median of |predicted / measured - 1|; null without a prediction that was measured. */
  readonly medianError: number | null;
  readonly count: number;
}

/** @throws RangeError if a part names a measurement that is not there, or a side has no trial. */
export function findingsOf(input: ReportInput): Findings {
  const byId = new Map(input.measurements.map((record) => [record.id, record]));
  requireNamed(input, byId);
  const before = trialOf(input.baseline, byId);
  const after = trialOf(input.best, byId);
  const adopted = adoptedSteps(input);
  const speedup = after.fps / before.fps;
  const measuredSteps = input.steps.filter(isMeasured);
  const errors = measuredSteps.map((step) => predictionError(step.predictedGain, step.measuredGain));
  return {
    input,
    before,
    after,
    speedup,
    hasChanged: LEVERS.some((lever) => input.best.configuration[lever] !== input.baseline.configuration[lever]),
    adopted,
    together: speedup / adopted.reduce((product, { measuredGain }) => product * measuredGain, 1),
    predictions: { medianError: errors.length === 0 ? null : median(errors), count: errors.length },
  };
}

/** |predicted / measured - 1|: 0.1 if the prediction was 10 % off. */
export function predictionError(predicted: number, actual: number): number {
  return Math.abs(predicted / actual - 1);
}

export function isMeasured(step: Step): step is MeasuredStep {
  return step.measuredGain !== null;
}

/** The trial in a measurement's result; null if it has none. */
export function trialIn({ result }: ReportMeasurement): ReportTrial | null {
  return result !== null && 'fps' in result && 'latencyMs' in result ? (result as ReportTrial) : null;
}

function trialOf({ measurement }: ReportSide, byId: ReadonlyMap<string, ReportMeasurement>): ReportTrial {
  const trial = trialIn(byId.get(measurement)!);
  if (trial === null)
    throw new RangeError(`${measurement} stands for a configuration, but is not a trial with a result`);
  return trial;
}

/**
 * The steps that lead to the best configuration: for each lever the last one that was taken and ends at its value, then the one that
 * led to where that began, and so on. What was better than its start but not chosen is left out.
 */
function adoptedSteps({ steps, best }: ReportInput): readonly MeasuredStep[] {
  const value = new Map<LeverId, string>(LEVERS.map((lever) => [lever, String(best.configuration[lever])]));
  const adopted: MeasuredStep[] = [];
  for (const step of [...steps].reverse()) {
    if (!isMeasured(step) || !step.isTaken || value.get(step.lever) !== bare(step.to)) continue;
    value.set(step.lever, bare(step.from));
    adopted.unshift(step);
  }
  return adopted;
}

/** The value of the lever itself, without those that changed along with it. */
function bare(value: string): string {
  return value.split(' (')[0]!;
}

function requireNamed(input: ReportInput, byId: ReadonlyMap<string, ReportMeasurement>): void {
  const named: readonly (readonly [where: string, ids: readonly string[]])[] = [
    ['the baseline', [input.baseline.measurement, ...(input.baseline.capacity?.measurements ?? [])]],
    ['the best configuration', [input.best.measurement, ...(input.best.capacity?.measurements ?? [])]],
    ...input.steps.map((step, i) => [`step ${i + 1}`, step.measurements] as const),
    ...input.refusals.map((refusal, i) => [`refusal ${i + 1}`, refusal.measurements] as const),
    ...input.bottlenecks.map(({ part, measurements }) => [`bottleneck ${part}`, measurements] as const),
    ...input.pareto.map((point, i) => [`Pareto point ${i + 1}`, point.measurements] as const),
    ['the quality', input.quality?.measurements ?? []],
    ['the skipped frames', input.skipped?.measurements ?? []],
  ];
  for (const [where, ids] of named)
    for (const id of ids)
      if (!byId.has(id)) throw new RangeError(`${where} names measurement ${id}, which is not among the measurements`);
}
