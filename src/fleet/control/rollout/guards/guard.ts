import { z } from 'zod';
import { range } from '../../../../settings/config/number.ts';
import type { SideObservation } from '../../../../wire/protocol/rollout-records.ts';
import type { Counts } from '../observed.ts';

/** Settings of every guard. */
interface GuardMargin {
  readonly isOn: boolean;
  readonly margin: number;
}

/** Figures of one stream under the control, to which both sides of it are compared. */
export interface Baseline {
  readonly tailMs: number;
  readonly medianMs: number;
  readonly fps: number;
  readonly deviceMs: number;
  readonly dropRatio: number;
  readonly boxes: number;
  readonly score: number;
}

/** What a side of a stream did, and what its own baseline says of it. */
export interface SideFigures extends SideObservation {
  /** Frames published, dropped and failed. */
  readonly arrived: number;
  readonly baseline: Baseline;
}

/** A frame that both sides inferred. */
export interface PairFigures {
  readonly boxes: number;
  readonly candidateBoxes: number;
  /** Of both sides, without a counterpart. */
  readonly unmatched: number;
  /** Sums of the scores. */
  readonly scores: number;
  readonly candidateScores: number;
}

/** Two columns that are summed over blocks of time, and compared as `a` for each `b`. */
interface Ratio<Figures> {
  readonly a: (figures: Figures) => number;
  readonly b: (figures: Figures) => number;
}

/** What one side of a stream did in a block. */
type StreamSums = Counts<
  | 'seconds'
  | 'frames'
  | 'dropped'
  | 'arrived'
  /** Latencies above the baseline's median times 1 + limit. */
  | 'slow'
  /** Latencies above the baseline's 99th percentile, for the candidate times 1 + limit. */
  | 'tail'
>;

/** Both sides of a stream in neighbouring turns. */
export interface StreamBlock {
  readonly candidate: Readonly<StreamSums>;
  readonly control: Readonly<StreamSums>;
  /** All of the control in this step. */
  readonly controlSum: Readonly<StreamSums>;
  /** See `SideObservation`; null if both sides are to have the same rate. */
  readonly pace: SideObservation['pace'] | null;
  /** See `SideObservation`. */
  readonly isOwnRate: boolean;
}

/** Boxes of a stream, a class, or a class of a stream on frames that both sides inferred, in a block. */
export type ClassBlock = Readonly<
  Counts<
    /** Boxes that the control publishes, and those of them that the candidate lacks. */
    | 'boxes'
    | 'missed'
    /** Boxes that the candidate publishes, and those of them that the control lacks. */
    | 'candidateBoxes'
    | 'extra'
    /** Boxes of both sides whose score is far above the threshold. */
    | 'sure'
    /** Those of the control among them, and how many the candidate has no box for, of any class and any score that it reports. */
    | 'sureBoxes'
    | 'sureLost'
    /** Small boxes of both sides by COCO's measure, and those that the other side lacks. */
    | 'small'
    | 'smallAlone'
  >
>;

/** A figure of a block, and the limit beyond which it is harm. */
interface BlockFigure {
  readonly figure: number;
  readonly limit: number;
}

/** How the blocks of one stream, or of one class, are judged. `partMargin` is a setting of the guard. */
export interface PartRule<Block> {
  /** Null if the block has no such figure. */
  readonly figure: (block: Block, partMargin: number) => BlockFigure | null;
  /** As a report shows it. */
  readonly limit: (partMargin: number) => number;
  /** Describes the harm, as the rest of a sentence that begins with the part. @param size - mean of the figures, in per cent. */
  readonly says: (size: string, blocks: string, partMargin: number) => string;
}

/** A part of the detections: all of a stream, a class on all streams, or a class on one stream. */
export type DetectionPart = 'stream' | 'class' | 'class-of-stream';

