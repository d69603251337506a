import type { Detection } from '../../../base/core/detection.ts';
import { detectionOverlap } from '../../../base/geometry/detection-overlap.ts';
import { matchBoxes, NOT_FOUND } from '../../../base/geometry/match-boxes.ts';
import type { ShadowObservation } from '../../../wire/protocol/rollout-records.ts';
import type { ComparedBox, ComparedFrame } from './guards/guard.ts';

/** Which boxes count as the same although only one side publishes them. */
export interface ScoreRule {
  /** Scores from which the sides publish boxes. */
  readonly controlThreshold: number;
  readonly candidateThreshold: number;
  /** A box that is published by less than this may be this much weaker on the other side: its score is near the threshold. */
  readonly scoreSlack: number;
}

/**
 * Asks for each published box of a frame, of both sides, whether the other side has it: of the same class, at IoU 0.5 or more, and
 * published, or only just too weak for that. Each box matches once at most; boxes with higher scores choose first.
 */
export function compareFrame(frame: ShadowObservation, rule: ScoreRule): ComparedFrame {
  const { control, candidate, weak } = frame;
  const { controlThreshold, candidateThreshold, scoreSlack } = rule;
  return [
    ...asked('control', control, candidate, weak?.candidate ?? [], controlThreshold, scoreSlack),
    ...asked('candidate', candidate, control, weak?.control ?? [], candidateThreshold, scoreSlack),
  ];
}

/** A box whose score is this many times `scoreSlack` above the threshold is no chance. */
const SURE_SLACKS = 2;

/** Side of the square below which an object is small, in pixels of the picture: COCO's measure. */
export const SMALL_PX = 32;
const SAME_PLACE_IOU = 0.5;

function asked(
  side: ComparedBox['side'],
  wanted: readonly Detection[],
  published: readonly Detection[],
  weak: readonly Detection[],
  threshold: number,
  scoreSlack: number,
): ComparedBox[] {
  const there = [...published, ...weak];
  const bestFirst = [...wanted.keys()].sort((a, b) => wanted[b]!.score - wanted[a]!.score);
  const matches = matchBoxes(bestFirst, there.length, (box, other) => {
    const [a, b] = [wanted[box]!, there[other]!];
    const isNearThreshold = a.score < threshold + scoreSlack && a.score - b.score <= scoreSlack;
    return a.label === b.label && (other < published.length || isNearThreshold) ? detectionOverlap(a, b) : 0;
  });
  return bestFirst.map((box, i) => {
    const one = wanted[box]!;
    const isMissing = matches[i] === NOT_FOUND;
    return {
      ...one,
      side,
      isSure: one.score >= threshold + SURE_SLACKS * scoreSlack,
      isMissing,
      isSmall: one.box[2] * one.box[3] < SMALL_PX ** 2,
      isLost: isMissing && !there.some((other) => detectionOverlap(one, other) >= SAME_PLACE_IOU),
    };
  });
}
