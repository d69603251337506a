import type { CocoAnnotations } from '../../../network/evaluate/coco-dataset.ts';
import { DECIDING_FIGURE, type DecidingFigure } from '../../../network/evaluate/coco-rules.ts';
import { type BootstrapOptions, type LossEstimate, SINGLE_LEVEL } from '../../../network/evaluate/loss-bootstrap.ts';
import { type ClassLoss, compareByTag, comparePrecision } from '../../../network/evaluate/precision-loss.ts';
import { comparePublished, equalThreshold, type PublishedLoss } from '../../../network/evaluate/published-loss.ts';
import { cocoResultsOf, type RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import { FEWEST_FOUND_OF_A_CLASS } from './difference.ts';
import { CLASSES_SHOWN, type GateVerdict } from './gate-verdict.ts';
import { judgeIdentities, type TrackGround } from './judge-identities.ts';
import { judgeVideo, type VideoGround, type VideoTolerances } from './judge-video.ts';
import {
  type ClassFigure,
  classWarnings,
  conclude,
  fallenClasses,
  fallenSizes,
  fallText,
  figure,
  intervalText,
  judgeLosses,
  lostClasses,
  lostText,
  lostTogether,
  percent,
  rareLostClasses,
} from './loss-verdict.ts';

/** What a candidate is judged by. */
export type Ground =
  /** Frame numbers of the results are places in the list of images. */
  | {
      readonly kind: 'labels';
      readonly annotations: CocoAnnotations;
      /** The candidate is another detector, at a threshold of its own: recall and precision are judged as one, by F1. Default: false. */
      readonly isOtherDetector?: boolean;
    }
  /** Frames of sequences with true tracks, one behind the other. */
  | ({ readonly kind: 'tracks' } & TrackGround)
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
/**
 * Recall and precision may fall by so many times `maxLoss`, as a share of the reference's. One box that crosses the threshold changes them
 * and hardly changes AP: bf16 costs up to 5 % of a precision that way (ADR 60).
 */
const PUBLISHED_FACTOR = 5;
const DEFAULTS = { seed: 1, resamples: 1000, level: SINGLE_LEVEL };
const FEWEST_RESAMPLES = 100;

/**
 * Judges whether a candidate keeps the quality of the reference: by labels, by true tracks, or by agreement on a video.
 *
 * With labels the losses of the figure that the annotations are matched for, and of recall and precision at each side's score threshold, are estimated with a paired bootstrap over
 * pictures, and all must pass. Of another detector the F1 of the two must pass, since its threshold gives from one to the other, and neither may
 * fall by more than is allowed in the estimate. On a video objects, tracks, counts and first
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
  if (ground.kind === 'labels') return judgeByLabels(reference, candidate, ground, maxLoss, { seed, resamples, level });
  if (ground.kind === 'tracks')
    return judgeIdentities(reference, candidate, ground, { maxLoss, seed, resamples, level });
  return judgeVideo(reference, candidate, ground, { ...options, maxLoss, seed, resamples, level });
}

/**
 * Returns the score threshold at which another detector publishes most alike; see `equalThreshold`. Null if there is none.
 *
 * @throws DATASET_INVALID if the annotations have no class of the models.
 */
export function thresholdBeside(
  reference: RecordedResults,
  candidate: RecordedResults,
  annotations: CocoAnnotations,
): number | null {
  const { scoreThreshold } = reference;
  const wanted = { results: cocoResultsOf(reference, annotations), scoreThreshold };
  return equalThreshold(annotations, wanted, cocoResultsOf(candidate, annotations));
}

async function judgeByLabels(
  reference: RecordedResults,
  candidate: RecordedResults,
  { annotations, isOtherDetector = false }: Extract<Ground, { kind: 'labels' }>,
  allowed: number,
  bootstrap: BootstrapOptions & { readonly level: number },
): Promise<GateVerdict> {
  const [wanted, got] = [cocoResultsOf(reference, annotations), cocoResultsOf(candidate, annotations)];
  const { overall, bySize, byClass, pictures } = await comparePrecision(annotations, wanted, got, bootstrap);
  const published = await comparePublished(
    annotations,
    { results: wanted, scoreThreshold: reference.scoreThreshold },
    { results: got, scoreThreshold: candidate.scoreThreshold },
    bootstrap,
  );
  const { level } = bootstrap;
  const measure = DECIDING_FIGURE[annotations.iouType ?? 'bbox'];
  const figures = classFigures(measure, byClass, published);
  const evidence = { units: pictures, fewestUnits: FEWEST_PICTURES, level };
  const share = PUBLISHED_FACTOR * allowed;
  const proven = isOtherDetector ? [published.f1] : [published.recall, published.precision];
  const shares = proven.map((estimate) => ({ estimate, factor: PUBLISHED_FACTOR * estimate.reference }));
  const losses = [{ estimate: overall, factor: 1 }, ...shares];
  const { worstLoss, ...judged } = judgeLosses(losses, allowed, evidence);
  const sizes = fallenSizes(bySize, measure, allowed, level);
  const objections = [
    // The sides of what is judged as one must each hold as they are estimated.
    ...(['recall', 'precision'] as const)
      .filter((name) => {
        const { loss, interval, reference } = published[name];
        return (isOtherDetector ? loss : interval[0]) > share * reference;
      })
      .map((name) => `${name} at the score threshold falls by more than ${percent(share)} of itself`),
    ...lostClasses(published.byClass, FEWEST_FOUND_OF_A_CLASS).map(lostText),
    ...lostTogether(published.byClass, FEWEST_FOUND_OF_A_CLASS),
    ...fallenClasses(figures, allowed).map(fallText),
    ...sizes.refused,
  ];
  const facts = {
    measure,
    ...overall,
    level,
    allowed,
    worstLoss,
    pictures,
    bySize,
    published: { ...published, allowedShare: share },
    byClass: byClass.slice(0, CLASSES_SHOWN),
    byTag: await compareByTag(annotations, wanted, got, bootstrap),
    warnings: classWarnings(figures, allowed, level),
    video: null,
    isLossJudged: true,
    evidence: pictures,
    differences: [...sizes.open, ...rareLostClasses(published.byClass, FEWEST_FOUND_OF_A_CLASS)],
  };
  // A reference that finds almost nothing has nothing to lose, so every candidate would pass.
  const nothing =
    pictures === 0
      ? 'the pictures contain no labelled object, so nothing can be judged'
      : !(overall.reference > allowed)
        ? `the ${measure} of the reference is only ${figure(overall.reference)}: no candidate could lose more than the allowed ${figure(allowed)}`
        : published.recall.reference === 0
          ? `the reference finds no labelled object with a score of ${reference.scoreThreshold} or more, so what is published cannot be judged`
          : null;
  const open = { objections: [], picturesThatWouldDecide: null, verdict: 'inconclusive' } as const;
  if (nothing !== null) return { ...facts, ...open, worstLoss: Number.NaN, reason: nothing };
  const text = `${lossText(measure, overall, allowed, level)}; ${publishedText(published, share, level, isOtherDetector)}`;
  return { ...facts, ...conclude({ text, objections, judged, pieces: pictures, noun: 'pictures', piecesOfUnit: 1 }) };
}

/** All figures of classes that may fall. */
function classFigures(
  measure: DecidingFigure,
  byClass: readonly ClassLoss[],
  { byClass: published }: PublishedLoss,
): ClassFigure[] {
  return [
    ...byClass.map((loss) => ({ ...loss, measure })),
    ...(['recall', 'precision'] as const).flatMap((name) =>
      published.map(({ label, units, objects, [name]: loss }) => ({ label, units, objects, measure: name, ...loss })),
    ),
  ];
}

/** Says how much of what users see is found and right on both sides. */
function publishedText(
  { thresholds, recall, precision, f1 }: PublishedLoss,
  share: number,
  level: number,
  hasF1: boolean,
): string {
  const [before, after] = thresholds;
  const other = before === after ? '' : ` (the reference: ${before})`;
  const part = (loss: LossEstimate): string =>
    Number.isNaN(loss.candidate)
      ? `of nothing, since it publishes nothing, against ${figure(loss.reference)}`
      : `${figure(loss.candidate)} against ${figure(loss.reference)} (loss ${intervalText(loss.interval, level)})`;
  const both = `at a score of ${after} or more${other} recall ${part(recall)} and precision ${part(precision)}`;
  return `${both}${hasF1 ? `, together F1 ${part(f1)},` : ''} where ${percent(share)} of each may be lost`;
}

function lossText(
  measure: DecidingFigure,
  { reference, candidate, loss, interval }: LossEstimate,
  allowed: number,
  level: number,
): string {
  const span = intervalText(interval, level);
  return `${measure} ${figure(candidate)} against ${figure(reference)} of the reference, a loss of ${figure(loss)} (${span}) where ${figure(allowed)} is allowed`;
}
