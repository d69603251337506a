import { z } from 'zod';
import { addBlock, NO_EVIDENCE_OF_HARM, shareOfLevel } from '../../measure/harm-evidence.ts';
import type { SideObservation } from '../../protocol/rollout-records.ts';
import { harmEvidenceState, leftUntilCertain, type PartFinding, percent, verdictOn } from './part-finding.ts';

/** Guards that judge each stream by what it does on either side. */
export const STREAM_GUARDS = ['p99', 'fps', 'drops'] as const;
export type StreamGuard = (typeof STREAM_GUARDS)[number];

/** Both sides of a block have at least so much: about one turn each, more turns of a slow camera. */
const BLOCK_SECONDS = 4;
const BLOCK_FRAMES = 10;
/** A side that waits so long for the other begins anew: what was minutes ago is no comparison. */
const MOST_BLOCK_MS = 600_000;
/** Share of the frames above the 99th percentile of the baseline, and how far it may be off by chance. */
const TAIL_SHARE = 0.01;
const TAIL_SLACK = 2;
/** A turn is slow if most of its frames are above the limit, and few of the control's. Chance makes this share of the turns slow at most. */
const MOST = 0.5;
const SLOW_TURNS = 0.25;
/** A frame more or less at the ends of a block is no change of the rate. */
const RATE_SLACK_FRAMES = 1.5;

const sums = z.object({
  seconds: z.number(),
  frames: z.number(),
  dropped: z.number(),
  arrived: z.number(),
  /** Latencies above the baseline's median times 1 + limit. */
  slow: z.number(),
  /** Latencies above the baseline's 99th percentile, for the candidate times 1 + limit. */
  tail: z.number(),
});
type Sums = z.infer<typeof sums>;

const streamPart = z.object({
  name: z.string(),
  number: z.number(),
  fromMs: z.number(),
  blockFromMs: z.number(),
  lastMs: z.number(),
  candidate: sums,
  control: sums,
  /** All of the control in this step. */
  controlSum: sums,
  /** Seconds with the candidate in which it published something. */
  candidateSeconds: z.number(),
  /** See `SideObservation`; null if both sides are to have the same rate. */
  pace: z.object({ ratio: z.number(), mostFps: z.number().nullable() }).nullable(),
  p99: harmEvidenceState,
  median: harmEvidenceState,
  fps: harmEvidenceState,
  drops: harmEvidenceState,
});
type StreamPart = z.infer<typeof streamPart>;
/** Kinds of evidence: latency has two, its tail and its median. */
type Kind = StreamGuard | 'median';

const NEVER = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

export const streamPartsState = z.array(streamPart);

/** Milliseconds. */
export interface LatencyPercentiles {
  readonly p50: number;
  readonly p99: number;
}

/** Largest harm to a single stream: relative rise of p99, relative fall of the rate, rise of the share dropped. */
export type StreamLimits = Readonly<Record<StreamGuard, number>>;

/**
 * Rate, drops and latency of each stream, candidate against control in neighbouring turns: one camera of many that fails hardly changes
 * the sums. Memory: some 40 numbers a stream.
 */
export class StreamParts {
  readonly #limits: StreamLimits;
  readonly #streams = new Map<string, StreamPart>();

  constructor(limits: StreamLimits, state?: z.infer<typeof streamPartsState>) {
    this.#limits = limits;
    for (const saved of state ?? []) this.#streams.set(saved.name, structuredClone(saved));
  }

  /** @param baseline - percentiles of the stream's latency under the control; null if it has none. */
  add({ stream: name, side, ...seen }: SideObservation, baseline: LatencyPercentiles | null, nowMs: number): void {
    const found = this.#streams.get(name) ?? opened(name, this.#streams.size + 1, nowMs);
    this.#streams.set(name, found);
    if (nowMs - found.blockFromMs > MOST_BLOCK_MS) beginBlock(found, nowMs);
    const factor = 1 + this.#limits.p99;
    const [slowMs, tailMs] =
      baseline === null ? NEVER : [baseline.p50 * factor, baseline.p99 * (side === 'control' ? 1 : factor)];
    const more = {
      ...{ seconds: seen.seconds, frames: seen.frames, dropped: seen.dropped },
      arrived: seen.frames + seen.dropped + seen.failed,
      ...{ slow: countAbove(seen.latenciesMs, slowMs), tail: countAbove(seen.latenciesMs, tailMs) },
    };
    addTo(found[side], more);
    if (side === 'candidate') found.pace = seen.pace ?? null;
    if (side === 'control') addTo(found.controlSum, more);
    else if (seen.frames > 0) found.candidateSeconds += seen.seconds;
    if (isWhole(found)) this.#close(found, nowMs);
  }

  /** Seconds in which a stream published results of the candidate. */
  candidateSecondsOf(stream: string): number {
    return this.#streams.get(stream)?.candidateSeconds ?? 0;
  }

