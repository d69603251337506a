import { median } from '../../measure/report/figures.ts';
import type { CountComparison } from '../gate/compare-counts.ts';
import { changedLevers, LEVER_IDS, LEVERS, valueText } from '../levers/levers.ts';
import type { Configuration, LeverId, Step } from '../result.ts';
import type { FinalVerdict } from '../search/finals.ts';
import type { LiveSide, QualityFigure, ReportInput, ReportMeasurement, ReportTrial } from './report-input.ts';

/** A step with a measured gain. */
export type MeasuredStep = Step & { readonly measuredGain: number };

/**
 * What can be said about the best configuration. Only `faster` is good news.
 * - `invalid`: other programs used the machine, so nothing is known.
 * - `untried`: no change was measured or judged: the time was too short, or no lever had another value.
 * - `unchanged`: the search ended where it began.
 * - `unproven`: it was not compared with the baseline in turn, the interval of the ratio reaches 1, or it is below `LEAST_RATIO`.
 * - `quality open`: faster, but the held-out part has not passed it.
 * - `counts differ`: faster, but the user's own counts change more than is tolerated, and nobody accepted that.
 */
type Outcome = 'invalid' | 'untried' | 'unchanged' | 'unproven' | 'quality open' | 'counts differ' | 'faster';

interface LiveFindings extends LiveSide {
  readonly name: 'before' | 'after';
  readonly trial: ReportTrial;
}

/** What follows from the measurements and is used by several sections. */
export interface Findings {
  readonly input: ReportInput;
  readonly outcome: Outcome;
  readonly before: ReportTrial;
  readonly after: ReportTrial;
  /** False if the search ended where it began. */
  readonly hasChanged: boolean;
  /** Whether some change may alter what is detected. */
  readonly mayDetectOthers: boolean;
  /** The held-out verdict on the best configuration; null if it was not among the finalists. */
  readonly verdict: FinalVerdict | null;
  /** What is best known of the quality: the held-out part, else the part that chose. */
  readonly quality: QualityFigure | null;
  /** Steps whose changes are in the best configuration, in order. */
  readonly adopted: readonly MeasuredStep[];
  readonly live: readonly LiveFindings[];
  readonly predictions: Predictions;
}

/** How far predicted gains were from measured ones. */
interface Predictions {
  /** Median of |predicted / measured - 1| over predicted effects above 5 %; null without any. */
  readonly medianError: number | null;
  readonly count: number;
  /** Changes predicted to do nothing, and the largest effect that one of them had. */
  readonly nothing: { readonly count: number; readonly largest: MeasuredStep | null };
}

/** A smaller gain is not worth a change, however certain. */
export const LEAST_RATIO = 1.01;
/** A smaller predicted effect is "nothing": predicting nothing where nothing happens is no skill. */
const LEAST_EFFECT = 0.05;

/** @throws RangeError if a part names a measurement that is not there, or one that is no trial where a trial must be. */
export function findingsOf(input: ReportInput): Findings {
  const byId = new Map(input.measurements.map((record) => [record.id, record]));
  requireNamed(input, byId);
  const changed = changedLevers(input.best.configuration, input.baseline.configuration);
  const { heldOut, search } = input.quality;
  const partial = {
    input,
    hasChanged: changed.length > 0,
    quality: heldOut ?? search,
    mayDetectOthers: changed.some((lever) => LEVERS[lever].affectsDetections),
    verdict: input.finalists.find(({ configuration }) => isSame(configuration, input.best.configuration)) ?? null,
  };
  return {
    ...partial,
    outcome: outcomeOf(partial),
    before: trialOf(input.baseline.measurement, byId),
    after: trialOf(input.best.measurement, byId),
    adopted: adoptedSteps(input),
    live: (['before', 'after'] as const).flatMap((name) => {
      const side = input.liveStages[name];
      return side === null || (name === 'after' && changed.length === 0)
        ? []
        : [{ ...side, name, trial: trialOf(side.measurement, byId) }];
    }),
    predictions: predictionsOf(input.steps.filter(isMeasured)),
  };
}

function outcomeOf({
  input: { validity, speedup, counts, quality, steps },
  hasChanged,
  mayDetectOthers,
  verdict,
}: Pick<Findings, 'input' | 'hasChanged' | 'mayDetectOthers' | 'verdict'>): Outcome {
  if (!validity.isValid) return 'invalid';
  if (!hasChanged) return steps.some(({ verdict }) => verdict !== 'ruled-out') ? 'unchanged' : 'untried';
  if (speedup === null || !(speedup.interval[0] > 1 && speedup.ratio >= LEAST_RATIO)) return 'unproven';
  const isJudged = quality.heldOut !== null || counts?.isAccepted === true;
  if (mayDetectOthers && !(isJudged && verdict?.verdict === 'passed')) return 'quality open';
  const isOtherwise = counts?.counts.some(differs) ?? false;
  if (isOtherwise && counts?.isAccepted !== true) return 'counts differ';
  return 'faster';
}

/** What could not be counted differs. */
export function differs({ difference, allowed }: CountComparison): boolean {
  return !(difference <= allowed);
}

export function isSame(a: Configuration, b: Configuration): boolean {
  return changedLevers(a, b).length === 0;
}

function predictionsOf(steps: readonly MeasuredStep[]): Predictions {
  const isEffect = ({ predictedGain }: Step): boolean => Math.abs(predictedGain - 1) > LEAST_EFFECT;
  const errors = steps.filter(isEffect).map((step) => predictionError(step.predictedGain, step.measuredGain));
  const idle = steps.filter((step) => !isEffect(step));
  const surprise = ({ measuredGain }: MeasuredStep): number => Math.abs(Math.log(measuredGain));
  return {
    medianError: errors.length === 0 ? null : median(errors),
    count: errors.length,
    nothing: { count: idle.length, largest: [...idle].sort((a, b) => surprise(b) - surprise(a))[0] ?? null },
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

function trialOf(id: string, byId: ReadonlyMap<string, ReportMeasurement>): ReportTrial {
  const trial = trialIn(byId.get(id)!);
  if (trial === null) throw new RangeError(`${id} stands for a configuration, but is not a trial with a result`);
  return trial;
}

/**
 * The steps that lead to the best configuration: for each lever the last one that was taken and ends at its value, then the one that
 * led to where that began, and so on. What was better than its start but not chosen is left out.
 */
function adoptedSteps({ steps, best }: ReportInput): readonly MeasuredStep[] {
  const value = new Map<LeverId, string>(LEVER_IDS.map((lever) => [lever, valueText(lever, best.configuration)]));
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

/** Every part of the input that names measurements does so by `measurement` or `measurements`. */
function requireNamed({ measurements: _own, ...parts }: ReportInput, byId: ReadonlyMap<string, unknown>): void {
  const visit = (value: unknown, where: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, part] of Object.entries(value)) {
      const ids = key === 'measurement' || key === 'measurements' ? [part].flat() : [];
      const unknown = ids.find((id) => !byId.has(String(id)));
      if (unknown !== undefined)
        throw new RangeError(`${where} names measurement ${String(unknown)}, which is not among the measurements`);
      if (ids.length === 0) visit(part, `${where}.${key}`);
    }
  };
  visit(parts, 'the report');
}
