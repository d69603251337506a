import { z } from 'zod';
import { addBlock, NO_EVIDENCE_OF_HARM, shareOfLevel, strengthOf } from '../../measure/harm-evidence.ts';
import type { ShadowObservation } from '../../protocol/rollout-records.ts';
import type { ClassBlock } from './guards/guard-evidence.ts';
import { CLASS_RULES, type ClassKind, type GuardName, type GuardsConfig, partMargin } from './guards/guards.ts';
import {
  harmEvidenceState,
  leftUntilCertain,
  type PartFinding,
  percent,
  SUSPECT_STRENGTH,
  verdictOn,
} from './part-finding.ts';
import { agreementByClass } from './shadow-agreement.ts';

/**
 * Boxes of neighbouring frames are the same objects, so frames are judged by blocks, which are longer than most gaps in a
 * detection.
 */
const BLOCK_MS = 4_000;
/** Number of classes of a stream, and of the fleet, that have their own part; all others share one. */
const MOST_STREAM_CLASSES = 24;
const MOST_CLASSES = 256;
/** Parts in all, about 400 bytes each: beyond that new classes of a stream are judged by stream and by class only. */
const MOST_PARTS = 50_000;
const OTHER_CLASSES = 'other classes';
const ALL = '';

const KINDS = Object.keys(CLASS_RULES) as readonly ClassKind[];

const part = z.object({
  /** `''` means all streams or all classes. */
  stream: z.string(),
  label: z.string(),
  /** Place among the parts of its kind, from 1, in the order in which they were first seen. */
  number: z.number(),
  /** The block that is not complete yet, and its sums. */
  block: z.number(),
  asked: z.number(),
  unmatched: z.number(),
  /** Boxes of the control that are sure, and all of the candidate. */
  boxes: z.number(),
  candidateBoxes: z.number(),
  fromMs: z.number(),
  ...ofKinds(harmEvidenceState),
});
type Part = z.infer<typeof part>;

export const shadowPartsState = z.object({
  parts: z.array(part),
  frames: z.array(z.tuple([z.string(), z.number()])),
});
export type ShadowPartsState = z.infer<typeof shadowPartsState>;

/**
 * Boxes with a lower score may be missing on the other side. Boxes are counted by the threshold of the control alone: with a
 * threshold near 1 the candidate would not be asked for anything.
 */
export interface SureScores {
  readonly ofBoth: number;
  readonly ofControl: number;
}

/**
 * Detections of both sides on the same frames, for each stream, each class, and each class of each stream. A class that is lost on
 * one camera of many hardly changes the sum.
 *
 * Memory: a part has no history, only its evidence and the current block.
 */
export class ShadowParts {
  readonly #sureScores: SureScores;
  readonly #guards: GuardsConfig;
  readonly #parts = new Map<string, Part>();
  /** Parts of streams, classes, and of each stream's classes so far. */
  readonly #counts = new Map<string, number>();
  readonly #frames = new Map<string, number>();
  /** Parts with evidence of harm, so that not all are looked at every second. */
  readonly #suspects = new Set<Part>();
  /** Blocks before this one are complete. */
  #openBlock = 0;

  constructor(sureScores: SureScores, guards: GuardsConfig, state?: ShadowPartsState) {
    this.#sureScores = sureScores;
    this.#guards = guards;
    for (const saved of state?.parts ?? []) {
      this.#parts.set(keyOf(saved.stream, saved.label), structuredClone(saved));
      const kind = kindOf(saved.stream, saved.label);
      this.#counts.set(kind, Math.max(this.#counts.get(kind) ?? 0, saved.number));
      this.#suspect(this.#parts.get(keyOf(saved.stream, saved.label))!);
    }
    for (const [stream, frames] of state?.frames ?? []) this.#frames.set(stream, frames);
  }

