import { z } from 'zod';
import { shareOfLevel } from '../../../base/statistics/harm-evidence.ts';
import { isDisturbed } from '../../../frame/telemetry/interference.ts';
import type { SideObservation } from '../../../wire/protocol/rollout-records.ts';
import type { LatencyPercentiles, SideSum, StreamBlock, StreamRule } from './guards/guard.ts';
import { declaredSums, type GuardName, type GuardsConfig, partMargin, STREAM_RULES } from './guards/guards.ts';
import { countsOf, sideCounts } from './observed.ts';
import { type PartFinding, PartJudge, type PartLook, partEvidenceState, worstOf } from './part-finding.ts';

/**
 * Each side of a block has at least this time, and one of them these frames: about one turn each, or more turns of a slow camera.
 */
const BLOCK_SECONDS = 4;
const BLOCK_FRAMES = 10;
/** A block that lasts longer than this begins anew: figures that are minutes apart are not compared. */
const MOST_BLOCK_MS = 600_000;
/** Sums that rules declare, beside those that all have. */
const DECLARED = declaredSums(STREAM_RULES);
const SUMS = countsOf<SideSum>('seconds', 'frames', 'dropped', 'arrived', ...([...DECLARED.keys()] as SideSum[]));

const block = z.object({
  fromMs: z.number(),
  candidate: SUMS.state,
  control: SUMS.state,
  /** All of the control in this step. */
  controlSum: SUMS.state,
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
  evidence: partEvidenceState,
});
type StreamPart = z.infer<typeof streamPart>;

export const streamPartsState = z.array(streamPart);

/**
 * Rate, drops and latency of each stream, candidate against control in neighbouring turns: the failure of one camera of many hardly
 * changes the sums. Memory: about 60 numbers for each stream.
 */
export class StreamParts {
  readonly #guards: GuardsConfig;
  readonly #judge: PartJudge<StreamBlock, StreamRule>;
  readonly #streams = new Map<string, StreamPart>();

  constructor(guards: GuardsConfig, state?: z.infer<typeof streamPartsState>) {
    this.#guards = guards;
    this.#judge = new PartJudge(STREAM_RULES, guards);
    for (const saved of state ?? []) this.#streams.set(saved.name, structuredClone(saved));
  }

  /** @param baseline - percentiles of the stream's latency under the control; null if it has none. */
  add(seen: SideObservation, baseline: LatencyPercentiles | null, nowMs: number): void {
    const { stream: name, side } = seen;
    const found = this.#streams.get(name) ?? opened(name, this.#streams.size + 1, nowMs);
    this.#streams.set(name, found);
    const block = found[isDisturbed(seen.othersRatio) ? 'disturbed' : 'calm'];
    if (nowMs - block.fromMs > MOST_BLOCK_MS) beginBlock(block, nowMs);
    const counts = sideCounts(seen);
    const own = [...DECLARED].map(([sum, { of, guard }]): [string, number] => [
      sum,
      baseline === null ? 0 : of(counts, baseline, partMargin(this.#guards, guard)),
    ]);
    const more = { ...counts, ...Object.fromEntries(own) };
    SUMS.add(block[side], more);
    if (side === 'candidate') {
      found.pace = seen.pace ?? null;
      found.isOwnRate = seen.isOwnRate ?? false;
    }
    if (side === 'control') SUMS.add(block.controlSum, more);
    else if (seen.frames > 0) found.candidateSeconds += seen.seconds;
    if (isWhole(block)) this.#close(found, block, nowMs);
  }

  /** Streams that published results of the candidate for at least this time. */
  withCandidate(seconds: number): string[] {
    return [...this.#streams.values()]
      .filter(({ candidateSeconds }) => candidateSeconds >= seconds)
      .map(({ name }) => name);
  }

  /** The stream with the strongest evidence of harm; null if none is even suspect. @param alpha - for all streams together. */
  worst(guard: GuardName, alpha: number, nowMs: number): PartFinding | null {
    return worstOf(this.#judge.findings(guard, this.#streams.values(), nowMs, lookWith(alpha)));
  }

  /** Every stream with evidence of harm. */
  *findings(guard: GuardName, alpha: number, nowMs: number): Generator<readonly [stream: string, PartFinding]> {
    for (const [{ name }, found] of this.#judge.findings(guard, this.#streams.values(), nowMs, lookWith(alpha)))
      yield [name, found];
  }

  isJudged(guard: GuardName, stream: string): boolean {
    const part = this.#streams.get(stream);
    return part !== undefined && this.#judge.isJudged(guard, part);
  }

  reset(): void {
    this.#streams.clear();
  }

  get state(): z.infer<typeof streamPartsState> {
    return [...this.#streams.values()].map((stream) => structuredClone(stream));
  }

  #close(stream: StreamPart, block: Block, nowMs: number): void {
    const { evidence, pace, isOwnRate } = stream;
    this.#judge.add(evidence, { ...block, pace, isOwnRate });
    stream.lastMs = nowMs;
    beginBlock(block, nowMs);
  }
}

/** @param alpha - for all streams together. */
function lookWith(alpha: number): (part: StreamPart, rule: unknown, rules: number) => PartLook {
  return ({ name, number, fromMs, lastMs }, _, rules) => ({
    where: `On stream "${name}"`,
    unit: 'turns',
    fromMs,
    lastMs,
    alpha: (alpha / rules) * shareOfLevel(number),
  });
}

function opened(name: string, number: number, nowMs: number): StreamPart {
  const openedBlock = (): Block => ({
    fromMs: nowMs,
    candidate: SUMS.none(),
    control: SUMS.none(),
    controlSum: SUMS.none(),
  });
  return {
    name,
    number,
    fromMs: nowMs,
    lastMs: nowMs,
    candidateSeconds: 0,
    pace: null,
    isOwnRate: false,
    calm: openedBlock(),
    disturbed: openedBlock(),
    evidence: {},
  };
}

function beginBlock(block: Block, nowMs: number): void {
  Object.assign(block, { candidate: SUMS.none(), control: SUMS.none(), fromMs: nowMs });
}

/** A block is also complete if the candidate publishes nothing. */
function isWhole({ candidate, control }: Block): boolean {
  const hasTime = candidate.seconds >= BLOCK_SECONDS && control.seconds >= BLOCK_SECONDS;
  return hasTime && (control.frames >= BLOCK_FRAMES || candidate.frames >= BLOCK_FRAMES);
}
