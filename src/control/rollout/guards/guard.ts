import { z } from 'zod';
import { range } from '../../../config/number.ts';
import type { Estimate } from '../../../measure/sequential.ts';
import type { ClassBlock, PairedFrames, SideFigure, StreamBlock } from './guard-evidence.ts';

/** Settings of every guard. */
interface GuardMargin {
  readonly isOn: boolean;
  readonly margin: number;
}

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
  /** Compares what both sides did: `a` for each `b`, or the 99th percentile of latency. */
  readonly bySides: { readonly a: SideFigure; readonly b: SideFigure } | 'tail' | null;
  /** Compares frames that both sides inferred; taken instead of the sides as soon as there are some. */
  readonly byPairs: ((frames: PairedFrames, margin: number) => Estimate | null) | null;
  /** Judges each stream by itself; by the name under which the evidence is kept. */
  readonly ofStreams: Readonly<Record<string, PartRule<StreamBlock>>> | null;
  /** Judges each stream, class, and class of a stream on frames that both sides inferred. */
  readonly ofClasses: Readonly<Record<string, ClassRule>> | null;
  /** Which candidates it judges: the same detector as the control, another one whose boxes differ rightly, or both. */
  readonly judges: 'same-detector' | 'other-detector' | 'any';
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