  add({ stream, control, candidate }: ShadowObservation, nowMs: number): void {
    this.#frames.set(stream, this.framesOf(stream) + 1);
    const labels = new Map<string, Sums>();
    const of = (label: string): Sums => {
      const sums = labels.get(label) ?? noBoxes();
      labels.set(label, sums);
      return sums;
    };
    for (const [label, { asked, unmatched }] of agreementByClass(control, candidate, this.#sureScores.ofBoth)) {
      const sums = of(label);
      sums.asked = asked;
      sums.unmatched = unmatched;
    }
    for (const { label, score } of control) if (score >= this.#sureScores.ofControl) of(label).boxes += 1;
    for (const { label } of candidate) of(label).candidateBoxes += 1;
    const whole = noBoxes();
    for (const [label, sums] of labels) {
      addTo(whole, sums);
      this.#addTo(ALL, label, sums, nowMs);
      this.#addTo(stream, label, sums, nowMs);
    }
    this.#addTo(stream, ALL, whole, nowMs);
  }

  /** Frames of a stream that both sides inferred. */
  framesOf(stream: string): number {
    return this.#frames.get(stream) ?? 0;
  }

  /**
   * The part with the strongest evidence of harm; null if no part is even suspect.
   *
   * @param alpha - probability, for all parts together, of a wrong failure.
   */
  worst(guard: GuardName, alpha: number, nowMs: number): PartFinding | null {
    this.#closeUntil(nowMs);
    let suspect: PartFinding | null = null;
    for (const kind of KINDS.filter((each) => CLASS_RULES[each].guard === guard))
      for (const one of this.#suspects) {
        const own = this.#alphaOf(one, alpha);
        const verdict = verdictOn(one[kind], own, endOf(one), nowMs);
        if (verdict === null || (verdict === 'suspect' && suspect !== null)) continue;
        const leftMs = leftUntilCertain(one[kind], own, nowMs - one.fromMs);
        const finding = { ...this.#findingOf(kind, one), verdict, leftMs };
        if (verdict === 'fail') return finding;
        suspect = finding;
      }
    return suspect;
  }

  reset(): void {
    this.#parts.clear();
    this.#suspects.clear();
    this.#counts.clear();
    this.#frames.clear();
  }

  get state(): ShadowPartsState {
    return { parts: [...this.#parts.values()].map((one) => structuredClone(one)), frames: [...this.#frames] };
  }

  /** A third for streams, a third for classes, a third for classes of streams; within these by order of appearance. */
  #alphaOf({ stream, label, number }: Part, alpha: number): number {
    const share = (alpha / 3) * shareOfLevel(number);
    if (stream === ALL || label === ALL) return share;
    return share * shareOfLevel(this.#parts.get(keyOf(stream, ALL))?.number ?? 1);
  }

  #addTo(stream: string, wanted: string, sums: Sums, nowMs: number): void {
    const block = Math.floor(nowMs / BLOCK_MS);
    const found = this.#partOf(stream, wanted, block, nowMs);
    if (found === null) return;
    if (block > found.block) {
      this.#close(found);
      found.block = block;
    }
    addTo(found, sums);
  }

  /** Completes the blocks that have ended. */
  #closeUntil(nowMs: number): void {
    const block = Math.floor(nowMs / BLOCK_MS);
    if (block === this.#openBlock) return;
    this.#openBlock = block;
    for (const one of this.#parts.values()) if (one.block < block) this.#close(one);
  }

  /** Adds the sums of a block to the evidence, once. */
  #close(closed: Part): void {
    let isNews = false;
    for (const kind of KINDS) {
      const judged = CLASS_RULES[kind].figure(closed, this.#marginOf(kind));
      if (judged === null) continue;
      closed[kind] = addBlock(closed[kind], judged.figure, judged.limit);
      isNews = true;
    }
    if (!isNews) return;
    Object.assign(closed, noBoxes());
    this.#suspect(closed);
  }

  #findingOf(kind: ClassKind, { [kind]: evidence, ...one }: Part): Omit<PartFinding, 'verdict' | 'leftMs'> {
    const { blocks, sum } = evidence;
    const margin = this.#marginOf(kind);
    const limit = CLASS_RULES[kind].limit(margin);
    const what = CLASS_RULES[kind].says(percent(sum / blocks), `${blocks} blocks of ${BLOCK_MS / 1000} s`, margin);
    return { where: nameOf(one), what, limit, limitText: percent(limit), estimate: sum / blocks };
  }

  #marginOf(kind: ClassKind): number {
    return partMargin(this.#guards, CLASS_RULES[kind].guard);
  }

  #suspect(one: Part): void {
    const isSuspect = Math.max(...KINDS.map((kind) => strengthOf(one[kind]))) >= SUSPECT_STRENGTH;
    if (isSuspect) this.#suspects.add(one);
    else this.#suspects.delete(one);
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
      ...{ stream, label, number: count + 1, block, fromMs: nowMs },
      ...noBoxes(),
      ...ofKinds(NO_EVIDENCE_OF_HARM),
    };
    this.#parts.set(key, opened);
    this.#counts.set(kind, count + 1);
    return opened;
  }
}

type Sums = { -readonly [K in keyof ClassBlock]: number };

function ofKinds<T>(value: T): Record<ClassKind, T> {
  return Object.fromEntries(KINDS.map((kind) => [kind, value])) as Record<ClassKind, T>;
}

function noBoxes(): Sums {
  return { asked: 0, unmatched: 0, boxes: 0, candidateBoxes: 0 };
}

function addTo(sums: Sums, more: Sums): void {
  sums.asked += more.asked;
  sums.unmatched += more.unmatched;
  sums.boxes += more.boxes;
  sums.candidateBoxes += more.candidateBoxes;
}

function endOf({ block }: Part): number {
  return (block + 1) * BLOCK_MS;
}

function keyOf(stream: string, label: string): string {
  return `${stream}\n${label}`;
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
