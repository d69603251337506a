import type { MeasurementRecord } from '../../measure/measurement-log.ts';
import type { TrialResult, WindowFigures } from '../../measure/trial-result.ts';

/** Whether the machine was left alone enough for the figures to hold. */
export interface Validity {
  readonly isValid: boolean;
  /** Whole sentences. */
  readonly reasons: readonly string[];
}

/** With a larger share of disturbed windows the figures describe the machine's other load, not the pipeline. */
const MOST_DISTURBED_RATIO = 0.25;
const FEWEST_WINDOWS = 10;
const BY_CPU_TIME =
  'Rates are by CPU time: frames per second if all cores did nothing else. What only overlaps better, or uses more cores, does not show in them.';

/**
 * Judges a set of measurements by the windows in which others took the CPU.
 *
 * @param byCpuTime - whether they are stated by CPU time, which holds whatever others take
 */
export function validityOf(records: readonly MeasurementRecord<unknown, object>[], byCpuTime: boolean): Validity {
  if (byCpuTime) return { isValid: true, reasons: [BY_CPU_TIME] };
  const windows = records.flatMap(({ result }) => windowsIn(result));
  if (windows.length > 0 && windows.every(({ machine }) => machine.otherRatio === null))
    return {
      isValid: true,
      reasons: ['This system does not report what other processes use, so that was not checked.'],
    };
  const disturbed = windows.filter(({ isDiscarded }) => isDiscarded);
  const ratio = windows.length === 0 ? 0 : disturbed.length / windows.length;
  if (windows.length < FEWEST_WINDOWS || ratio <= MOST_DISTURBED_RATIO) return { isValid: true, reasons: [] };
  const share = `${Math.round(ratio * 100)} % of ${windows.length} windows`;
  const others = mean(disturbed.map(({ machine }) => machine.otherRatio));
  const stolen = mean(disturbed.map(({ machine }) => machine.stealRatio));
  const reasons = [`The machine was not free: in ${share} other programs took too much of the CPU for a measurement.`];
  if (others !== null) reasons.push(`In those windows other processes used ${Math.round(others * 100)} % of the CPU.`);
  if (stolen !== null && stolen >= 0.01)
    reasons.push(`Other virtual machines took ${Math.round(stolen * 100)} % of it.`);
  return { isValid: false, reasons };
}

/** Says after the first measurement that others take the CPU, as the whole is likely to come out invalid; null if they do not. */
export function earlyWarning({ result }: Pick<MeasurementRecord<unknown, object>, 'result'>): string | null {
  const windows = windowsIn(result);
  const disturbed = windows.filter(({ isDiscarded }) => isDiscarded);
  if (windows.length === 0 || disturbed.length <= MOST_DISTURBED_RATIO * windows.length) return null;
  const others = mean(disturbed.map(({ machine }) => machine.otherRatio));
  const share = others === null ? '' : ` (${Math.round(others * 100)} % of the CPU)`;
  return `the machine is not free: in ${disturbed.length} of ${windows.length} windows of the first measurement other programs${share} or virtual machines took too much. What is found may come out invalid: stop them and begin again, with --when-busy wait if they end by themselves or --when-busy cpu-time if they do not`;
}

/** Windows of a trial, or of the trials of a pair or comparison. */
function windowsIn(result: object | null): readonly WindowFigures[] {
  if (result === null) return [];
  const { windows, a, b } = result as Partial<TrialResult> & { a?: readonly object[]; b?: readonly object[] };
  return [...(windows ?? []), ...[...(a ?? []), ...(b ?? [])].flatMap(windowsIn)];
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
