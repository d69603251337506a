import { guardsConfig } from '../../src/fleet/control/rollout/guards/guards.ts';
import { compareFrame } from '../../src/fleet/control/rollout/shadow-agreement.ts';
import { SCORE_THRESHOLD, type SimulatedSecond } from './rollout-simulation.ts';

export type CanaryVerdict = 'go-on' | 'promote' | 'roll-back';

/** Another way to decide on a roll-out, once a second, from what both sides did since the candidate started. */
export interface Canary {
  readonly name: string;
  see(second: SimulatedSecond): CanaryVerdict;
  /** The metric that decided; null if none did. */
  readonly reason: string | null;
}

/** Seconds between two looks of the canaries of others. */
const INTERVAL_SECONDS = 60;
/** Analyses after which they promote. */
const ANALYSES = 10;
const margins = guardsConfig.parse({});

const SCORE_RULE = {
  controlThreshold: SCORE_THRESHOLD,
  candidateThreshold: SCORE_THRESHOLD,
  scoreSlack: margins.agreement.scoreSlack,
};

/** Figures of both sides for some seconds. */
class Window {
  readonly latencies: Record<Side, number[]> = { control: [], candidate: [] };
  readonly sums = { control: counts(), candidate: counts() };
  #asked = 0;
  #unmatched = 0;

  add({ sides, shadow }: SimulatedSecond): void {
    for (const { side, latenciesMs, frames, dropped, boxes, scoreSum } of sides) {
      this.latencies[side].push(...latenciesMs);
      const sums = this.sums[side];
      sums.frames += frames;
      sums.dropped += dropped;
      sums.boxes += boxes;
      sums.scores += scoreSum;
    }
    for (const observed of shadow) {
      const frame = compareFrame(observed, SCORE_RULE);
      this.#asked += frame.length;
      this.#unmatched += frame.filter(({ isMissing }) => isMissing).length;
    }
  }

  get f1Loss(): number {
    return this.#asked === 0 ? 0 : this.#unmatched / this.#asked;
  }

  p99(side: Side): number {
    const sorted = this.latencies[side].toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  }

  boxes(side: Side): number {
    return this.sums[side].boxes / this.sums[side].frames;
  }

  confidence(side: Side): number {
    return this.sums[side].scores / Math.max(1, this.sums[side].boxes);
  }

  dropRatio(side: Side): number {
    const { frames, dropped } = this.sums[side];
    return dropped / (frames + dropped);
  }
}

type Side = 'control' | 'candidate';

function counts(): { frames: number; dropped: number; boxes: number; scores: number } {
  return { frames: 0, dropped: 0, boxes: 0, scores: 0 };
}

/**
 * Fixed thresholds on the figures of each minute, as Flagger compares metrics with `thresholdRange` at each `interval` and rolls back
 * after `threshold` failed checks. It is given the agreement of boxes too, and the margins of the guards.
 */
export class ThresholdCanary implements Canary {
  readonly name: string;
  readonly #failuresAllowed: number;
  #window = new Window();
  #seconds = 0;
  #failures = 0;
  reason: string | null = null;

  /** @param failures - failed checks that roll back. */
  constructor(failures: number) {
    this.name = `fixed thresholds every 60 s, ${failures} failed ${failures === 1 ? 'check' : 'checks'}`;
    this.#failuresAllowed = failures;
  }

  see(second: SimulatedSecond): CanaryVerdict {
    this.#window.add(second);
    this.#seconds += 1;
    if (this.#seconds % INTERVAL_SECONDS !== 0) return 'go-on';
    const failed = this.#failedMetric();
    this.#window = new Window();
    if (failed !== null) this.#failures += 1;
    if (this.#failures >= this.#failuresAllowed) {
      this.reason = failed;
      return 'roll-back';
    }
    return this.#seconds >= ANALYSES * INTERVAL_SECONDS ? 'promote' : 'go-on';
  }

  #failedMetric(): string | null {
    const window = this.#window;
    const relative = (of: (side: Side) => number): number => of('candidate') / of('control') - 1;
    if (window.f1Loss > margins.agreement.margin) return 'agreement';
    if (relative((side) => window.p99(side)) > margins.p99.margin) return 'p99';
    if (Math.abs(relative((side) => window.boxes(side))) > margins.boxes.margin) return 'boxes';
    if (window.confidence('control') - window.confidence('candidate') > margins.confidence.margin) return 'confidence';
    return window.dropRatio('candidate') - window.dropRatio('control') > margins.drops.margin ? 'drops' : null;
  }
}

/**
 * A Mann-Whitney test at 98 % on the series of each metric, one value a second, over all data so far, as Kayenta's judge classifies
 * metrics; one metric that is worse rolls back. It compares series, so it cannot use the agreement of boxes.
 */
export class RankCanary implements Canary {
  readonly name = 'Mann-Whitney at 98 % every 60 s';
  readonly #series = new Map<string, Record<Side, number[]>>();
  #seconds = 0;
  reason: string | null = null;

  see(second: SimulatedSecond): CanaryVerdict {
    this.#seconds += 1;
    const window = new Window();
    window.add({ ...second, shadow: [] });
    for (const side of ['control', 'candidate'] as const) {
      // With few streams a side has no turn in some seconds.
      if (window.sums[side].frames === 0) continue;
      this.#push('p99', side, window.p99(side));
      this.#push('boxes', side, -window.boxes(side));
      this.#push('confidence', side, -window.confidence(side));
      this.#push('drops', side, window.dropRatio(side));
    }
    if (this.#seconds % INTERVAL_SECONDS !== 0) return 'go-on';
    for (const [metric, { control, candidate }] of this.#series) {
      if (rankScore(candidate, control) <= Z_98) continue;
      this.reason = metric;
      return 'roll-back';
    }
    return this.#seconds >= ANALYSES * INTERVAL_SECONDS ? 'promote' : 'go-on';
  }

  #push(metric: string, side: Side, value: number): void {
    const series = this.#series.get(metric) ?? { control: [], candidate: [] };
    this.#series.set(metric, series);
    series[side].push(value);
  }
}

/** 99 % point of the standard normal distribution: two-sided 98 %. */
const Z_98 = 2.326;

/** Mann-Whitney U of the first sample, standardised, with ranks shared by equal values and the variance corrected for them. */
export function rankScore(first: readonly number[], second: readonly number[]): number {
  const all = [
    ...first.map((value) => ({ value, isFirst: true })),
    ...second.map((value) => ({ value, isFirst: false })),
  ];
  all.sort((a, b) => a.value - b.value);
  let rankSum = 0;
  let ties = 0;
  for (let from = 0; from < all.length; ) {
    let to = from;
    while (to < all.length && all[to]!.value === all[from]!.value) to += 1;
    const size = to - from;
    ties += size ** 3 - size;
    for (let i = from; i < to; i++) if (all[i]!.isFirst) rankSum += (from + 1 + to) / 2;
    from = to;
  }
  const [n, m, total] = [first.length, second.length, all.length];
  const u = rankSum - (n * (n + 1)) / 2;
  const variance = ((n * m) / 12) * (total + 1 - ties / (total * (total - 1)));
  return variance === 0 ? 0 : (u - (n * m) / 2) / Math.sqrt(variance);
}
