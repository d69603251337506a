import { isControlTurn } from '../../src/control/rollout/membership.ts';
import type { Detection } from '../../src/core/detection.ts';
import { seededRandom } from '../../src/core/seeded-random.ts';
import type { ShadowObservation, SideObservation } from '../../src/protocol/rollout-records.ts';
import type { RecordedResults } from './recorded-results.ts';

/** What is different about the candidate. */
export interface CandidateEffect {
  /** Probability that it misses an object for two seconds. */
  readonly missRatio: number;
  /** Factor of all its latencies. */
  readonly latencyFactor: number;
}

export const EQUAL: CandidateEffect = { missRatio: 0, latencyFactor: 1 };
/** A share d of objects missed makes F1 = 2 (1 - d) / (2 - d): 0.95 for this one. */
export const LESS_F1: CandidateEffect = { missRatio: 0.1 / 1.05, latencyFactor: 1 };
/** A scale of 1.2 is a 99th percentile of 1.2. */
export const MORE_P99: CandidateEffect = { missRatio: 0, latencyFactor: 1.2 };

/** What both sides did in one second. */
export interface SimulatedSecond {
  readonly sides: readonly SideObservation[];
  readonly shadow: readonly ShadowObservation[];
}

export const STREAMS = 12;
export const FPS = 10;
export const SCORE_THRESHOLD = 0.3;
/** Every fourth frame is compared box by box. */
const SHADOW_EVERY = 4;
/** Length of the pieces that latencies are drawn in: longer than their correlation. */
const PIECE_FRAMES = 100;
const MISSED_FRAMES = 2 * FPS;
const CELL_PX = 64;
const DROP_RATIO = 0.003;
const DEVICE_MS = 8;

/**
 * Generates one roll-out with full shadow: streams of 10 frames/s (12 unless stated) that show recorded clips from a random place on.
 *
 * Detections of the control are those recorded in f32, of the candidate those in bf16, each with a little noise on the scores, so
 * that weak boxes flip. Latencies are drawn from the recording in pieces of ten seconds, for all streams and both sides together, so
 * that stalls hit all at once as they did. The two sides of a stream read series of two streams that ran beside each other.
 */
export class SimulatedRollout {
  readonly #recorded: RecordedResults;
  readonly #effect: CandidateEffect;
  readonly #random: () => number;
  readonly #seed: number;
  readonly #places: readonly { readonly clip: number; readonly start: number }[];
  readonly #latenciesMs: readonly (readonly number[])[];
  readonly #pieces = new Pieces();
  #frame = 0;

  constructor(recorded: RecordedResults, effect: CandidateEffect, seed: number, streams = STREAMS) {
    this.#recorded = recorded;
    this.#effect = effect;
    this.#seed = seed;
    this.#latenciesMs = recorded.latenciesMs.map(toEqualTail);
    this.#random = seededRandom(seed);
    this.#places = Array.from({ length: streams }, (_, i) => {
      const clip = i % recorded.clips.length;
      return { clip, start: Math.floor(this.#random() * recorded.clips[clip]!.frames.length) };
    });
  }

  /** Generates the next second. @param hasCandidate - false before the roll-out starts. */
  next(hasCandidate: boolean): SimulatedSecond {
    const sides: SideObservation[] = [];
    const shadow: ShadowObservation[] = [];
    for (let stream = 0; stream < this.#places.length; stream++) {
      const side = hasCandidate && !this.#isControlTurn(stream) ? 'candidate' : 'control';
      // A host leaves out the second in which a stream changed its version.
      const isObserved = !hasCandidate || this.#isControlTurn(stream, -1000) === this.#isControlTurn(stream);
      const published = this.#counts(stream, side, side === 'candidate' ? this.#effect.latencyFactor : 1);
      for (let i = 0; i < FPS; i++) {
        const frame = this.#frame + i;
        if (frame % SHADOW_EVERY !== 0) continue;
        const pair = this.#detections(stream, frame, hasCandidate);
        tally(published, pair[side]);
        if (hasCandidate) shadow.push({ stream: published.stream, frame, ...pair });
      }
      if (isObserved) sides.push(published);
    }
    this.#frame += FPS;
    return { sides, shadow };
  }

