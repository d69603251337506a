import type { CocoAnnotations } from '../../evaluate/coco-dataset.ts';
import { type BootstrapOptions, type LossEstimate, SINGLE_LEVEL } from '../../evaluate/loss-bootstrap.ts';
import { comparePrecision } from '../../evaluate/precision-loss.ts';
import { cocoResultsOf, type RecordedResults } from '../../evaluate/recorded-results.ts';
import { compareByTag } from '../../evaluate/tag-loss.ts';
import { CLASSES_SHOWN, type GateVerdict } from './gate-verdict.ts';
import { judgeVideo, type VideoGround, type VideoTolerances } from './judge-video.ts';
import { classWarnings, figure, intervalText, judgeLoss, lostClasses, withObjections } from './loss-verdict.ts';

/** What a candidate is judged by. */
export type Ground =
  /** Frame numbers of the results are places in the list of images. */
  | { readonly kind: 'labels'; readonly annotations: CocoAnnotations }
  /** Frame numbers are those of one clip. Lines and zones of the stream are counted. */
  | ({ readonly kind: 'video' } & VideoGround);

export interface JudgeOptions extends Partial<VideoTolerances> {
  /** What may be lost, 0 to 1: points of AP, or of F1 against the reference. */
  readonly maxLoss: number;
  /** Default 1. */
  readonly seed?: number;
  /** Default 1,000. */
  readonly resamples?: number;
  /** One-sided confidence with which a candidate passes; default 0.975. See `levelFor`. */
  readonly level?: number;
}

/** With fewer pictures with objects a candidate cannot pass. */
const FEWEST_PICTURES = 30;
/** A class that the candidate never reports counts as lost if it is labelled in at least so many pictures. */
const FEWEST_PICTURES_OF_A_CLASS = 2;
const DEFAULTS = { seed: 1, resamples: 1000, level: SINGLE_LEVEL };
const FEWEST_RESAMPLES = 100;

/**
 * Judges whether a candidate keeps the quality of the reference: by labels, or by agreement on a video.
 *
 * With labels the loss of AP is estimated with a paired bootstrap over pictures. On a video objects, tracks, counts and first
 * appearances are compared frame by frame, with what is published for the frames in between.
 *
 * @throws DATASET_INVALID if the annotations have no class of the models; RangeError if an option is out of range.
 */
export async function judge(
  reference: RecordedResults,
  candidate: RecordedResults,
  ground: Ground,
  options: JudgeOptions,
): Promise<GateVerdict> {
  const { maxLoss, seed, resamples, level } = { ...DEFAULTS, ...options };
  if (!(maxLoss >= 0 && maxLoss <= 1)) throw new RangeError(`maxLoss: expected 0 to 1, received ${maxLoss}`);
  if (!(Number.isInteger(resamples) && resamples >= FEWEST_RESAMPLES))
    throw new RangeError(`resamples: expected a whole number from ${FEWEST_RESAMPLES}, received ${resamples}`);
  if (ground.kind === 'labels')
    return judgeByLabels(reference, candidate, ground.annotations, maxLoss, { seed, resamples, level });
  return judgeVideo(reference, candidate, ground, { ...options, maxLoss, seed, resamples, level });
}

async function judgeByLabels(
  reference: RecordedResults,
  candidate: RecordedResults,
  annotations: CocoAnnotations,
  allowed: number,
  bootstrap: BootstrapOptions & { readonly level: number },
): Promise<GateVerdict> {
  const [wanted, got] = [cocoResultsOf(reference, annotations), cocoResultsOf(candidate, annotations)];
  const { overall, bySize, byClass, pictures } = await comparePrecision(annotations, wanted, got, bootstrap);
  const lost = lostClasses(byClass, allowed, FEWEST_PICTURES_OF_A_CLASS);
  const byTag = await compareByTag(annotations, wanted, got, bootstrap);
  const { verdict, unitsThatWouldDecide } = judgeLoss(overall, allowed, {
    units: pictures,
    fewestUnits: FEWEST_PICTURES,
    level: bootstrap.level,
  });
  const facts = {
    ...{ measure: 'AP' as const, ...overall, level: bootstrap.level, allowed, pictures, bySize },
    ...{ byClass: byClass.slice(0, CLASSES_SHOWN), byTag, warnings: classWarnings(byClass, allowed, bootstrap.level) },
    ...{ video: null, objections: [], isLossJudged: true, evidence: pictures, picturesThatWouldDecide: null },
  };
  // A reference that finds almost nothing has nothing to lose, so every candidate would pass.
  if (!(overall.reference > allowed)) {
    const reason =
      pictures === 0
        ? 'the pictures contain no labelled object, so nothing can be judged'
        : `the AP of the reference is only ${figure(overall.reference)}: no candidate could lose more than the allowed ${figure(allowed)}`;
    return { ...facts, verdict: 'inconclusive', reason };
  }
  const text = lossText(overall, allowed, bootstrap.level);
  if (lost.length > 0) return { ...facts, objections: lost, verdict: 'refused', reason: withObjections(text, lost) };
  if (verdict !== 'inconclusive') return { ...facts, verdict, reason: text };
  const reason =
    unitsThatWouldDecide === null
      ? `${text}; the estimate lies at the limit, so no number of pictures would decide`
      : `${text}; ${pictures} pictures are too few, about ${unitsThatWouldDecide} would settle it`;
  return { ...facts, verdict, picturesThatWouldDecide: unitsThatWouldDecide, reason };
}

function lossText({ reference, candidate, loss, interval }: LossEstimate, allowed: number, level: number): string {
  const span = intervalText(interval, level);
  return `AP ${figure(candidate)} against ${figure(reference)} of the reference, a loss of ${figure(loss)} (${span}) where ${figure(allowed)} is allowed`;
}