  /** Streams that published results of the candidate for so long. */
  withCandidate(seconds: number): string[] {
    return [...this.#streams.values()]
      .filter(({ candidateSeconds }) => candidateSeconds >= seconds)
      .map(({ name }) => name);
  }

  /** The stream with the strongest evidence of harm; null if none is even suspect. @param alpha - for all streams together. */
  worst(guard: StreamGuard, alpha: number, nowMs: number): PartFinding | null {
    let suspect: PartFinding | null = null;
    const kinds: readonly Kind[] = guard === 'p99' ? ['p99', 'median'] : [guard];
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

  #close(stream: StreamPart, nowMs: number): void {
    const { candidate, control, controlSum } = stream;
    const { fps, drops } = this.#limits;
    if (control.frames > 0) {
      const expected = wantedFps(control.frames / control.seconds, stream.pace) * candidate.seconds;
      const fall = Math.max(0, 1 - (candidate.frames + RATE_SLACK_FRAMES) / expected);
      stream.fps = addBlock(stream.fps, fall, fps);
    }
    if (candidate.arrived > 0) {
      const lost = Math.max(ratio(control.dropped, control.arrived), ratio(controlSum.dropped, controlSum.arrived));
      stream.drops = addBlock(stream.drops, candidate.dropped / candidate.arrived, lost + drops);
    }
    if (candidate.frames > 0 && control.frames > 0) {
      const above = Math.max(
        ratio(control.tail, control.frames),
        ratio(controlSum.tail, controlSum.frames),
        TAIL_SHARE,
      );
      stream.p99 = addBlock(stream.p99, candidate.tail / candidate.frames, TAIL_SLACK * above);
      const slow = candidate.slow / candidate.frames;
      const isSlow = slow > MOST && control.slow / control.frames < slow / 2;
      stream.median = addBlock(stream.median, isSlow ? 1 : 0, SLOW_TURNS);
    }
    stream.lastMs = nowMs;
    beginBlock(stream, nowMs);
  }

  #findingOf(kind: Kind, { name, [kind]: evidence }: StreamPart): Omit<PartFinding, 'verdict' | 'leftMs'> {
    const { blocks, sum } = evidence;
    const size = percent(sum / blocks);
    const factor = +(1 + this.#limits.p99).toFixed(2);
    const limit = { p99: TAIL_SHARE, median: SLOW_TURNS, fps: this.#limits.fps, drops: this.#limits.drops }[kind];
    const what = {
      p99: `in ${blocks} turns ${size} of the frames take more than ${factor} times as long as 99 % of the control's`,
      median: `in ${size} of ${blocks} turns most frames take more than ${factor} times as long as usual`,
      fps: `the rate falls by ${size} in ${blocks} turns`,
      drops: `${size} of the frames are dropped in ${blocks} turns`,
    }[kind];
    return { where: `On stream "${name}"`, what, limit, limitText: percent(limit), estimate: sum / blocks };
  }
}

function opened(name: string, number: number, nowMs: number): StreamPart {
  return {
    ...{ name, number, fromMs: nowMs, blockFromMs: nowMs, lastMs: nowMs, candidateSeconds: 0 },
    pace: null,
    ...{ candidate: nothing(), control: nothing(), controlSum: nothing() },
    ...{ p99: NO_EVIDENCE_OF_HARM, median: NO_EVIDENCE_OF_HARM, fps: NO_EVIDENCE_OF_HARM, drops: NO_EVIDENCE_OF_HARM },
  };
}

function nothing(): Sums {
  return { seconds: 0, frames: 0, dropped: 0, arrived: 0, slow: 0, tail: 0 };
}

function beginBlock(stream: StreamPart, nowMs: number): void {
  stream.candidate = nothing();
  stream.control = nothing();
  stream.blockFromMs = nowMs;
}

/** A candidate that publishes nothing completes a block all the same. */
function isWhole({ candidate, control }: StreamPart): boolean {
  const hasTime = candidate.seconds >= BLOCK_SECONDS && control.seconds >= BLOCK_SECONDS;
  return hasTime && (control.frames >= BLOCK_FRAMES || candidate.frames >= BLOCK_FRAMES);
}

function addTo(to: Sums, more: Sums): void {
  to.seconds += more.seconds;
  to.frames += more.frames;
  to.dropped += more.dropped;
  to.arrived += more.arrived;
  to.slow += more.slow;
  to.tail += more.tail;
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Returns the rate that the candidate of a stream must attain, from that of its control. */
export function wantedFps(controlFps: number, pace: SideObservation['pace'] | null): number {
  if (pace == null) return controlFps;
  return Math.min(controlFps * pace.ratio, pace.mostFps ?? Number.POSITIVE_INFINITY);
}

export function countAbove(values: readonly number[], limit: number): number {
  let count = 0;
  for (const value of values) if (value > limit) count += 1;
  return count;
}
