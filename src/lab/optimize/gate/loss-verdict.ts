import type { DecidingFigure } from '../../../network/evaluate/coco-rules.ts';
import { type LossEstimate, SINGLE_LEVEL } from '../../../network/evaluate/loss-bootstrap.ts';
import type { SizeLoss } from '../../../network/evaluate/precision-loss.ts';
import type { PublishedClass } from '../../../network/evaluate/published-loss.ts';
import { normalQuantile } from '../../measure/distributions.ts';
import { type Difference, FEWEST_OF_A_JUDGED_CLASS } from './difference.ts';

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
 * One-sided confidence of each of several verdicts, so that the chance that any of them passes a candidate that loses too much
 * stays that of a single verdict (Bonferroni).
 *
 * @param verdicts - how many are given, at least one.
 */
export function levelFor(verdicts: number): number {
  if (!(Number.isInteger(verdicts) && verdicts >= 1))
    throw new RangeError(`verdicts: expected a whole number from 1, received ${verdicts}`);
  return 1 - (1 - SINGLE_LEVEL) / verdicts;
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

/** Combines verdicts on losses that must all pass; what would decide all of them decides. */
export function judgeAll(judged: readonly LossVerdict[]): LossVerdict {
  const open = judged.filter(({ verdict }) => verdict === 'inconclusive').map((one) => one.unitsThatWouldDecide);
  const verdict = allOf(judged.map((one) => one.verdict));
  const isKnown = verdict === 'inconclusive' && !open.includes(null);
  return { verdict, unitsThatWouldDecide: isKnown ? Math.max(...open.map(Number)) : null };
}

/** A loss that must pass, and how many times the allowance of the whole it may reach. */
export interface AllowedLoss {
  readonly estimate: LossEstimate;
  readonly factor: number;
}

/** Judges losses that must all pass. `worstLoss` is the largest of them, each divided by its factor. */
export function judgeLosses(
  losses: readonly AllowedLoss[],
  allowed: number,
  evidence: Evidence,
): LossVerdict & { readonly worstLoss: number } {
  return {
    ...judgeAll(losses.map(({ estimate, factor }) => judgeLoss(estimate, factor * allowed, evidence))),
    worstLoss: Math.max(...losses.map(({ estimate, factor }) => estimate.loss / factor)),
  };
}

/** The mean over classes hides the loss of one. A class may lose this many times the allowance of the whole, ... */
const CLASS_FACTOR = 5;
/** ... and at least this much: figures of single classes scatter. */
const LEAST_CLASS_ALLOWANCE = 0.1;
/** Standard errors that the loss of a class must be beyond its allowance: by chance once in 2,000 classes. */
const CLASS_SIGMAS = 3.3;
/** A class is lost if the candidate finds at most this share of the objects that the reference finds. */
const LOST_SHARE = 0.1;

/** How often both sides find the objects of a class among what they publish. */
export type ClassFound = Pick<PublishedClass, 'label' | 'units' | 'foundByReference' | 'foundByCandidate'>;

/**
 * Finds classes that a candidate has lost, whatever the mean says: it finds at most a tenth of what the reference finds.
 *
 * @param fewest - objects that the reference must find, and pieces of evidence in which they must occur.
 * @param share - another share than a tenth.
 */
export function lostClasses<T extends ClassFound>(
  classes: readonly T[],
  fewest: { readonly objects: number; readonly units: number },
  share = LOST_SHARE,
): T[] {
  return classes.filter(
    ({ units, foundByReference, foundByCandidate }) =>
      units >= fewest.units && foundByReference >= fewest.objects && foundByCandidate <= share * foundByReference,
  );
}

/** Says that a class is lost, beginning with the class. */
export function lostText({ label, foundByReference, foundByCandidate }: ClassFound): string {
  return foundByCandidate === 0
    ? `${label} is never found, and the reference finds ${foundByReference}`
    : `${label} is lost: ${foundByCandidate} found, and the reference finds ${foundByReference}`;
}

/** Chance at which rare classes that are lost together refuse a candidate that is equal. */
const LOST_TOGETHER_CHANCE = 0.01;

/**
 * Finds that too many of the classes are lost that are too rare to be judged alone. Of `n` objects in as many pictures that one of two
 * equal detectors finds, the other finds none with a chance of 2^-n at most, if they find other objects; less if they find the same. The sum of
 * `n` over the lost classes has a distribution then, which is computed exactly.
 *
 * @param fewest - as in `lostClasses`.
 * @returns one sentence, or none.
 */
export function lostTogether(
  classes: readonly ClassFound[],
  fewest: { readonly objects: number; readonly units: number },
): string[] {
  const rare = classes
    .filter(({ units, foundByReference: found }) => found > 0 && (units < fewest.units || found < fewest.objects))
    .map((each) => ({ ...each, pieces: Math.min(each.units, each.foundByReference) }));
  const lost = rare.filter((each) => each.foundByCandidate <= LOST_SHARE * each.foundByReference);
  const sum = lost.reduce((total, { pieces }) => total + pieces, 0);
  // Chance of each sum below that of the lost ones.
  let below = [1, ...Array<number>(Math.max(0, sum - 1)).fill(0)];
  for (const { pieces } of rare) {
    const isLost = 2 ** -pieces;
    below = below.map((chance, at) => chance * (1 - isLost) + (below[at - pieces] ?? 0) * isLost);
  }
  const chance = sum === 0 ? 1 : 1 - below.reduce((total, each) => total + each, 0);
  if (chance > LOST_TOGETHER_CHANCE) return [];
  const objects = lost.reduce((total, { foundByReference }) => total + foundByReference, 0);
  const names = lost.slice(0, LOST_SHOWN).map(({ label }) => label);
  const more = lost.length > LOST_SHOWN ? ` and ${lost.length - LOST_SHOWN} more` : '';
  return [`${names.join(', ')}${more} are never found, and the reference finds ${objects} of them`];
}

/** A class with fewer objects that the reference finds is lost by chance: of equal detectors 3 to 0 once in 8 classes. */
const FEWEST_WORTH_A_LOOK = 4;

/** Lists classes that a candidate never finds and that are too rare to be judged alone: people have to look. */
export function rareLostClasses(
  classes: readonly (ClassFound & Pick<PublishedClass, 'objects'>)[],
  fewest: { readonly objects: number; readonly units: number },
): Difference[] {
  return classes
    .filter(
      ({ units, foundByReference: found, foundByCandidate }) =>
        foundByCandidate === 0 && found >= FEWEST_WORTH_A_LOOK && (units < fewest.units || found < fewest.objects),
    )
    .map(({ label, objects, units, foundByReference }) => ({
      kind: 'class',
      subject: label,
      text: `${label}: of ${objects} labelled objects in ${units} ${units === 1 ? 'picture' : 'pictures'} today's detector finds ${foundByReference}, this one none; too few to judge`,
    }));
}

/** Objects of a size may lose this many times the allowance of the whole before people have to look. */
const SIZE_FACTOR = 5;
/** Pieces of evidence in which a size must occur for its interval to mean something. */
const FEWEST_UNITS_OF_A_SIZE = 10;

/** Sizes of objects that certainly lose more than is allowed (`refused`), and those that may lose much of it (`open`). */
export function fallenSizes(
  sizes: readonly SizeLoss[],
  measure: DecidingFigure,
  allowed: number,
  level: number,
): { readonly refused: string[]; readonly open: Difference[] } {
  const [refused, open]: [string[], Difference[]] = [[], []];
  for (const { size, units, objects, reference, candidate, loss, interval } of sizes) {
    const text = `${size} objects fall in ${measure} from ${figure(reference)} to ${figure(candidate)} (${intervalText(interval, level)})`;
    if (units >= FEWEST_UNITS_OF_A_SIZE && interval[0] > allowed) refused.push(text);
    else if (loss > allowed && interval[1] >= SIZE_FACTOR * allowed)
      open.push({ kind: 'size', subject: size, text: `${text}; ${objects} in ${units} pictures are too few to judge` });
  }
  return { refused, open };
}

/** Rare classes that a reason names. */
const LOST_SHOWN = 5;

/** One figure of a class. */
export interface ClassFigure extends LossEstimate, Pick<PublishedClass, 'label' | 'units' | 'objects'> {
  readonly measure: DecidingFigure | 'F1' | 'recall' | 'precision';
}

/** Returns the most that the figure of a class may fall. */
export function classAllowance(allowed: number): number {
  return Math.max(LEAST_CLASS_ALLOWANCE, CLASS_FACTOR * allowed);
}

/** Finds classes whose figure falls by more than a class may lose and chance explains. */
export function fallenClasses(figures: readonly ClassFigure[], allowed: number): ClassFigure[] {
  return figures.filter(
    ({ units, loss, standardError }) =>
      units >= FEWEST_OF_A_JUDGED_CLASS.units && loss - CLASS_SIGMAS * standardError > classAllowance(allowed),
  );
}

/**
 * Lists figures of classes that fall by as much as a single class may lose at most, whether or not chance explains it: the mean over
 * all classes hides them, and few pictures cannot prove them.
 */
export function classWarnings(figures: readonly ClassFigure[], allowed: number, level: number): string[] {
  return figures
    .filter(({ loss }) => loss >= classAllowance(allowed))
    .map((figures) => {
      const { objects, units, interval } = figures;
      const evidence = `${objects} ${objects === 1 ? 'object' : 'objects'} in ${units} ${units === 1 ? 'piece' : 'pieces'} of evidence`;
      return `${fallText(figures)} on ${evidence} (${intervalText(interval, level)})`;
    });
}

/** Says how far the figure of a class falls, beginning with the class. */
export function fallText({ label, measure, reference, candidate }: ClassFigure): string {
  return `${label} falls in ${measure} from ${figure(reference)} to ${figure(candidate)}`;
}

/** Objections that a reason lists; a candidate that finds nothing has one for each class. */
const OBJECTIONS_SHOWN = 3;

/** What was judged, and the words for it. */
interface Conclusion {
  /** The figures, in a sentence. */
  readonly text: string;
  /** Reasons that refuse whatever the loss. */
  readonly objections: readonly string[];
  readonly judged: LossVerdict;
  /** How many pictures or frames there were, and how many of them are one piece of evidence. */
  readonly pieces: number;
  readonly noun: 'pictures' | 'frames' | 'true tracks';
  readonly piecesOfUnit: number;
}

/** The verdict, with its reason in one sentence and the pictures or frames that would decide. */
export function conclude({ text, objections, judged, pieces, noun, piecesOfUnit }: Conclusion) {
  const more = objections.length - OBJECTIONS_SHOWN;
  const shown = [text, ...objections.slice(0, OBJECTIONS_SHOWN), ...(more > 0 ? [`${more} more like it`] : [])];
  if (objections.length > 0)
    return { verdict: 'refused' as const, objections, reason: shown.join('; '), picturesThatWouldDecide: null };
  const { verdict, unitsThatWouldDecide: units } = judged;
  if (verdict !== 'inconclusive') return { verdict, objections, reason: text, picturesThatWouldDecide: null };
  const wanted = units === null ? null : Math.ceil(units * piecesOfUnit);
  const rest =
    wanted === null
      ? `an estimate lies at the limit, so no number of ${noun} would decide`
      : `${pieces} ${noun} are too few, about ${wanted} would settle it`;
  return { verdict, objections, reason: `${text}; ${rest}`, picturesThatWouldDecide: wanted };
}

/** Writes an interval with its confidence: `95 % interval -0.010 to 0.012`. */
export function intervalText([low, high]: readonly [number, number], level: number): string {
  return `${percent(2 * level - 1)} interval ${figure(low)} to ${figure(high)}`;
}

/** Combines verdicts that must all pass: refused if any is refused, else inconclusive if any is. */
export function allOf(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('refused')) return 'refused';
  return verdicts.includes('inconclusive') ? 'inconclusive' : 'passed';
}

/** Writes a share of 0.05 as `5 %`. */
export function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}

/** Writes a figure from 0 to 1 with three decimals. */
export function figure(value: number): string {
  // Without this a small negative loss is written as -0.000.
  const text = value.toFixed(3);
  return text === '-0.000' ? '0.000' : text;
}
