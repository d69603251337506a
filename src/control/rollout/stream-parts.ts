import { z } from 'zod';
import { addBlock, NO_EVIDENCE_OF_HARM, shareOfLevel } from '../../measure/harm-evidence.ts';
import { isDisturbed } from '../../measure/interference.ts';
import type { SideObservation } from '../../protocol/rollout-records.ts';
import { countAbove, type StreamSums } from './guards/guard-evidence.ts';
import { type GuardName, type GuardsConfig, partMargin, STREAM_RULES, type StreamKind } from './guards/guards.ts';
import { harmEvidenceState, leftUntilCertain, type PartFinding, percent, verdictOn } from './part-finding.ts';

const KINDS = Object.keys(STREAM_RULES) as readonly StreamKind[];

/**
 * Each side of a block has at least this time, and one of them these frames: about one turn each, or more turns of a slow camera.
 */
const BLOCK_SECONDS = 4;
const BLOCK_FRAMES = 10;
/** A block that lasts longer than this begins anew: figures that are minutes apart are not compared. */
const MOST_BLOCK_MS = 600_000;
const sums = z.object({
  seconds: z.number(),
  frames: z.number(),
  dropped: z.number(),
  arrived: z.number(),
  slow: z.number(),
  tail: z.number(),
}) satisfies z.ZodType<StreamSums>;

const block = z.object({
  fromMs: z.number(),
  candidate: sums,
  control: sums,
  /** All of the control in this step. */
  controlSum: sums,
});
type Block = z.infer<typeof block>;

const streamPart = z.object({
  name: z.string(),
  number: z.number(),
  fromMs: z.number(),
  lastMs: z.number(),
  /** Both sides while others take little of the CPU, and while they take much: only like is compared with like. */
  calm: block,
  disturbed: block,
  /** Seconds with the candidate in which it published something. */
  candidateSeconds: z.number(),
  /** See `SideObservation`; null if both sides are to have the same rate. */
  pace: z.object({ ratio: z.number(), mostFps: z.number().nullable() }).nullable(),
  isOwnRate: z.boolean(),
  ...ofKinds(harmEvidenceState),
});
type StreamPart = z.infer<typeof streamPart>;

const NEVER = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

export const streamPartsState = z.array(streamPart);

/** Milliseconds. */
export interface LatencyPercentiles {
  readonly p50: number;
  readonly p99: number;
}

/**
 * Rate, drops and latency of each stream, candidate against control in neighbouring turns: the failure of one camera of many hardly
 * changes the sums. Memory: about 60 numbers for each stream.
 */
export class StreamParts {
  readonly #guards: GuardsConfig;
  readonly #streams = new Map<string, StreamPart>();

  constructor(guards: GuardsConfig, state?: z.infer<typeof streamPartsState>) {
    this.#guards = guards;
    for (const saved of state ?? []) this.#streams.set(saved.name, structuredClone(saved));
  }

  /** @param baseline - percentiles of the stream's latency under the control; null if it has none. */
  add({ stream: name, side, ...seen }: SideObservation, baseline: LatencyPercentiles | null, nowMs: number): void {
    const found = this.#streams.get(name) ?? opened(name, this.#streams.size + 1, nowMs);
    this.#streams.set(name, found);
    const block = found[isDisturbed(seen.othersRatio) ? 'disturbed' : 'calm'];
    if (nowMs - block.fromMs > MOST_BLOCK_MS) beginBlock(block, nowMs);
    const factor = 1 + this.#guards.p99.partMargin;
    const [slowMs, tailMs] =
      baseline === null ? NEVER : [baseline.p50 * factor, baseline.p99 * (side === 'control' ? 1 : factor)];
    const more = {
      ...{ seconds: seen.seconds, frames: seen.frames, dropped: seen.dropped },
      arrived: seen.frames + seen.dropped + seen.failed,
      ...{ slow: countAbove(seen.latenciesMs, slowMs), tail: countAbove(seen.latenciesMs, tailMs) },
    };
    addTo(block[side], more);
    if (side === 'candidate') {
      found.pace = seen.pace ?? null;
      found.isOwnRate = seen.isOwnRate ?? false;
    }
    if (side === 'control') addTo(block.controlSum, more);
    else if (seen.frames > 0) found.candidateSeconds += seen.seconds;
    if (isWhole(block)) this.#close(found, block, nowMs);
  }

