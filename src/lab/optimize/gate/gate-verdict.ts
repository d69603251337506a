import type { AttributeAgreement } from '../../../network/evaluate/attribute-agreement.ts';
import type { BoxDrift } from '../../../network/evaluate/box-drift.ts';
import type { DecidingFigure } from '../../../network/evaluate/coco-rules.ts';
import type { Disputes } from '../../../network/evaluate/disputed-objects.ts';
import type { LossEstimate } from '../../../network/evaluate/loss-bootstrap.ts';
import type { ClassLoss, SizeLoss, TagLoss } from '../../../network/evaluate/precision-loss.ts';
import type { PublishedLoss } from '../../../network/evaluate/published-loss.ts';
import type { TrackAgreement } from '../../../network/evaluate/track-agreement.ts';
import type { CountComparison } from './compare-counts.ts';
import type { EventComparison } from './compare-events.ts';
import type { Difference } from './difference.ts';
import type { Verdict } from './loss-verdict.ts';

/** The figure on a video. */
export const AGREEMENT = 'F1 against the reference';
/** The figure on sequences with true tracks. */
export const IDENTITIES = 'IDF1';

/** Findings on a video besides the agreement of single frames. */
export interface VideoFindings {
  readonly framesOfReference: number;
  /** Frames that both runs published. Only they are compared. */
  readonly framesShared: number;
  readonly tracks: TrackAgreement;
  readonly drift: BoxDrift;
  /** Boxes that the candidate reports for each one of the reference, of objects that both see; see `VideoAgreement`. */
  readonly published: LossEstimate;
  readonly counts: readonly CountComparison[];
  /** Of objects, by attribute; absent if nothing gives any. */
  readonly attributes?: readonly AttributeAgreement[];
  /** Of the stream's rules; absent where they are not compared. */
  readonly events?: EventComparison;
  /** The objects of the classes that differ; absent if none does. */
  readonly disputed?: Disputes;
}

/** The verdict of the gate. Whatever is not `passed` must not be used. Loss, interval and figures are those of `measure`. */
export interface GateVerdict extends LossEstimate {
  readonly verdict: Verdict;
  readonly measure: DecidingFigure | typeof AGREEMENT | typeof IDENTITIES;
  /** One-sided confidence of the ends of its intervals. */
  readonly level: number;
  /** The loss that is allowed. */
  readonly allowed: number;
  /** The largest of all losses that are judged, each in relation to what it may reach: beyond `allowed` it refuses. NaN if labels show nothing. */
  readonly worstLoss: number;
  /** Pictures with an object, or frames that both runs published. */
  readonly pictures: number;
  /** Independent pieces of evidence: pictures with an object, blocks of video, or true tracks. */
  readonly evidence: number;
  /** False where the loss is only shown, as of two different detectors on a video, or is one of another kind that does not add up. */
  readonly isLossJudged: boolean;
  /** Reasons that refuse the candidate whatever its loss: lost classes, tracks, counts, frames. */
  readonly objections: readonly string[];
  /** What people have to look at. They do not change the verdict. */
  readonly differences: readonly Difference[];
  /** Pictures or frames that would decide; null if the verdict is clear, or if no number would. */
  readonly picturesThatWouldDecide: number | null;
  readonly bySize: readonly SizeLoss[];
  /** Greatest loss first, at most ten. */
  readonly byClass: readonly ClassLoss[];
  /** Tags of the annotations' images; empty without tags, or on a video. */
  readonly byTag: readonly TagLoss[];
  /** Recall and precision at the score thresholds, which labels show, and the share of each that may be lost; null on a video. */
  readonly published: (PublishedLoss & { readonly allowedShare: number }) | null;
  /** Sentences about classes that lost much, also where chance may explain it. They do not change the verdict. */
  readonly warnings: readonly string[];
  /** Null if pictures were judged by labels. */
  readonly video: VideoFindings | null;
  /** Of both sides; absent where no true tracks are known. */
  readonly identities?: {
    readonly hota: readonly [reference: number, candidate: number];
    readonly switches: readonly [reference: number, candidate: number];
  };
  /** One sentence with the figures. */
  readonly reason: string;
}

/** Classes that a verdict lists. */
export const CLASSES_SHOWN = 10;
