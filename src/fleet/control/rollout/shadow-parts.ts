import { z } from 'zod';
import { shareOfLevel } from '../../../base/statistics/harm-evidence.ts';
import type { BoxSum, ClassRule, ComparedBox, ComparedFrame, DetectionPart } from './guards/guard.ts';
import { CLASS_RULES, declaredSums, type GuardName, type GuardsConfig } from './guards/guards.ts';
import { type Counts, countsOf } from './observed.ts';
import {
  type PartFinding,
  PartJudge,
  type PartLook,
  partEvidenceState,
  SUSPICION_MS,
  worstOf,
} from './part-finding.ts';

/**
 * Boxes of neighbouring frames are the same objects, so frames are judged by blocks, which are longer than most gaps in a
 * detection.
 */
export const BLOCK_MS = 4_000;
/** Number of classes of a stream, and of the fleet, that have their own part; all others share one. */
const MOST_STREAM_CLASSES = 24;
const MOST_CLASSES = 256;
/** Parts in all, about 400 bytes each: beyond that new classes of a stream are judged by stream and by class only. */
const MOST_PARTS = 50_000;
/**
 * A weak box in a single frame may be chance on either side. So a block asks for the boxes of a class on a stream if one of them is sure,
 * or if this many frames show some; it is made longer until this many frames of the stream were compared.
 */
const FEWEST_FRAMES_WITH_BOXES = 2;
const FEWEST_FRAMES = 3;
/** A part of which this many boxes were seen, most of them on one side only, is suspect from its first block on. */
const SUSPECT_BOXES = 4;
/** A stream whose control has boxes is judged after this many blocks with some. */
export const JUDGED_BLOCKS = 5;
const OTHER_CLASSES = 'other classes';
const ALL = '';

const by = (wanted: ComparedBox['side']) => (box: ComparedBox) => (box.side === wanted ? 1 : 0);
const missingOf = (wanted: ComparedBox['side']) => (box: ComparedBox) => (box.isMissing ? by(wanted)(box) : 0);
/** Those that all rules have; what a rule declares is added up beside them. */
type ClassSum = BoxSum | 'sure';
type ClassSums = Counts<ClassSum>;
/** What a box adds to the sums of its class and stream. */
const ADDS = Object.entries({
  boxes: by('control'),
  missed: missingOf('control'),
  candidateBoxes: by('candidate'),
  extra: missingOf('candidate'),
  sure: ({ isSure }) => (isSure ? 1 : 0),
  ...Object.fromEntries([...declaredSums(CLASS_RULES)].map(([name, { of }]) => [name, of])),
} satisfies Record<string, (box: ComparedBox) => number>) as [ClassSum, (box: ComparedBox) => number][];
const SUMS = countsOf(...ADDS.map(([name]) => name));

const part = z.object({
  /** `''` means all streams or all classes. */
  stream: z.string(),
  label: z.string(),
  /** Place among the parts of its kind, from 1, in the order in which they were first seen. */
  number: z.number(),
  /** The block that is not complete yet, and its sums. */
  block: z.number(),
  sums: SUMS.state,
  /** Frames of this block with boxes, and those of the stream that were compared before it. */
  frames: z.number(),
  framesBefore: z.number(),
  fromMs: z.number(),
  /** Boxes of both sides in complete blocks, and blocks with boxes of the control. */
  allBoxes: z.number(),
  controlBlocks: z.number(),
  evidence: partEvidenceState,
});
type Part = z.infer<typeof part>;

export const shadowPartsState = z.object({
  parts: z.array(part),
  frames: z.array(z.tuple([z.string(), z.number()])),
});
export type ShadowPartsState = z.infer<typeof shadowPartsState>;

/**
 * Detections of both sides on the same frames, for each stream, each class, and each class of each stream. A class that is lost on
 * one camera of many hardly changes the sum.
 *
 * Memory: a part has no history, only its evidence and the current block.
 */
export class ShadowParts {
  readonly #judge: PartJudge<ClassSums, ClassRule>;
  readonly #parts = new Map<string, Part>();
  /** Parts of streams, classes, and of each stream's classes so far. */
  readonly #counts = new Map<string, number>();
  readonly #frames = new Map<string, number>();
  readonly #settled: ReadonlySet<string>;
  /** Parts with evidence of harm, so that not all are looked at every second. */
  readonly #suspects = new Set<Part>();
  /** Parts of streams that have too few blocks. */
  readonly #unjudged = new Set<Part>();
  /** Blocks before this one are complete. */
  #openBlock = 0;