  /** Seconds in which a stream published results of the candidate. */
  candidateSecondsOf(stream: string): number {
    return this.#streams.get(stream)?.candidateSeconds ?? 0;
  }

  /** Streams that published results of the candidate for at least this time. */
  withCandidate(seconds: number): string[] {
    return [...this.#streams.values()]
      .filter(({ candidateSeconds }) => candidateSeconds >= seconds)
      .map(({ name }) => name);
  }

  /** The stream with the strongest evidence of harm; null if none is even suspect. @param alpha - for all streams together. */
  worst(guard: GuardName, alpha: number, nowMs: number): PartFinding | null {
    let suspect: PartFinding | null = null;
    const kinds = KINDS.filter((kind) => STREAM_RULES[kind].guard === guard);
    for (const stream of this.#streams.values())
      for (const kind of kinds) {
        const own = (alpha / kinds.length) * shareOfLevel(stream.number);
        const verdict = verdictOn(stream[kind], own, stream.lastMs, nowMs);
        if (verdict === null || (verdict === 'suspect' && suspect !== null)) continue;
        const leftMs = leftUntilCertain(stream[kind], own, nowMs - stream.fromMs);
        const finding = { ...this.#findingOf(kind, stream), verdict, leftMs };
        if (verdict === 'fail') return finding;
        suspect = finding;
      }
    return suspect;
  }

  reset(): void {
    this.#streams.clear();
  }

  get state(): z.infer<typeof streamPartsState> {
    return [...this.#streams.values()].map((stream) => structuredClone(stream));
  }

  #close(stream: StreamPart, block: Block, nowMs: number): void {
    const { pace, isOwnRate } = stream;
    for (const kind of KINDS) {
      const judged = STREAM_RULES[kind].figure({ ...block, pace, isOwnRate }, this.#marginOf(kind));
      if (judged !== null) stream[kind] = addBlock(stream[kind], judged.figure, judged.limit);
    }
    stream.lastMs = nowMs;
    beginBlock(block, nowMs);
  }

  #findingOf(kind: StreamKind, { name, [kind]: evidence }: StreamPart): Omit<PartFinding, 'verdict' | 'leftMs'> {
    const { blocks, sum } = evidence;
    const margin = this.#marginOf(kind);
    const limit = STREAM_RULES[kind].limit(margin);
    const what = STREAM_RULES[kind].says(percent(sum / blocks), `${blocks} turns`, margin);
    return { where: `On stream "${name}"`, what, limit, limitText: percent(limit), estimate: sum / blocks };
  }

  #marginOf(kind: StreamKind): number {
    return partMargin(this.#guards, STREAM_RULES[kind].guard);
  }
}

function ofKinds<T>(value: T): Record<StreamKind, T> {
  return Object.fromEntries(KINDS.map((kind) => [kind, value])) as Record<StreamKind, T>;
}

function opened(name: string, number: number, nowMs: number): StreamPart {
  return {
    ...{ name, number, fromMs: nowMs, lastMs: nowMs, candidateSeconds: 0, pace: null, isOwnRate: false },
    ...{ calm: openedBlock(nowMs), disturbed: openedBlock(nowMs) },
    ...ofKinds(NO_EVIDENCE_OF_HARM),
  };
}

function nothing(): StreamSums {
  return { seconds: 0, frames: 0, dropped: 0, arrived: 0, slow: 0, tail: 0 };
}

function openedBlock(fromMs: number): Block {
  return { fromMs, candidate: nothing(), control: nothing(), controlSum: nothing() };
}

function beginBlock(block: Block, nowMs: number): void {
  block.candidate = nothing();
  block.control = nothing();
  block.fromMs = nowMs;
}

/** A block is also complete if the candidate publishes nothing. */
function isWhole({ candidate, control }: Block): boolean {
  const hasTime = candidate.seconds >= BLOCK_SECONDS && control.seconds >= BLOCK_SECONDS;
  return hasTime && (control.frames >= BLOCK_FRAMES || candidate.frames >= BLOCK_FRAMES);
}

function addTo(to: StreamSums, more: StreamSums): void {
  to.seconds += more.seconds;
  to.frames += more.frames;
  to.dropped += more.dropped;
  to.arrived += more.arrived;
  to.slow += more.slow;
  to.tail += more.tail;
}