/** How detections are judged in parts. */
export interface ClassRule extends PartRule<ClassBlock> {
  /** What certain harm does: it fails the guard, or holds it until a person decides. never: such parts are not judged. */
  readonly harmful: (part: DetectionPart) => 'fails' | 'holds' | 'never';
}

/**
 * A guard that compares the candidate with the control in a step. `guards.ts` lists all; nothing else depends on a particular one.
 * A field is null if the guard has no such rule.
 */
export interface Guard {
  /** Its section of a guards file: with `partMargin` if it judges parts. */
  readonly settings: z.ZodType<GuardMargin>;
  /** The figure, as a sentence's subject: `the number of boxes`. */
  readonly subject: string;
  /** The direction that does harm. */
  readonly harm: 'rise' | 'fall' | 'change';
  readonly unit: 'relative' | 'points';
  /** Not every roll-out has them: frames that both sides infer, the CPU time of inferences. */
  readonly needs: 'shadow' | 'cpu-time' | null;
  /** Compares what both sides did, all streams together, or the 99th percentile of latency. */
  readonly bySides: Ratio<SideFigures> | 'tail' | null;
  /**
   * The figure on frames that both sides inferred, all streams together: a ratio less a number or another ratio. Taken instead of the
   * sides as soon as there are such frames.
   */
  readonly byPairs: { readonly of: Ratio<PairFigures>; readonly minus: Ratio<PairFigures> | number } | null;
  /** Judges each stream by itself; by the name under which the evidence is kept. */
  readonly ofStreams: Readonly<Record<string, PartRule<StreamBlock>>> | null;
  /** Judges each stream, class, and class of a stream on frames that both sides inferred. */
  readonly ofClasses: Readonly<Record<string, ClassRule>> | null;
  /** What to do after it has rolled a candidate back, in one sentence. */
  readonly advice: string;
  /** Which candidates it judges: the same detector as the control, another one whose boxes differ rightly, or both. */
  readonly judges: 'same-detector' | 'other-detector' | 'any';
}

/** Advice after guards of boxes, and of speed. */
export const ABOUT_BOXES =
  'Look at the boxes of both on the dashboard; if the candidate is meant to detect otherwise, start it with the labels that show it is as good: --eval FILE, from "sightline eval --json".';
export const ABOUT_SPEED =
  'If that is acceptable, start it again with a larger margin in --guards FILE; else try a smaller input size, another precision or fewer streams.';

/** The relative difference of the number of boxes. */
export const boxesByPairs = {
  of: { a: ({ candidateBoxes }: PairFigures) => candidateBoxes, b: ({ boxes }: PairFigures) => boxes },
  minus: 1,
};

/** Share of the control's frames above the tail of the baseline, its 99th percentile. */
export const TAIL_SHARE = 0.01;

/** Returns the rate that the candidate of a stream must attain, from that of its control. */
export function wantedFps(controlFps: number, pace: SideObservation['pace'] | null): number {
  if (pace == null) return controlFps;
  return Math.min(controlFps * pace.ratio, pace.mostFps ?? Number.POSITIVE_INFINITY);
}

export const isOn = z.boolean().default(true).describe('Judge by this guard.');

/** Makes the settings of a guard that judges sums only. */
export function guardSettings(subject: string, margin: number, largest: number, doc: string) {
  const settings = { isOn, margin: range(0.0001, largest).default(margin).describe(doc) };
  return z.strictObject(settings).prefault({}).describe(subject);
}

/** Makes the settings of a guard that judges each part beside the sum: a part has less data, so it may differ more. */
export function guardSettingsWithParts(
  subject: string,
  margin: readonly [all: number, part: number],
  largest: readonly [all: number, part: number],
  doc: readonly [all: string, part: string],
) {
  const settings = {
    isOn,
    margin: range(0.0001, largest[0]).default(margin[0]).describe(doc[0]),
    partMargin: range(0.01, largest[1]).default(margin[1]).describe(doc[1]),
  };
  return z.strictObject(settings).prefault({}).describe(subject);
}
