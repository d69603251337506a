import { z } from 'zod';
import type { Detection } from '../../../../base/core/detection.ts';
import { range } from '../../../../settings/config/number.ts';
import type { SideObservation } from '../../../../wire/protocol/rollout-records.ts';
import type { Counts, SideCounts } from '../observed.ts';

/** Settings of every guard. */
interface GuardMargin {
  readonly isOn: boolean;
  readonly margin: number;
}

/** What a side of a stream did, and what the guard's own baseline of this stream says. */
type SideFigures = SideCounts & {
  /** `usual` of the guard, of the control just before the step; 0 if it has no `usual`. */
  readonly usual: number;
};

/** A box that one side publishes on a frame that both infer, and whether the other side has it. */
export interface ComparedBox extends Detection {
  readonly side: 'control' | 'candidate';
  /** Its score is far above the threshold. */
  readonly isSure: boolean;
  /** Small by COCO's measure. */
  readonly isSmall: boolean;
  /** The other side has no box of this class there. */
  readonly isMissing: boolean;
  /** The other side has no box there of any class, and of any score that it reports. */
  readonly isLost: boolean;
}

/** All boxes that either side publishes on a frame that both infer. */
export type ComparedFrame = readonly ComparedBox[];

/** Two columns that are summed over blocks of time, and compared as `a` for each `b`. */
interface Ratio<Figures> {
  readonly a: (figures: Figures) => number;
  readonly b: (figures: Figures) => number;
}

/** Percentiles of a stream's latency under the control, in milliseconds. */
export interface LatencyPercentiles {
  readonly p50: number;
  readonly p99: number;
}

/** Counts of a side that every rule on streams has. */
export type SideSum = 'seconds' | 'frames' | 'dropped' | 'arrived';
/** Counts of boxes that every rule on classes has: of each side, and those that the other side lacks. */
export type BoxSum = 'boxes' | 'missed' | 'candidateBoxes' | 'extra';

/** Both sides of a stream in neighbouring turns, with the sums that a rule declares. */
export interface StreamBlock<Sum extends string = never> {
  readonly candidate: Readonly<Counts<SideSum | Sum>>;
  readonly control: Readonly<Counts<SideSum | Sum>>;
  /** All of the control in this step. */
  readonly controlSum: Readonly<Counts<SideSum | Sum>>;
  /** See `SideObservation`; null if both sides are to have the same rate. */
  readonly pace: SideObservation['pace'] | null;
  /** See `SideObservation`. */
  readonly isOwnRate: boolean;
}

/** Boxes of a stream, a class, or a class of a stream on frames that both sides inferred, in a block, with the sums that a rule declares. */
export type ClassBlock<Sum extends string = never> = Readonly<Counts<BoxSum | Sum>>;

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

/** What an observation of a side adds to a sum. */
type SideAdds = (seen: SideCounts, usual: LatencyPercentiles, partMargin: number) => number;

/** How single streams are judged. */
export interface StreamRule extends PartRule<StreamBlock> {
  /** Sums of its own, by a name that no other rule has. They are 0 for a stream that has no percentiles yet. */
  readonly sums?: Readonly<Record<string, SideAdds>>;
}

/** A part of the detections: all of a stream, a class on all streams, or a class on one stream. */
export type DetectionPart = 'stream' | 'class' | 'class-of-stream';

/** What a box adds to a sum of its class and stream. */
type BoxAdds = (box: ComparedBox) => number;

/** How detections are judged in parts. */
export interface ClassRule extends PartRule<ClassBlock> {
  /** Sums of its own, by a name that no other rule has. */
  readonly sums?: Readonly<Record<string, BoxAdds>>;
  /** What certain harm does: it fails the guard, or holds it until a person decides. never: such parts are not judged. */
  readonly harmful: (part: DetectionPart) => 'fails' | 'holds' | 'never';
}

/** Makes a rule with sums of its own, whose names its `figure` then has. */
export function streamRule<const Sum extends string>(
  rule: PartRule<StreamBlock<Sum>> & { readonly sums: Readonly<Record<Sum, SideAdds>> },
): StreamRule {
  return rule as unknown as StreamRule;
}
export function classRule<const Sum extends string>(
  rule: PartRule<ClassBlock<Sum>> & { readonly sums: Readonly<Record<Sum, BoxAdds>> } & Pick<ClassRule, 'harmful'>,
): ClassRule {
  return rule as unknown as ClassRule;
}

/**
 * A guard that compares the candidate with the control in a step. `guards.ts` lists all; nothing else depends on a particular one.
 */
export interface Guard {
  /** Its section of a guards file: with `partMargin` if it judges parts. */
  readonly settings: z.ZodType<GuardMargin>;
  /** The figure, as a sentence's subject: `the number of boxes`. */
  readonly subject: string;
  /** The direction that does harm. */
  readonly harm: 'rise' | 'fall' | 'change';
  readonly unit: 'relative' | 'points';
  /** What not every roll-out has: frames that both sides infer, the CPU time of inferences. */
  readonly needs?: 'shadow' | 'cpu-time';
  /**
   * Compares what both sides did, all streams together, or the 99th percentile of latency. `usual` is the figure of the control of one
   * stream before the step, by which cameras that differ can be added up.
   */
  readonly bySides?: (Ratio<SideFigures> & { readonly usual?: Ratio<SideCounts> }) | 'tail';
  /**
   * The figure on frames that both sides inferred, all streams together: a ratio less a number or another ratio. Taken instead of the
   * sides as soon as there are such frames.
   */
  readonly byPairs?: { readonly of: Ratio<ComparedFrame>; readonly minus: Ratio<ComparedFrame> | number };
  /** Judges each stream by itself; by the name under which the evidence is kept. */
  readonly ofStreams?: Readonly<Record<string, StreamRule>>;
  /** Judges each stream, class, and class of a stream on frames that both sides inferred. */
  readonly ofClasses?: Readonly<Record<string, ClassRule>>;
  /** What to do after it has rolled a candidate back, in one sentence. */
  readonly advice: string;
  /** Which candidates it judges: the same detector as the control, or another one whose boxes differ rightly. Absent: both. */
  readonly judges?: 'same-detector' | 'other-detector';
  /** Judges every candidate if all of these guards are off: boxes are never wholly unwatched. */
  readonly standsInFor?: readonly string[];
}

/** Advice after guards of boxes, and of speed. */
export const ABOUT_BOXES =
  'Look at the boxes of both on the dashboard; if the candidate is meant to detect otherwise, start it with the labels that show it is as good: --eval FILE, from "sightline eval --json".';
export const ABOUT_SPEED =
  'If that is acceptable, start it again with a larger margin in --guards FILE; else try a smaller input size, another precision or fewer streams.';

/** Number of boxes that a side publishes on a frame. */
export function boxesOf(frame: ComparedFrame, side: ComparedBox['side']): number {
  return frame.filter((box) => box.side === side).length;
}

/** The relative difference of the number of boxes. */
export const boxesByPairs = {
  of: {
    a: (frame: ComparedFrame) => boxesOf(frame, 'candidate'),
    b: (frame: ComparedFrame) => boxesOf(frame, 'control'),
  },
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