  #isControlTurn(stream: number, afterMs = 0): boolean {
    return isControlTurn(`camera-${stream}`, (this.#frame * 1000) / FPS + afterMs);
  }

  #counts(stream: number, side: 'control' | 'candidate', factor: number): Mutable<SideObservation> {
    let dropped = 0;
    for (let i = 0; i < FPS; i++) if (this.#random() < DROP_RATIO) dropped += 1;
    const frames = FPS - dropped;
    const latenciesMs = Array.from({ length: frames }, (_, i) => this.#latency(stream, this.#frame + i) * factor);
    return {
      ...{
        stream: `camera-${stream}`,
        side,
        frames,
        dropped,
        failed: 0,
        latenciesMs,
        boxes: 0,
        scoreSum: 0,
        seconds: 1,
      },
      ...{ deviceMs: frames * DEVICE_MS * (1 + 0.1 * normal(this.#random)), fpsAttained: frames },
    };
  }

  /** Streams that share a recorded series read it at different places. */
  #latency(stream: number, frame: number): number {
    const count = this.#latenciesMs.length;
    const series = this.#latenciesMs[stream % count]!;
    const start = this.#pieces.startOf(Math.floor(frame / PIECE_FRAMES), this.#random);
    const shift = Math.floor(stream / count) * 2.5 * PIECE_FRAMES;
    return series[Math.floor(start * series.length + shift + (frame % PIECE_FRAMES)) % series.length]!;
  }

  #detections(stream: number, frame: number, hasCandidate: boolean): { control: Detection[]; candidate: Detection[] } {
    const { clip, start } = this.#places[stream]!;
    const { frames } = this.#recorded.clips[clip]!;
    const { f32, bf16 } = frames[(start + frame) % frames.length]!;
    const control = noisy(f32, this.#random);
    if (!hasCandidate) return { control, candidate: [] };
    return { control, candidate: noisy(bf16, this.#random).filter((found) => !this.#isMissed(stream, frame, found)) };
  }

  /** The same object is missed for a while: neighbouring frames are not independent. */
  #isMissed(stream: number, frame: number, { classId, box }: Detection): boolean {
    if (this.#effect.missRatio === 0) return false;
    const cell = [box[0] + box[2] / 2, box[1] + box[3] / 2].map((centre) => Math.floor(centre / CELL_PX));
    const keys = [this.#seed, stream, Math.floor(frame / MISSED_FRAMES), classId, ...cell];
    const hash = keys.reduce((mixed, key) => Math.imul(mixed ^ key, 0x01000193), 0x811c9dc5);
    return seededRandom(hash)() < this.#effect.missRatio;
  }
}

/** Where each piece of the simulated time starts in the recording, as a share of its length. */
class Pieces {
  readonly #starts: number[] = [];

  startOf(piece: number, random: () => number): number {
    while (this.#starts.length <= piece) this.#starts.push(random());
    return this.#starts[piece]!;
  }
}

/** Scales latencies to a 99th percentile of 100 ms, so that two recorded streams stand for two sides of one. */
function toEqualTail(latenciesMs: readonly number[]): number[] {
  const p99 = latenciesMs.toSorted((a, b) => a - b)[Math.floor(latenciesMs.length * 0.99)]!;
  return latenciesMs.map((latency) => (latency / p99) * 100);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function tally(observation: Mutable<SideObservation>, detections: readonly Detection[]): void {
  observation.boxes += detections.length;
  for (const { score } of detections) observation.scoreSum += score;
}

/** Noise of the scores' logits. The recorded f32 and bf16 differ by 0.19 in root mean square. */
const SCORE_NOISE = 0.1;

function noisy(detections: readonly Detection[], random: () => number): Detection[] {
  const result: Detection[] = [];
  for (const detection of detections) {
    const score = 1 / (1 + (1 / detection.score - 1) * Math.exp(SCORE_NOISE * normal(random)));
    if (score >= SCORE_THRESHOLD) result.push({ ...detection, score });
  }
  return result;
}

/** Approximately normal: the sum of four uniform numbers, scaled to a variance of 1. */
function normal(random: () => number): number {
  return (random() + random() + random() + random() - 2) * Math.sqrt(3);
}
