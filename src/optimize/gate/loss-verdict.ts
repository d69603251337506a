import { type LossEstimate, SINGLE_LEVEL } from '../../evaluate/loss-bootstrap.ts';
import type { ClassLoss } from '../../evaluate/precision-loss.ts';
import { normalQuantile } from '../../measure/distributions.ts';

export type Verdict = 'passed' | 'refused' | 'inconclusive';

export interface LossVerdict {
  readonly verdict: Verdict;
  /** Pieces of evidence that would decide; null if this is decided, or if no number would. */
  readonly unitsThatWouldDecide: number | null;
}

export interface Evidence {
  /** Independent pieces: pictures, or blocks of video. */
  readonly units: number;
  /** Fewest pieces for a bootstrap: with fewer, its interval means nothing. */
  readonly fewestUnits: number;
  /** One-sided confidence of the interval's ends; default 0.975. */
  readonly level?: number;
}

/**
 * Decides by the estimate of a loss and its interval.
 *
 * Refused if the estimate is beyond the allowance, passed if the upper end of the interval is within it, else inconclusive. The
 * standard error falls with the square root of the evidence, which gives the amount that would decide if the estimate stayed.
 */
export function judgeLoss(estimate: LossEstimate, allowed: number, evidence: Evidence): LossVerdict {
  const { units, fewestUnits, level = SINGLE_LEVEL } = evidence;
  const { loss, interval, standardError } = estimate;
  if (loss > allowed) return { verdict: 'refused', unitsThatWouldDecide: null };
  if (units >= fewestUnits && interval[1] <= allowed) return { verdict: 'passed', unitsThatWouldDecide: null };
  const room = allowed - loss;
  const reach = Math.max(interval[1] - loss, normalQuantile(level) * standardError);
  const wanted = reach === 0 ? 0 : Math.ceil(units * (reach / room) ** 2);
  const isKnown = Number.isFinite(wanted);
  return { verdict: 'inconclusive', unitsThatWouldDecide: isKnown ? Math.max(wanted, fewestUnits, units + 1) : null };
}

/** The mean over classes hides the loss of one. A class may lose this many times the allowance of the whole, ... */
const CLASS_FACTOR = 5;
/** ... and at least this much: figures of single classes scatter. */
const LEAST_CLASS_ALLOWANCE = 0.1;
/** Pieces of evidence in which a class must occur to be judged by its figure. */
const FEWEST_UNITS_OF_A_CLASS = 10;
/** Standard errors that the loss of a class must be beyond its allowance: by chance once in 2,000 classes. */
const CLASS_SIGMAS = 3.3;
/** A class is lost if the reference finds at least so many of its objects and the candidate none. */
const FEWEST_OBJECTS_OF_A_CLASS = 3;

/**
 * Finds classes that a candidate has lost, whatever the mean says: it never reports them at all, or their figure falls by more
 * than chance explains.
 *
 * @param fewestUnits - pieces of evidence in which a class must occur to be missed if it is never reported.
 * @param isVanishedOnly - lists only classes that are never reported.
 * @returns sentences that begin with the class; empty if there is none.
 */
export function lostClasses(
  classes: readonly ClassLoss[],
  allowed: number,
  fewestUnits: number,
  { isVanishedOnly = false } = {},
): string[] {
  const allowance = Math.max(LEAST_CLASS_ALLOWANCE, CLASS_FACTOR * allowed);
  return classes.flatMap((entry) => {
    const { label, units, foundByReference, candidateDetections, loss, standardError } = entry;
    const hasVanished =
      candidateDetections === 0 && foundByReference >= FEWEST_OBJECTS_OF_A_CLASS && units >= fewestUnits;
    if (hasVanished) return [`${label} is never reported, and the reference finds ${foundByReference}`];
    if (isVanishedOnly) return [];
    const isBeyond = units >= FEWEST_UNITS_OF_A_CLASS && loss - CLASS_SIGMAS * standardError > allowance;
    return isBeyond ? [`${label} falls from ${figure(entry.reference)} to ${figure(entry.candidate)}`] : [];
  });
}

/**
 * Lists classes whose figure falls by as much as a single class may lose at most, whether or not chance explains it: the mean over
 * all classes hides them, and few pictures cannot prove them.
 */
export function classWarnings(classes: readonly ClassLoss[], allowed: number, level: number): string[] {
  const allowance = Math.max(LEAST_CLASS_ALLOWANCE, CLASS_FACTOR * allowed);
  return classes
    .filter(({ loss }) => loss >= allowance)
    .map(({ label, reference, candidate, objects, units, interval }) => {
      const evidence = `${objects} ${objects === 1 ? 'object' : 'objects'} in ${units} ${units === 1 ? 'piece' : 'pieces'} of evidence`;
      return `${label} falls from ${figure(reference)} to ${figure(candidate)} on ${evidence} (${intervalText(interval, level)})`;
    });
}

/** Objections that a reason lists; a candidate that finds nothing has one for each class. */
const OBJECTIONS_SHOWN = 3;

/** Adds the objections to a candidate to the sentence about its loss. */
export function withObjections(text: string, objections: readonly string[]): string {
  const more = objections.length - OBJECTIONS_SHOWN;
  const rest = more > 0 ? [`${more} more like it`] : [];
  return [text, ...objections.slice(0, OBJECTIONS_SHOWN), ...rest].join('; ');
}

/** Writes an interval with its confidence: `95 % interval -0.010 to 0.012`. */
export function intervalText([low, high]: readonly [number, number], level: number): string {
  const percent = Number((100 * (2 * level - 1)).toFixed(1));
  return `${percent} % interval ${figure(low)} to ${figure(high)}`;
}

/** Combines verdicts that must all pass: refused if any is refused, else inconclusive if any is. */
export function allOf(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('refused')) return 'refused';
  return verdicts.includes('inconclusive') ? 'inconclusive' : 'passed';
}

/** Writes a figure from 0 to 1 with three decimals. */
export function figure(value: number): string {
  // Without this a small negative loss is written as -0.000.
  const text = value.toFixed(3);
  return text === '-0.000' ? '0.000' : text;
}