  /** @param settled - classes whose boxes rightly fall: as a whole they are not judged. */
  constructor(guards: GuardsConfig, settled: readonly string[] = [], state?: ShadowPartsState) {
    this.#settled = new Set(settled);
    this.#judge = new PartJudge(CLASS_RULES, guards);
    for (const saved of state?.parts ?? []) {
      this.#parts.set(keyOf(saved.stream, saved.label), structuredClone(saved));
      const kind = kindOf(saved.stream, saved.label);
      this.#counts.set(kind, Math.max(this.#counts.get(kind) ?? 0, saved.number));
      this.#sort(this.#parts.get(keyOf(saved.stream, saved.label))!);
    }
    for (const [stream, frames] of state?.frames ?? []) this.#frames.set(stream, frames);
  }

  add(stream: string, frame: ComparedFrame, nowMs: number): void {
    this.#frames.set(stream, this.framesOf(stream) + 1);
    this.#closeUntil(nowMs);
    for (const [label, sums] of sumsOf(frame))
      if (!this.#addTo(stream, label, sums, nowMs)) this.#addToSums(stream, label, sums, nowMs);
  }

  /** Adds boxes of a class on a stream, which count, to all of the stream and all of the class. */
  #addToSums(stream: string, label: string, sums: ClassSums, nowMs: number): void {
    this.#addTo(stream, ALL, sums, nowMs);
    this.#addTo(ALL, label, sums, nowMs);
  }

  /** Frames of a stream that both sides inferred. */
  framesOf(stream: string): number {
    return this.#frames.get(stream) ?? 0;
  }

  /**
   * A stream whose control has boxes, but so few until now that the candidate is not judged by them; null if there is none. It is waited
   * for as long as boxes come.
   *
   * @param streams - those that exist. All if absent.
   */
  unjudged(nowMs: number, streams?: readonly string[]): { readonly stream: string; readonly blocks: number } | null {
    this.#closeUntil(nowMs);
    for (const { stream, controlBlocks, sums, block } of this.#unjudged) {
      if (streams?.includes(stream) === false) continue;
      const hasBoxes = controlBlocks > 0 || sums.boxes > 0;
      if (hasBoxes && nowMs - (block + 1) * BLOCK_MS < SUSPICION_MS) return { stream, blocks: controlBlocks };
    }
    return null;
  }

