import type { Detection } from '../../core/detection.ts';
import { iouXywh } from '../../geometry/iou.ts';
import { matchBoxes, NOT_FOUND } from '../../geometry/match-boxes.ts';
import type { ShadowObservation } from '../../protocol/rollout-records.ts';
import type { ClassBlock } from './guards/guard-evidence.ts';

/** Which boxes count as the same although only one side publishes them. */
export interface ScoreRule {
  /** Scores from which the sides publish boxes. */
  readonly controlThreshold: number;
  readonly candidateThreshold: number;
  /** A box that is published by less than this may be this much weaker on the other side: its score is near the threshold. */
  readonly scoreSlack: number;
}

type Sums = { -readonly [K in keyof ClassBlock]: number };

export function noBoxes(): Sums {
  return { boxes: 0, missed: 0, candidateBoxes: 0, extra: 0, sure: 0 };
}

export function addBoxes(sums: Sums, more: ClassBlock): void {
  sums.boxes += more.boxes;
  sums.missed += more.missed;
  sums.candidateBoxes += more.candidateBoxes;
  sums.extra += more.extra;
  sums.sure += more.sure;
}

/**
 * Asks for each published box of a frame, of both sides, whether the other side has it: of the same class, at IoU 0.5 or more, and
 * published, or only just too weak for that. Each box matches once at most; boxes with higher scores choose first.
 *
 * @returns by label; labels without a published box are left out.
 */
export function compareFrame(frame: ShadowObservation, rule: ScoreRule): Map<string, ClassBlock> {
  const { control, candidate, weak } = frame;
  const classes = new Map<string, Sums>();
  const of = (label: string): Sums => {
    const sums = classes.get(label) ?? noBoxes();
    classes.set(label, sums);
    return sums;
  };
  const { controlThreshold, candidateThreshold, scoreSlack } = rule;
  for (const { label, isSure, isMissing } of asked(
    control,
    candidate,
    weak?.candidate ?? [],
    controlThreshold,
    scoreSlack,
  )) {
    of(label).boxes += 1;
    if (isMissing) of(label).missed += 1;
    if (isSure) of(label).sure += 1;
  }
  for (const { label, isSure, isMissing } of asked(
    candidate,
    control,
    weak?.control ?? [],
    candidateThreshold,
    scoreSlack,
  )) {
    of(label).candidateBoxes += 1;
    if (isMissing) of(label).extra += 1;
    if (isSure) of(label).sure += 1;
  }
  return classes;
}

/** A box whose score is this many times `scoreSlack` above the threshold is no chance. */
const SURE_SLACKS = 2;

/** Of each wanted box, whether it is sure, and whether the other side lacks it. */
function asked(
  wanted: readonly Detection[],
  published: readonly Detection[],
  weak: readonly Detection[],
  threshold: number,
  scoreSlack: number,
): { readonly label: string; readonly isSure: boolean; readonly isMissing: boolean }[] {
  const there = [...published, ...weak];
  const bestFirst = [...wanted.keys()].sort((a, b) => wanted[b]!.score - wanted[a]!.score);
  const matches = matchBoxes(bestFirst, there.length, (box, other) => {
    const [a, b] = [wanted[box]!, there[other]!];
    const isNearThreshold = a.score < threshold + scoreSlack && a.score - b.score <= scoreSlack;
    return a.label === b.label && (other < published.length || isNearThreshold) ? iouXywh(...a.box, ...b.box) : 0;
  });
  return bestFirst.map((box, i) => {
    const { label, score } = wanted[box]!;
    return { label, isSure: score >= threshold + SURE_SLACKS * scoreSlack, isMissing: matches[i] === NOT_FOUND };
  });
}