  /**
   * The part with the strongest evidence of harm; null if no part is even suspect.
   *
   * @param alpha - probability, for all parts together, of a wrong failure.
   */
  worst(guard: GuardName, alpha: number, nowMs: number): PartFinding | null {
    this.#closeUntil(nowMs);
    return worstOf(this.#judge.findings(guard, this.#suspects, nowMs, this.#lookWith(alpha)));
  }

  /** Every stream, and class of a stream, with evidence of harm. */
  *findings(guard: GuardName, alpha: number, nowMs: number): Generator<readonly [stream: string, PartFinding]> {
    this.#closeUntil(nowMs);
    const ofStreams = [...this.#suspects].filter(({ stream }) => stream !== ALL);
    for (const [{ stream }, found] of this.#judge.findings(guard, ofStreams, nowMs, this.#lookWith(alpha)))
      yield [stream, found];
  }

  isJudged(guard: GuardName, stream: string): boolean {
    const part = this.#parts.get(keyOf(stream, ALL));
    return part !== undefined && this.#judge.isJudged(guard, part);
  }

  get state(): ShadowPartsState {
    return { parts: [...this.#parts.values()].map((one) => structuredClone(one)), frames: [...this.#frames] };
  }

  /** @param alpha - for all parts together. */
  #lookWith(alpha: number): (part: Part, rule: ClassRule) => PartLook | null {
    return (one, { harmful }) => {
      if (one.stream === ALL && this.#settled.has(one.label)) return null;
      const harm = harmful(partOf(one));
      if (harm === 'never') return null;
      return {
        where: nameOf(one),
        unit: `blocks of ${BLOCK_MS / 1000} s`,
        alpha: this.#alphaOf(one, alpha),
        fromMs: one.fromMs,
        lastMs: (one.block + 1) * BLOCK_MS,
        isForPerson: harm === 'holds',
        // A part that is rarely seen, but then mostly by one side, must not be promoted before it was seen again.
        isEarly: one.allBoxes >= SUSPECT_BOXES,
      };
    };
  }

  /** A third for streams, a third for classes, a third for classes of streams; within these by order of appearance. */
  #alphaOf({ stream, label, number }: Part, alpha: number): number {
    const share = (alpha / 3) * shareOfLevel(number);
    if (stream === ALL || label === ALL) return share;
    return share * shareOfLevel(this.#parts.get(keyOf(stream, ALL))?.number ?? 1);
  }

  /** @returns false if the part does not exist and there are too many. */
  #addTo(stream: string, wanted: string, sums: ClassSums, nowMs: number): boolean {
    const block = Math.floor(nowMs / BLOCK_MS);
    const found = this.#partOf(stream, wanted, block, nowMs);
    if (found === null) return false;
    if (found.frames === 0) {
      found.block = block;
      found.framesBefore = this.framesOf(stream) - 1;
    }
    found.frames += 1;
    SUMS.add(found.sums, sums);
    return true;
  }

  /** Completes the blocks that have ended. */
  #closeUntil(nowMs: number): void {
    const block = Math.floor(nowMs / BLOCK_MS);
    if (block === this.#openBlock) return;
    this.#openBlock = block;
    // Classes of streams first: what counts of them is added to the sums, whose blocks then end with this one.
    const ended = [...this.#parts.values()].filter((one) => one.frames > 0 && one.block < block);
    for (const one of ended) {
      if (one.stream === ALL || one.label === ALL) this.#close(one);
      else if (one.sums.sure > 0 || one.frames >= FEWEST_FRAMES_WITH_BOXES) {
        this.#addToSums(one.stream, one.label, one.sums, nowMs);
        this.#close(one);
      } else if (this.framesOf(one.stream) - one.framesBefore >= FEWEST_FRAMES) clear(one);
    }
  }

  /** Adds the sums of a block to the evidence, once. */
  #close(closed: Part): void {
    const { boxes, candidateBoxes } = closed.sums;
    this.#judge.add(closed.evidence, closed.sums);
    closed.allBoxes += boxes + candidateBoxes;
    if (boxes > 0) closed.controlBlocks += 1;
    clear(closed);
    this.#sort(closed);
  }

  #sort(one: Part): void {
    if (this.#judge.isClear(one.evidence)) this.#suspects.delete(one);
    else this.#suspects.add(one);
    if (one.label === ALL && one.controlBlocks < JUDGED_BLOCKS) this.#unjudged.add(one);
    else this.#unjudged.delete(one);
  }

  #partOf(stream: string, wanted: string, block: number, nowMs: number): Part | null {
    const known = this.#parts.get(keyOf(stream, wanted));
    if (known !== undefined) return known;
    const kind = kindOf(stream, wanted);
    const count = this.#counts.get(kind) ?? 0;
    const most = stream === ALL ? MOST_CLASSES : wanted === ALL ? Number.POSITIVE_INFINITY : MOST_STREAM_CLASSES;
    const label = count >= most ? OTHER_CLASSES : wanted;
    const key = keyOf(stream, label);
    const shared = this.#parts.get(key);
    if (shared !== undefined) return shared;
    if (this.#parts.size >= MOST_PARTS && stream !== ALL && wanted !== ALL) return null;
    const opened: Part = {
      stream,
      label,
      number: count + 1,
      block,
      fromMs: nowMs,
      sums: SUMS.none(),
      frames: 0,
      framesBefore: 0,
      allBoxes: 0,
      controlBlocks: 0,
      evidence: {},
    };
    this.#parts.set(key, opened);
    this.#sort(opened);
    this.#counts.set(kind, count + 1);
    return opened;
  }
}

/** Begins a block. */
function clear(one: Part): void {
  Object.assign(one, { sums: SUMS.none(), frames: 0 });
}

/** Sums up the boxes of a frame by label; labels without a published box are left out. */
function sumsOf(frame: ComparedFrame): Map<string, ClassSums> {
  const classes = new Map<string, ClassSums>();
  for (const box of frame) {
    const sums = classes.get(box.label) ?? SUMS.none();
    classes.set(box.label, sums);
    for (const [name, of] of ADDS) sums[name] += of(box);
  }
  return classes;
}

function keyOf(stream: string, label: string): string {
  return `${stream}\n${label}`;
}

function partOf({ stream, label }: Pick<Part, 'stream' | 'label'>): DetectionPart {
  if (stream === ALL) return 'class';
  return label === ALL ? 'stream' : 'class-of-stream';
}

/** Parts of one kind share a numbering. */
function kindOf(stream: string, label: string): string {
  if (stream === ALL) return 'classes';
  return label === ALL ? 'streams' : `classes of ${stream}`;
}

function nameOf({ stream, label }: Pick<Part, 'stream' | 'label'>): string {
  const what = label === OTHER_CLASSES ? label : `class "${label}"`;
  if (stream === ALL) return `For ${what} on all streams`;
  return label === ALL ? `On stream "${stream}"` : `For ${what} on stream "${stream}"`;
}
